"""`HereNow`: sets apps up, and finds the one that is asked about.

It owns two promises. A page never fails because the store does: what is asked through `here` gets an
empty answer then (see `fail_open`); `here.presence` raises. Apps share nothing but their HereNow: what
belongs to one lies in its ``app.extensions["herenow"]``.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from flask import Flask, Request, current_app, has_app_context

from herenow.flask import showing, visits
from herenow.flask.command import online_command
from herenow.flask.private import keep_private, make_private
from herenow.models import Visitor
from herenow.names import Kind
from herenow.presence import Presence
from herenow.web.fail_open import FailOpen
from herenow.web.options import Options, by_default
from herenow.web.people import Names
from herenow.web.site import Site

Identify = Callable[[Request], object]
RoomsOf = Callable[[Request], "Iterable[object] | object | None"]


class HereNow(FailOpen):
    """Who is online on a Flask site, or on several: ``HereNow(app)``, or ``here.init_app(app)``.

    ``identify(request)`` names who makes a request: a user's id, a `herenow.Visitor`, or None for
    nobody. It is asked after the view, so that whatever loads the user in a hook has done so, and before
    that at the first question: whoever was a guest then and logs in takes their place. Without it: the
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
        self._options = Options(presence, identify, names, rooms, settings)
        super().__init__(self._reached, lambda: self._site().trouble, names)
        self._apps: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an app up: its presence, the marks, the page of who is online, templates, command.

        Connects to nothing. Raises ValueError as ``HereNow`` does, and for an app that has one.
        """
        if "herenow" in app.extensions:
            raise ValueError("this app has a HereNow already")
        local = Path(app.instance_path, "herenow") if app.debug or app.testing else None
        presence, settings = self._options.open(app.config, local)
        site = app.extensions["herenow"] = Site(self._options, presence, settings)
        self._apps.add(app)
        if settings.enabled and site.marks:
            # the first of all hooks: one that answers ends the row, and the visitor is there all the same
            app.before_request_funcs.setdefault(None, []).insert(0, visits.meeting(site, app))
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

        Where there are ``rooms``: who hides leaves them all, and so does whoever ``replaces`` names; that
        waits for the store. In the next room they are what they are on the site.
        """
        came = super().mark_online(user, kind, session, away, info, replaces)
        site = self._site()
        if replaces is not None:
            site.leave_rooms(replaces)
        if kind == "hidden":
            site.leave_rooms(user)
        return came

    def mark_offline(self, user: object, session: str | None = None) -> bool:
        """Record that a user, or one session of theirs, is gone: from the site and all ``rooms``."""
        left = super().mark_offline(user, session)
        self._site().leave_rooms(user, session)
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
        has not given the day's key, and outside of a request.
        """
        visit = self._visit()
        return None if visit is None else visit.stranger()

    def token(self, rooms: Iterable[object] | None = None, expires: float = 3600.0) -> str:
        """Sign a token by which a page asks herenow's service as the visitor of this request.

        It holds for ``rooms``, else for `site` and the rooms of this request, for ``expires`` seconds.
        They may see who is there, and mark themselves; whoever is nobody may only see. The answer to this
        request is sent with ``Cache-Control: private, no-store``: nobody else gets the token. Asks no
        store.
        Raises ValueError where HERENOW_SECRET is not set, which the service must share, and RuntimeError
        in the middle of an answer that is streamed and may be cached.
        """
        from herenow.web.tokens import sign_token

        site, visitor = self._site(), self.visitor
        if site.settings.secret is None:
            raise ValueError("HERENOW_SECRET is not set: tokens are signed with it")
        if rooms is None:
            visit = self._visit()
            rooms = ["site", *([] if visit is None else visit.rooms())]
        who: dict[str, Any] = {}
        if visitor is not None:
            who = {"user": visitor.user, "kind": visitor.kind}
        make_private()
        return sign_token(**who, rooms=rooms, expires=expires, secret=site.settings.secret)

    # which app

    def _reached(self, reading: bool, room: str | None) -> Presence:
        visit = self._visit() if reading and not visits.is_over() else None
        if visit is not None:
            visit.mark(asks_of_room=room is not None)
        return self._site().presence

    def _visit(self) -> visits.Visit | None:
        return visits.current(self._site())

    def _site(self) -> Site:
        apps = [current_app] if has_app_context() else list(self._apps)
        if len(apps) != 1:
            raise RuntimeError(
                f"outside of an app's context herenow needs exactly one app, and has {len(apps)}: "
                "use `with app.app_context():`"
            )
        site = apps[0].extensions.get("herenow")
        if not isinstance(site, Site) or site.options is not self._options:
            raise RuntimeError("this HereNow does not know the current app: call init_app(app)")
        return site
