"""What happens with a request: who makes it is found out, once, and marked.

At the first question to the store, so that whoever asks who is online finds herself there (in rooms at
the first question about one), and at the end at the latest: after the view, before any other hook on the
response, whatever the order in which extensions were set up. On a site without Flask-Login everybody is
a stranger by default, and is marked at the start: nothing that comes could change it. By default nothing
here touches the session (that would add ``Vary: Cookie``): it is looked at past the proxy that notes it.
What belongs to one request lies in its environ, not in `g`, which requests share when an app context is
pushed around them.
"""

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from flask import Request, Response, g, has_request_context, request
from flask import globals as flask_globals

from herenow.clocks import steady
from herenow.errors import StoreError
from herenow.models import Visitor
from herenow.names import clean_room
from herenow.outbox.deferred import Deferred
from herenow.web.visitors import Stranger, before_midnight, clean_visitor, stranger

if TYPE_CHECKING:
    from herenow.flask.extension import Site

_log: Final = logging.getLogger("herenow")
_KEY: Final = "herenow.visit"
_BAD_REQUEST: Final = 400
_USER: Final = "_user_id"  # where Flask-Login keeps who is logged in
_NEVER: Final = (0.0, 0)
_MOST_MET: Final = 8_192
_MOST_AGENT: Final = 512
# the two contexts are one from Flask 3.2 on
_context: Final = vars(flask_globals).get("request_ctx", flask_globals.app_ctx)


