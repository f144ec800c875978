"""What happens with a request: who makes it is found out, once, and marked.

At the first question to the store, so that whoever asks who is online finds herself there, and at the
end at the latest: after the view, before any other hook on the response, whatever the order in which
extensions were set up. By default nothing here touches the session (that would add ``Vary: Cookie``): it
is looked at past the proxy that notes it. What belongs to one request lies in its environ, not in `g`,
which requests share when an app context is pushed around them.
"""

import logging
from typing import TYPE_CHECKING, Any, Final

from flask import Request, Response, after_this_request, g, has_request_context, request
from flask import globals as flask_globals

from herenow.errors import StoreError
from herenow.visitors import Visitor, before_midnight, clean_visitor, stranger

if TYPE_CHECKING:
    from herenow.flask.extension import Site

_log: Final = logging.getLogger("herenow")
_KEY: Final = "herenow.visit"
_BAD_REQUEST: Final = 400
_USER: Final = "_user_id"  # where Flask-Login keeps who is logged in
# the two contexts are one from Flask 3.2 on
_context: Final = vars(flask_globals).get("request_ctx", flask_globals.app_ctx)


class Visit:
    """One request, as herenow has it."""

    __slots__ = (
        "_before",
        "_counts",
        "_is_named",
        "_marked",
        "_marking",
        "_named",
        "_request",
        "_rooms",
        "_site",
    )

    def __init__(self, site: "Site", request: Request) -> None:
        self._site = site
        self._request = request
        self._counts = not (
            request.method == "OPTIONS"  # a browser asks ahead, without any cookie
            or (request.endpoint is not None and request.endpoint.rpartition(".")[2] == "static")
            or (site.excludes and site.excluded(request.path))
        )
        self._before = self._logged_in() if site.by_default else None
        self._named: Visitor | None = None
        self._is_named = False
        self._marked: Visitor | None = None
        self._marking = False
        self._rooms: list[Any] | None = None

    def end(self, response: Response) -> Response:
        """Mark her at the end, if that was not done before."""
        self.mark(status=response.status_code)
        self._request.environ[_KEY] = (
            None  # a circle would leave each request to the garbage collector
        )
        return response

    # who it is

    def visitor(self, *, asked: bool) -> Visitor | None:
        """Find out who makes the request. ``asked``: by the view, which may touch the session."""
        site = self._site
        if site.by_default:
            return self._by_default(asked=asked)
        if not self._is_named and site.here.identify is not None:
            self._named = clean_visitor(site.here.identify(self._request))
            self._is_named = True
        return self._named

    def _by_default(self, *, asked: bool) -> Visitor | None:
        manager = getattr(self._site.app, "login_manager", None)
        if manager is None:
            return self.stranger()
        user = g.get("_login_user")
        if user is None and asked:
            from flask_login import current_user

            user = real(current_user)
        if user is not None:
            return Visitor(str(user.get_id())) if user.is_authenticated else self.stranger()
        user_id = self._logged_in()
        if user_id is not None:
            return Visitor(user_id) if getattr(_session(), "accessed", True) else None
        config, sent = self._site.app.config, self._request
        if config.get("REMEMBER_COOKIE_NAME", "remember_token") in sent.cookies:
            return None  # perhaps a member, whom nobody has asked for
        if manager._request_callback is not None and "Authorization" in sent.headers:  # noqa: SLF001
            return None
        return self.stranger()

    def stranger(self) -> Visitor | None:
        """Name the guest or bot that makes the request, logged in or not."""
        sent = self._request
        return stranger(sent.remote_addr, sent.environ.get("HTTP_USER_AGENT"), self._site.keys)

    def _logged_in(self) -> str | None:
        """Whom the session says is logged in, without touching it."""
        if not hasattr(self._site.app, "login_manager"):
            return None
        session = _session()
        if not session:
            return None
        accessed = getattr(session, "accessed", None)
        user = session.get(_USER)
        if accessed is False:
            session.accessed = False
        return None if user is None else str(user)

    # marks

    def mark(self, *, status: int | None = None) -> None:
        """Mark who makes the request, and the rooms she is in; ``status`` is there at the end."""
        site = self._site
        if not self._counts or self._marking or not (site.by_default or site.here.identify):
            return
        self._marking = True  # identify may ask who is online
        try:
            visitor = self.visitor(asked=False)
            if status is not None and site.by_default:
                self._tell_of_logout()
            if visitor is not None and self._admitted(visitor):
                self._mark_all(visitor, status)
        except ValueError as error:  # a strange id or room, perhaps a visitor's: her page is served
            _log.error("a visitor is not marked: %s", error)
        except StoreError as error:
            site.trouble.note(error)
        finally:
            self._marking = False

    def _mark_all(self, visitor: Visitor, status: int | None) -> None:
        site = self._site
        first = self._marked is None or self._marked.user != visitor.user
        if first:
            self._mark_in(None, visitor)
        if site.has_rooms and self._rooms is None and (status is None or status < _BAD_REQUEST):
            self._rooms = site.rooms_of(self._request)
            first = True
        if first:
            for room in self._rooms or ():
                self._mark_in(room, visitor)
        self._marked = visitor

    def _admitted(self, visitor: Visitor) -> bool:
        site = self._site
        strange = visitor.kind in {"guest", "bot"}
        return not strange or site.guests.admits(visitor.user, site.window)

    def _mark_in(self, room: Any, visitor: Visitor) -> None:
        site = self._site
        presence = site.presence
        if room is not None:
            presence = presence.room(room)
            if not site.rooms.admits(presence.name, site.window):
                return
        kind, replaces = visitor.kind, self._replaced(visitor)
        presence.mark_online(visitor.user, kind, replaces=replaces)

    def _replaced(self, visitor: Visitor) -> str | None:
        """Whose place she takes: what she was earlier in this request, as a guest, or yesterday."""
        earlier = self._marked
        if earlier is not None and earlier.user != visitor.user and earlier.kind == "guest":
            return earlier.user
        site, sent = self._site, self._request
        if not site.by_default:
            return None
        if visitor.kind == "guest":
            agent = sent.environ.get("HTTP_USER_AGENT")
            return before_midnight(sent.remote_addr, agent, site.keys, site.window)
        if visitor.kind is None and self._before is None:  # logged in just now
            guest = self.stranger()
            return guest.user if guest is not None and guest.kind == "guest" else None
        return None

    def _tell_of_logout(self) -> None:
        before = self._before
        if before is not None and self._logged_in() != before:
            self._before = None
            try:
                self._site.presence.mark_offline(before, session="")
            except StoreError as error:
                self._site.trouble.note(error)


def begin(site: "Site") -> None:
    """Meet a request at its start, before any hook."""
    visit = Visit(site, real(request))
    request.environ[_KEY] = visit

    after_this_request(visit.end)


def is_over() -> bool:
    """Whether the request under way has been marked for good."""
    return request.environ.get(_KEY, _KEY) is None if has_request_context() else False


def current(site: "Site") -> Visit | None:
    """The visit of the request under way to this site, if there is one."""
    if not has_request_context():
        return None
    visit = request.environ.get(_KEY)
    return visit if isinstance(visit, Visit) and visit._site is site else None  # noqa: SLF001


def real(proxy: Any) -> Any:
    """Get what one of Flask's proxies stands for."""
    return proxy._get_current_object()  # noqa: SLF001 - so werkzeug has it


def _session() -> Any:
    context = real(_context)
    known = vars(context)
    return known["_session"] if "_session" in known else known.get("session")
