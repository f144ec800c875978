"""`HereNow`: sets apps up, and finds the one that is asked about.

It owns two promises. A page never fails because the store does: what is asked through `here` gets an
empty answer then (see `fail_open`); `here.presence` raises. Apps share nothing but their HereNow: what
belongs to one lies in its ``app.extensions["herenow"]``.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet, ref

from flask import (
    Flask,
    Request,
    current_app,
    has_app_context,
    has_request_context,
    request,
)

from herenow.errors import StoreUnavailable
from herenow.flask import showing, visits
from herenow.flask.command import online_command
from herenow.flask.private import keep_private, make_private
from herenow.models import Visitor
from herenow.names import Kind
from herenow.outbox.port import Port
from herenow.presence import Presence
from herenow.web import visitors
from herenow.web.fail_open import Disabled, FailOpen, Trouble
from herenow.web.people import Names
from herenow.web.settings import Settings, make_presence, read_settings

_log: Final = logging.getLogger("herenow")
Identify = Callable[[Request], object]
RoomsOf = Callable[[Request], "Iterable[object] | object | None"]


def by_default(request: Request) -> object:
    """Stand for the built-in: the user of Flask-Login, a bot, else a guest."""
    raise NotImplementedError


_OF_THE_SITE: Final = {
    "online_url", "enabled", "exclude", "secret", "service_url", "max_guests", "max_rooms",
}  # fmt: skip
_OF_THE_SERVICE: Final = {one.name for one in fields(Settings) if one.metadata["of"] == "service"}


class Site:
    """What herenow is for one app."""

    def __init__(self, here: "HereNow", app: Flask, presence: Presence, settings: Settings) -> None:
        self.here = here
        self.app = app
        self.presence = presence
        self.port = Port(presence)
        self.trouble = Trouble(enabled=settings.enabled)
        self.by_default = here.identify is by_default
        self.marks = here.identify is not None
        self.has_rooms = here.rooms_of is not None
        if self.has_rooms:
            self.port.note_rooms()
        self.secret = settings.secret
        self.service_url = settings.service_url
        self.excludes = bool(settings.exclude)
        self.excluded = visitors.excluding(settings.exclude)
        self.keys = visitors.DayKeys(settings.secret, _asking(presence))
        self.guests = visitors.Bound(settings.max_guests, "HERENOW_MAX_GUESTS")
        self.rooms = visitors.Bound(settings.max_rooms, "HERENOW_MAX_ROOMS")
        self.naming = visitors.Naming(self.keys, self.guests, _window_of(self))

    @property
    def window(self) -> float:
        """The window of the room `site` in seconds, as far as this process knows."""
        return 3 * self.port.beat_seconds

    @property
    def has_login(self) -> bool:
        """Whether Flask-Login was set up for the app."""
        return "login_manager" in vars(self.app)

    def rooms_of(self, request: Request) -> list[object]:
        """Name the rooms that a request is in."""
        named = self.here.rooms_of(request) if self.here.rooms_of is not None else None
        if named is None:
            return []
        return [*named] if isinstance(named, list | tuple | set | frozenset) else [named]


def _asking(presence: Presence) -> Callable[[date], str]:
    """Make what asks for the key of a day; the Presence, which knows the asker, is not held by it."""
    known = ref(presence)

    def ask(day: date) -> str:
        there = known()
        if there is None:
            raise StoreUnavailable("the Presence is gone")
        return Port(there).day_key(day)

    return ask


def _window_of(site: Site) -> Callable[[], float]:
    """Make what tells the window of a site, and the last that was known where it is gone."""
    known, last = ref(site), [site.window]

    def window() -> float:
        there = known()
        if there is not None:
            last[0] = there.window
        return last[0]

    return window


class HereNow(FailOpen):
    """Who is online on a Flask site, or on several: ``HereNow(app)``, or ``here.init_app(app)``.

    ``identify(request)`` names who makes a request: a user's id, a `herenow.Visitor`, or None for
    nobody. It is asked after the view, so that whatever loads the user in a hook has done so, and before
    that at the first question: whoever was a guest then and logs in takes her place. Without it: the
    user of Flask-Login as a member, a bot by its user agent, anybody else as a guest. ``identify=None``
    marks nobody: you do, in a hook of your own. ``names(ids)`` gives a dict from ids (as str) to names,
    once a list that is shown; ``rooms(request)`` the rooms to be marked beside ``site``, at the first
    question about one, or at the end: not where the page's status is 400 or more. ``presence`` is one
    made elsewhere; else it is made from ``settings`` (the fields of `herenow.web.settings.Settings` as
    keywords), the app's config and the environment. In an app's context that app's presence
    answers; outside of any, the only app's.

    Raises a ValueError that names the setting for one that is wrong, or for no store at all.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        presence: Presence | None = None,
        identify: Identify | None = by_default,
        names: Names | None = None,
        rooms: RoomsOf | None = None,
        **settings: Any,
    ) -> None:
        if presence is not None and not isinstance(presence, Presence):
            raise ValueError(f"presence is a herenow.Presence, not {type(presence).__name__}")
        if identify is not None and not callable(identify):
            raise ValueError("identify is a function of the request, or None")
        if names is not None and not callable(names):
            raise ValueError("names is a function from a list of ids to a dict of their names")
        if rooms is not None and not callable(rooms):
            raise ValueError("rooms is a function from a request to the names of rooms")
        own = sorted(settings.keys() - _OF_THE_SITE)
        theirs = sorted(settings.keys() & _OF_THE_SERVICE)
        if theirs:
            raise ValueError(
                f"{theirs[0]} is a setting of the service: a site does nothing with it"
            )
        if presence is not None and own:
            raise ValueError(f"presence has its own {own[0]}: give the one or the other")
        super().__init__(self._reached, lambda: self._site().trouble, names)
        self.identify = identify
        self.rooms_of = rooms
        self._given = presence
        self._settings = settings
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an app up: its presence, the marks, the page of who is online, templates, command.

        Connects to nothing. Raises ValueError as ``HereNow`` does, and for an app that has one.
        """
        if "herenow" in app.extensions:
            raise ValueError("this app has a HereNow already")
        settings = read_settings(self._settings, app.config)
        local = Path(app.instance_path, "herenow") if app.debug or app.testing else None
        presence = self._given or Disabled()
        if settings.enabled and self._given is None:
            presence = make_presence(settings, embedded=local)
        elif not settings.enabled:
            presence = Disabled()
        site = app.extensions["herenow"] = Site(self, app, presence, settings)
        self._apps.add(app)
        if site.by_default and (settings.window or 0) > visitors.LONGEST_WINDOW:
            _log.warning("a window of over a day: guests may be counted by the name of each day")
        if settings.enabled and self.identify is not None:
            # the first of all hooks: one that answers ends the row, and the visitor is there all the same
            app.before_request_funcs.setdefault(None, []).insert(0, visits.meeting(site))
        if settings.secret is not None:  # else there are no tokens
            keep_private(app)
        showing.add_to_templates(self, app)
        app.cli.add_command(online_command(self))
        if settings.online_url is not None:
            app.add_url_rule(
                settings.online_url, "herenow_online", lambda: showing.online_page_of(self)
            )

    def mark_online(
        self,
        user: object,
        kind: Kind | None = None,
        session: str = "",
        away: bool | None = None,
        info: Mapping[str, Any] | None = None,
        replaces: object | None = None,
    ) -> bool | None:
        """Mark a user, as `Presence.mark_online` does.

        Where there are ``rooms``: who hides leaves them all, and so does whoever she ``replaces``; that
        waits for the store. Where she goes next she is what she is on the site.
        """
        came = super().mark_online(user, kind, session, away, info, replaces)
        if self._site().has_rooms:
            if replaces is not None:
                self._leave_rooms(replaces)
            if kind == "hidden":
                self._leave_rooms(user)
        return came

    def mark_offline(self, user: object, session: str | None = None) -> bool:
        """Record that a user, or one session of hers, is gone: from the site, and from all ``rooms``."""
        left = super().mark_offline(user, session)
        if self._site().has_rooms:
            self._leave_rooms(user, session)
        return left

    @property
    def presence(self) -> Presence:
        """The app's `Presence`, which raises `StoreError` when the store fails."""
        return self._reached(reading=True, room="")  # whichever it will be asked about

    @property
    def visitor(self) -> Visitor | None:
        """Who makes the request under way; None for nobody, or outside of one.

        By default it asks Flask-Login, as `current_user` does. Its kind is member for whoever hid, too.
        """
        visit = self._visit()
        visitor = None if visit is None else visit.visitor()
        return None if visitor is None else visitor.shown

    def guest_or_bot(self) -> Visitor | None:
        """The guest or bot of the request under way, as by default, for an ``identify`` of your own.

        ``identify=lambda request: session.get("user_id") or here.guest_or_bot()``. None while the store
        has not told the day's key, and outside of a request.
        """
        visit = self._visit()
        return None if visit is None else visit.stranger()

    def token(self, rooms: Iterable[object] | None = None, expires: float = 3600.0) -> str:
        """Sign a token by which a page asks herenow's service as the visitor of this request.

        It holds for ``rooms``, else for `site` and the rooms of this request, for ``expires`` seconds.
        She may see who is there, and mark herself; whoever is nobody may only see. The answer to this
        request is sent with ``Cache-Control: private, no-store``: the token is hers alone. Asks no store.
        Raises ValueError where HERENOW_SECRET is not set, which the service must share, and RuntimeError
        in the middle of an answer that is streamed and may be cached.
        """
        from herenow.web.tokens import sign_token

        site, visitor = self._site(), self.visitor
        if site.secret is None:
            raise ValueError("HERENOW_SECRET is not set: tokens are signed with it")
        if rooms is None:
            rooms = [
                "site",
                *(site.rooms_of(visits.real(request)) if has_request_context() else ()),
            ]
        who: dict[str, Any] = {}
        if visitor is not None:
            who = {"user": visitor.user, "kind": visitor.kind}
        make_private()
        return sign_token(**who, rooms=rooms, expires=expires, secret=site.secret)

    # which app

    def _reached(self, reading: bool, room: str | None) -> Presence:
        visit = self._visit() if reading and not visits.is_over() else None
        if visit is not None:
            visit.mark(asked_of_room=room is not None)
        return self._site().presence

    def _visit(self) -> visits.Visit | None:
        site = self._site()
        visit = visits.current(site)
        if visit is None and has_request_context():  # one that was made by hand
            visit = visits.by_hand(site)
        return visit

    def _site(self) -> Site:
        apps = [current_app] if has_app_context() else list(self._apps)
        if len(apps) != 1:
            raise RuntimeError(
                f"outside of an app's context herenow needs exactly one app, and has {len(apps)}: "
                "use `with app.app_context():`"
            )
        site = apps[0].extensions.get("herenow")
        if not isinstance(site, Site) or site.here is not self:
            raise RuntimeError("this HereNow does not know the current app: call init_app(app)")
        return site
