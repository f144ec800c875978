"""The Flask adapter: marks who makes a request, and answers the recipe's questions.

    here = HereNow(app, identify=lambda request: request.remote_addr)
    here.get_online_users()

Thin: settings come from `settings`, everything else from `Presence`. It owns two promises. A page
never fails because the store does: what is asked through `here` gets an empty answer then, and the
log one line a change; `here.presence` raises. And apps share nothing but their HereNow: what
belongs to one lies in its ``app.extensions["herenow"]``.
"""

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from weakref import WeakSet

from flask import Flask, Request, Response, current_app, has_app_context, request

from herenow.errors import StoreError
from herenow.models import Health
from herenow.presence import Presence
from herenow.settings import make_presence, read_settings

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")
Identify = Callable[[Request], object]
_log: Final = logging.getLogger("herenow")
_UNKNOWN: Final = "unknown (the store does not answer)"


class _Site:
    """What herenow is for one app: a Presence, and whether it lately answered."""

    def __init__(self, here: "HereNow", presence: Presence) -> None:
        self.here = here
        self.presence = presence
        self._answers = True

    def note(self, error: StoreError | None) -> None:
        """Log that the store fails, or no longer does, once a change."""
        if error is not None and self._answers:
            _log.warning("pages are served without the store: %s", error)
        elif error is None and not self._answers:
            _log.info("pages are served with the store again")
        self._answers = error is None


def _calm(
    method: Callable[Concatenate[Presence, P], T], otherwise: Callable[[], D], *, asks: bool = True
) -> Callable[Concatenate["HereNow", P], T | D]:
    """Make a method of `Presence` one that gives ``otherwise()`` when the store fails.

    ``asks`` is whether an answer shows that the store is there: a mark may never reach it.
    """

    @wraps(method)
    def call(here: "HereNow", /, *args: P.args, **kwargs: P.kwargs) -> T | D:
        site = here._site()  # noqa: SLF001 - a method of it
        try:
            answer = method(site.presence, *args, **kwargs)
        except StoreError as error:
            site.note(error)
            return otherwise()
        if asks:
            site.note(None)
        return answer

    return call


class HereNow:
    """Who is online on a Flask site, or on several: ``HereNow(app)``, or ``here.init_app(app)``.

    ``identify(request)`` names who makes a request, or gives None for nobody; without it nothing is
    marked by itself. ``presence`` is one made elsewhere; else it is made from ``settings`` (the
    fields of `herenow.settings.Settings` as keywords), the app's config and the environment. In an
    app's context that app's presence answers; outside of any, the only app's.

    Raises a ValueError that names the setting for one that is wrong, or for no store at all.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        presence: Presence | None = None,
        identify: Identify | None = None,
        **settings: Any,
    ) -> None:
        if presence is not None and not isinstance(presence, Presence):
            raise ValueError(f"presence is a herenow.Presence, not {type(presence).__name__}")
        if identify is not None and not callable(identify):
            raise ValueError("identify is a function of the request, or None")
        own = sorted(settings.keys() - {"online_url"})
        if presence is not None and own:
            raise ValueError(f"presence has its own {own[0]}: give the one or the other")
        self._presence = presence
        self._identify = identify
        self._settings = settings
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an app up: its presence, the mark before each request, the page of who is online.

        Connects to nothing. Raises ValueError as ``HereNow`` does, and for an app that has one.
        """
        if "herenow" in app.extensions:
            raise ValueError("this app has a HereNow already")
        settings = read_settings(self._settings, app.config)
        local = Path(app.instance_path, "herenow") if app.debug or app.testing else None
        presence = self._presence or make_presence(settings, embedded=local)
        app.extensions["herenow"] = _Site(self, presence)
        self._apps.add(app)
        if self._identify is not None:
            app.before_request(self._mark_visitor)
        if settings.online_url is not None:
            app.add_url_rule(settings.online_url, "herenow_online", self._page)

    mark_online = _calm(Presence.mark_online, bool, asks=False)
    mark_offline = _calm(Presence.mark_offline, bool)
    is_online = _calm(Presence.is_online, bool)
    get_online_users = _calm(Presence.get_online_users, list[str])
    get_user_last_activity = _calm(Presence.get_user_last_activity, lambda: None)

    def health(self) -> Health:
        """How the store does, by one PING. Never raises for the store."""
        return self.presence.health()

    @property
    def presence(self) -> Presence:
        """The app's `Presence`, which raises `StoreError` when the store fails."""
        return self._site().presence

    def _site(self) -> _Site:
        apps = [current_app] if has_app_context() else list(self._apps)
        if len(apps) != 1:
            raise RuntimeError(
                f"outside of an app's context herenow needs exactly one app, and has {len(apps)}: "
                "use `with app.app_context():`"
            )
        site = apps[0].extensions.get("herenow")
        if not isinstance(site, _Site) or site.here is not self:
            raise RuntimeError("this HereNow does not know the current app: call init_app(app)")
        return site

    def _mark_visitor(self) -> None:
        endpoint = request.endpoint or ""
        if self._identify is None or endpoint.rpartition(".")[2] == "static":
            return
        user = self._identify(request)
        if user is not None:
            try:
                self.mark_online(user)
            except ValueError as error:  # a strange id, perhaps a visitor's: her page is served
                _log.error("a visitor is not marked: %s", error)

    def _page(self) -> Response:
        try:
            online = ", ".join(self.presence.get_online_users())
        except StoreError as error:
            self._site().note(error)
            online = _UNKNOWN
        page = Response(f"Online: {online}", mimetype="text/plain")
        page.headers["Cache-Control"] = "no-store"
        page.headers["X-Content-Type-Options"] = "nosniff"  # ids are the visitors' own words
        return page