class Visit:
    """One request, as herenow has it."""

    __slots__ = (
        "_before",
        "_context",
        "_counts",
        "_first",
        "_is_named",
        "_marked",
        "_marking",
        "_named",
        "_request",
        "_rooms",
        "_site",
    )

    def __init__(self, site: "Site", context: Any) -> None:
        self._site = site
        self._context = context
        self._request: Request = context.request
        self._counts = _counts(site, self._request)
        self._before = self._logged_in() if site.by_default and site.has_login else None
        self._first: Visitor | None = None  # whom identify named first
        self._named: Visitor | None = None
        self._is_named = False
        self._marked: Visitor | Stranger | None = None
        self._marking = False
        self._rooms: list[Any] | None = None

    def end(self, response: Response) -> Response:
        """Mark her at the end, if that was not done before.

        Who was asked for earlier is asked for again: the view may have logged her in.
        """
        self._is_named = False
        self.mark(status=response.status_code)
        # a circle would leave each request to the garbage collector
        self._request.environ[_KEY] = None
        return response

    # who it is

    def visitor(self) -> Visitor | None:
        """Find out who makes the request, for the view: it may touch the session, and wait."""
        who = self._who(asked=True)
        return self.stranger() if isinstance(who, Stranger) else who

    def _who(self, *, asked: bool) -> "Visitor | Stranger | None":
        site = self._site
        if site.by_default:
            return self._by_default(asked=asked)
        if not self._is_named and site.here.identify is not None:
            self._named = clean_visitor(site.here.identify(self._request))
            self._is_named = True
            if self._first is None:
                self._first = self._named
        return self._named

    def _by_default(self, *, asked: bool) -> "Visitor | Stranger | None":
        if not self._site.has_login:
            return self._unnamed()
        user = g.get("_login_user")
        if user is None and asked:
            from flask_login import current_user

            user = real(current_user)
        if user is not None:
            return Visitor(str(user.get_id())) if user.is_authenticated else self._unnamed()
        user_id = self._logged_in()
        if user_id is not None:
            return Visitor(user_id)
        config, sent = self._site.app.config, self._request
        if config.get("REMEMBER_COOKIE_NAME", "remember_token") in sent.cookies:
            return None  # perhaps a member, whom nobody has asked for
        manager = vars(self._site.app)["login_manager"]
        asks = manager._request_callback is not None  # noqa: SLF001 - it has no other name
        if asks and "Authorization" in sent.headers:
            return None
        return self._unnamed()

    def stranger(self) -> Visitor | None:
        """Name the guest or bot that makes the request, logged in or not; may wait for the day's key."""
        facts = self._facts()
        return stranger(facts.address, facts.agent, self._site.keys)

    def _facts(self) -> Stranger:
        sent = self._request
        agent = sent.environ.get("HTTP_USER_AGENT")
        return Stranger(self._site.naming, sent.remote_addr, agent)

    def _unnamed(self) -> "Visitor | Stranger | None":
        """The same without waiting: the facts, where a key is to be learned first."""
        facts = self._facts()
        return facts if facts.wanted(0.0) else self.stranger()

    def _logged_in(self) -> str | None:
        """Whom the session says is logged in, without touching it."""
        session = self._session()
        if not session:
            return None
        accessed = getattr(session, "accessed", None)
        user = session.get(_USER)
        if accessed is False:
            session.accessed = False
        return None if user is None else str(user)

    def _session(self) -> Any:
        known = vars(self._context)
        return known["_session"] if "_session" in known else known.get("session")

    # marks

    def mark(self, *, status: int | None = None, asked_of_room: bool = False) -> None:
        """Mark who makes the request, and the rooms she is in; ``status`` is there at the end.

        A page that is not found is in no room, whatever its address says. So rooms wait for the status,
        unless a page that does well until now asks about one: then she finds herself there.
        """
        site = self._site
        if not self._counts or self._marking or not site.marks:
            return
        self._marking = True  # identify may ask who is online
        try:
            who = self._who(asked=False)
            if status is not None and self._before is not None:
                self._tell_of_logout()
            if who is not None and self._admitted(who):
                fine = (
                    asked_of_room and self._is_fine() if status is None else status < _BAD_REQUEST
                )
                self._mark_all(who, in_rooms=fine)
        except ValueError as error:  # a strange id or room, perhaps a visitor's: her page is served
            _log.error("a visitor is not marked: %s", error)
        except StoreError as error:
            site.trouble.note(error)
        finally:
            self._marking = False

    def _is_fine(self) -> bool:
        """Whether nothing has gone wrong yet; a handler of errors runs while one is handled."""
        return self._request.routing_exception is None and sys.exception() is None

    def _mark_all(self, who: Visitor | Stranger, *, in_rooms: bool) -> None:
        site = self._site
        user, kind = (who, None) if isinstance(who, Stranger) else (who.user, who.kind)
        first = self._marked is None or _name(self._marked) != user
        replaced = self._replaced(who)
        if first:
            if isinstance(user, str) and isinstance(replaced, str | None):
                site.presence.mark_online(user, kind, replaces=replaced)
            else:
                site.port.defer(Deferred(user, kind, replaced))
            if site.has_rooms and replaced is not None and isinstance(who, Visitor):
                self._leave_rooms(who, replaced)
        if site.has_rooms and self._rooms is None and in_rooms:
            self._rooms = site.rooms_of(self._request)
            first = True
        if first:
            for room in self._rooms or ():
                name = clean_room(room)
                if site.rooms.holds(name) or site.rooms.admits(name, site.window):
                    linked = Deferred(user, None, replaced, site.presence.name)
                    site.port.defer(linked, name)
        self._marked = who

    def _leave_rooms(self, visitor: Visitor, replaced: str | Stranger) -> None:
        """Take whose place a visitor takes by a login out of every room; that waits for the store."""
        if visitor.kind == "guest":
            return
        guest = self.stranger() if isinstance(replaced, Stranger) else Visitor(replaced)
        if guest is not None:
            self._site.port.leave_rooms(guest.user)

    def _admitted(self, visitor: Visitor | Stranger) -> bool:
        site = self._site
        if isinstance(visitor, Stranger) or visitor.kind not in {"guest", "bot"}:
            return True  # or admitted when they are named
        if site.guests.holds(visitor.user):
            return True
        return site.guests.admits(visitor.user, site.window)

    def _replaced(self, who: Visitor | Stranger) -> str | Stranger | None:
        """Whose place they take: what they were earlier in this request, as a guest, or yesterday."""
        earlier = self._marked or self._first
        if earlier is not None and _name(earlier) != _name(who) and _is_guest(earlier):
            return _name(earlier)
        if not self._site.by_default or isinstance(who, Stranger):
            return None
        if who.kind is None and self._before is None:  # logged in just now
            guest = self._unnamed()
            return _name(guest) if guest is not None and _is_guest(guest) else None
        return _of_yesterday(self._site, self._request, who)

    def _tell_of_logout(self) -> None:
        before = self._before
        if self._logged_in() != before:
            self._before = None
            try:
                self._site.presence.mark_offline(before, session="")
                if self._site.has_rooms:
                    self._site.port.leave_rooms(before, session="")
            except StoreError as error:
                self._site.trouble.note(error)


