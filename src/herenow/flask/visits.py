"""A request to a Flask site: what Flask and Flask-Login know of it, for the rules of `web.policy`.

It is marked at the first question to the store, and at the end at the latest: after the view, before any
other hook on the response, whatever the order in which extensions were set up. The session is read past
the proxy that notes it, so that nothing here adds ``Vary: Cookie``. What belongs to one request lies in
its environ, not in `g`, which requests share when an app context is pushed around them.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Request, Response, after_this_request, g, has_request_context, request
from flask import globals as flask_globals

from herenow.web import site as site_
from herenow.web.policy import Facts, Login
from herenow.web.site import Site

_KEY: Final = "herenow.visit"
_USER: Final = "_user_id"  # where Flask-Login keeps who is logged in
# the two contexts are one from Flask 3.2 on
_context: Final = vars(flask_globals).get("request_ctx", flask_globals.app_ctx)


class Visit(site_.Visit):
    """One request."""

    __slots__ = ("_context",)

    def __init__(self, site: Site, context: Any) -> None:
        self._context = context
        super().__init__(site, context.request)

    @staticmethod
    def facts(request: Request) -> Facts:
        """What a request tells by itself."""
        rule = request.url_rule
        return Facts(
            request.method,
            request.path,
            request.remote_addr,
            request.environ.get("HTTP_USER_AGENT"),
            static=rule is not None and rule.endpoint.rpartition(".")[2] == "static",
        )

    def signed_in(self) -> str | None:
        """Whom the session says is logged in, without touching it."""
        known = vars(self._context)  # its property `session` would count as a touch
        session = known["_session"] if "_session" in known else known.get("session")
        if not session or _logins(self._context.app) is None:
            return None
        accessed = getattr(session, "accessed", None)
        user = session.get(_USER)
        if accessed is False:
            session.accessed = False
        return None if user is None else str(user)

    def login(self, *, asked: bool) -> Login:
        """Who is logged in; `current_user` is asked where the view has asked it, or does so now."""
        logins = _logins(self._context.app)
        if logins is None:
            return Login()
        user = g.get("_login_user")
        if user is None and asked:
            from flask_login import current_user

            user = real(current_user)
        if user is not None:
            return Login(str(user.get_id()) if user.is_authenticated else None)
        user_id = self.signed_in()
        sent, config = self.request, self._context.app.config
        unread = config.get("REMEMBER_COOKIE_NAME", "remember_token") in sent.cookies or (
            "Authorization" in sent.headers and logins._request_callback is not None  # noqa: SLF001 - it has no other name
        )
        return Login(user_id, unread=unread)

    def is_fine(self) -> bool:
        """Whether nothing went wrong yet; a handler of errors runs while one is handled."""
        return self.request.routing_exception is None and sys.exception() is None

    def answered(self, response: Response) -> Response:
        """Mark who made the request, by the answer."""
        self.end(response.status_code)
        # a circle would leave each request to the garbage collector
        self.request.environ[_KEY] = None
        return response


def _logins(app: Flask) -> Any:
    """The LoginManager of an app that has one."""
    return vars(app).get("login_manager")


def meeting(site: Site, app: Flask) -> Callable[[], None]:
    """Make what meets a request at its start, before any hook.

    A plain function, which Flask looks at faster than at a method. Whoever can only be a stranger is
    marked here and now, in a few microseconds; of others a Visit is kept until the end.
    """
    strangers_alone = site.policy.by_default and not site.policy.has_rooms
    meet_stranger = site.fast_path(Visit.facts)
    find, attributes = _context._get_current_object, vars(app)  # noqa: SLF001 - werkzeug's name for it

    def meet() -> None:
        context = find()
        request = context.request
        environ = request.environ
        if strangers_alone and "login_manager" not in attributes:
            environ[_KEY] = None
            meet_stranger(request.remote_addr, environ.get("HTTP_USER_AGENT"), request)
        else:
            visit = environ[_KEY] = Visit(site, context)
            after_this_request(visit.answered)

    return meet


def is_over() -> bool:
    """Whether the request under way has been marked for good."""
    return request.environ.get(_KEY, _KEY) is None if has_request_context() else False


def current(site: Site) -> Visit | None:
    """The visit of the request under way to this site, if there is one."""
    if not has_request_context():
        return None
    visit = request.environ.get(_KEY)
    if isinstance(visit, Visit) and visit.site is site:
        return visit
    return Visit(site, real(_context))  # a request that was made by hand


def real(proxy: Any) -> Any:
    """Get what one of Flask's proxies stands for."""
    return proxy._get_current_object()  # noqa: SLF001 - so werkzeug has it