def meeting(site: "Site") -> Callable[[], None]:
    """Make what meets a request at its start, before any hook.

    A plain function, which Flask looks at faster than at a method. Whoever can't be but a stranger is
    put down here and now, in a few microseconds, to be named when she is sent; of others a Visit is kept
    until the end.
    """
    early = site.by_default and not site.has_rooms
    port, naming = site.port, site.naming
    met: dict[tuple[str | None, str | None], tuple[float, int]] = {}
    find, environment = _context._get_current_object, vars(site.app)  # noqa: SLF001

    def meet() -> None:
        context = find()
        request = context.request
        environ = request.environ
        if early and "login_manager" not in environment:
            environ[_KEY] = None
            address, agent = request.remote_addr, environ.get("HTTP_USER_AGENT")
            if agent is not None and len(agent) > _MOST_AGENT:
                agent = agent[:_MOST_AGENT]
            # nine of ten requests end here: a look-up and two comparisons, on few lines of the cache
            until, leaves = met.get((address, agent), _NEVER)
            if (steady() < until and leaves == port.leaves) or not _counts(site, request):
                return
            try:
                before = port.leaves
                port.defer(Deferred(Stranger(naming, address, agent)))
            except StoreError as error:
                site.trouble.note(error)
                return
            if len(met) >= _MOST_MET:
                met.clear()
            met[address, agent] = (port.repeats_until(), before)
            return
        visit = environ[_KEY] = Visit(site, context)
        context._after_request_functions.append(visit.end)  # noqa: SLF001 - as after_this_request does

    return meet


def _name(who: Visitor | Stranger) -> str | Stranger:
    return who if isinstance(who, Stranger) else who.user


def _is_guest(who: Visitor | Stranger) -> bool:
    return isinstance(who, Stranger) or who.kind == "guest"


def _of_yesterday(site: "Site", request: Request, visitor: Visitor) -> str | None:
    if visitor.kind != "guest":
        return None
    agent = request.environ.get("HTTP_USER_AGENT")
    return before_midnight(request.remote_addr, agent, site.keys, site.window)


def _counts(site: "Site", request: Request) -> bool:
    """Whether a request is somebody's visit."""
    if request.method == "OPTIONS":  # a browser asks ahead, without any cookie
        return False
    rule = request.url_rule
    if rule is not None and rule.endpoint.rpartition(".")[2] == "static":
        return False
    return not (site.excludes and site.excluded(request.path))


def is_over() -> bool:
    """Whether the request under way has been marked for good."""
    return request.environ.get(_KEY, _KEY) is None if has_request_context() else False


def current(site: "Site") -> Visit | None:
    """The visit of the request under way to this site, if there is one."""
    if not has_request_context():
        return None
    visit = request.environ.get(_KEY)
    return visit if isinstance(visit, Visit) and visit._site is site else None  # noqa: SLF001


def by_hand(site: "Site") -> Visit:
    """Make the visit of a request that was not met."""
    return Visit(site, real(_context))


def real(proxy: Any) -> Any:
    """Get what one of Flask's proxies stands for."""
    return proxy._get_current_object()  # noqa: SLF001 - so werkzeug has it
