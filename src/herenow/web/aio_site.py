"""A site and the requests to it, whatever the framework: what their `policy` says is done on the store.

Written once, for asyncio, in ``aio_site.py``; ``site.py`` is generated from that, for threads
(`make generate`). An adapter makes one site of what it was given, and of each request an object of a
class of its own, under the visit here, whose first methods say what the framework knows. Nothing here
fails a page: what is wrong with the store is noted, a strange id or room logged.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import ref

from herenow.aio import AsyncPresence
from herenow.clocks import steady
from herenow.errors import StoreError
from herenow.models import Visitor
from herenow.outbox.deferred import Deferred
from herenow.outbox.port import AsyncPort
from herenow.web import policy
from herenow.web.bots import LONGEST_AGENT
from herenow.web.guests import Stranger
from herenow.web.options import Options, by_default
from herenow.web.policy import Act, Facts, Leave, Login, Mark, Policy, Who
from herenow.web.settings import Settings
from herenow.web.trouble import Trouble

_log: Final = logging.getLogger("herenow")
_NEVER: Final = (0.0, 0)
_MOST_MET: Final = 8_192


class AsyncSite:
    """One site: its Presence, its rules, and whether its store answers."""

    def __init__(self, options: Options, presence: AsyncPresence, settings: Settings) -> None:
        self.options = options
        self.presence = presence
        self.settings = settings
        self.port = AsyncPort(presence)
        self.trouble = Trouble(enabled=settings.enabled)
        self.marks = options.identify is not None
        self.policy = Policy(
            window=_window_of(self.port),
            by_default=options.identify is by_default,
            has_rooms=options.rooms is not None,
            secret=settings.secret,
            exclude=settings.exclude,
            max_guests=settings.max_guests,
            max_rooms=settings.max_rooms,
        )
        if self.policy.has_rooms:
            self.port.note_rooms()

    async def perform(self, acts: Iterable[Act]) -> None:
        """Do what follows from a request, in order. Raises StoreError; ValueError for a strange id."""
        for act in acts:
            if isinstance(act, Leave):
                await self._leave(act)
            else:
                await self._mark(act)

    async def _mark(self, act: Mark) -> None:
        who, replaces, room = act
        user, kind = (who, None) if isinstance(who, Stranger) else (who.user, who.kind)
        if room is not None:
            await self.port.defer(Deferred(user, None, replaces, self.presence.name), room)
        elif isinstance(user, str) and isinstance(replaces, str | None):
            await self.presence.mark_online(user, kind, replaces=replaces)
        else:
            await self.port.defer(Deferred(user, kind, replaces))

    async def _leave(self, act: Leave) -> None:
        user = act.user
        if isinstance(user, Stranger):
            visitor = await self.name(user)
            if visitor is None:
                return
            user = visitor.user
        if not act.rooms_only:
            await self.presence.mark_offline(user, session=act.session)
        if self.policy.has_rooms:
            await self.port.leave_rooms(user, session=act.session)

    async def leave_rooms(self, user: object, session: str | None = None) -> None:
        """Take a user out of the rooms that the site marks; what is wrong with the store is noted."""
        if self.policy.has_rooms:
            try:
                await self.port.leave_rooms(user, session)
            except StoreError as error:
                self.trouble.note(error)

    async def name(self, stranger: Stranger) -> Visitor | None:
        """Name a stranger, waiting for the day's key; None while the store does not give it."""
        try:
            for day in stranger.wanted():
                stranger.learn(day, await self.port.day_key(day))
        except StoreError as error:
            self.trouble.note(error)
        return stranger.visitor()

    def fast_path(self, facts: Callable[[Any], Facts]) -> Any:
        """Make what marks whoever can only be a stranger, by address, user agent and request.

        For sites without a login and ``rooms``: nine of ten requests end after a look-up and two
        comparisons. Never waits for the store where marks are buffered.
        """
        port, rules = self.port, self.policy
        stranger = rules.guests.stranger
        met: dict[tuple[str | None, str | None], tuple[float, int]] = {}

        async def meet(address: str | None, agent: str | None, request: Any) -> None:
            if agent is not None and len(agent) > LONGEST_AGENT:
                agent = agent[:LONGEST_AGENT]
            until, leaves = met.get((address, agent), _NEVER)
            if (steady() < until and leaves == port.leaves) or not rules.counts(facts(request)):
                return
            try:
                before = port.leaves
                await port.defer(Deferred(stranger(address, agent)))
            except StoreError as error:
                self.trouble.note(error)
                return
            if len(met) >= _MOST_MET:
                met.clear()
            met[address, agent] = (port.repeats_until(), before)

        return meet


def _window_of(port: AsyncPort) -> Callable[[], float]:
    """Make what gives a site's window, in seconds; marks that wait hold it, but not the site."""
    known, last = ref(port), [3 * port.beat_seconds]

    def window() -> float:
        there = known()
        if there is not None:
            last[0] = 3 * there.beat_seconds
        return last[0]

    return window


class AsyncVisit:
    """One request to a site; an adapter's own class says what its framework knows of it."""

    __slots__ = ("_busy", "_identified", "_is_identified", "_visit", "request", "site")

    def __init__(self, site: AsyncSite, request: Any) -> None:
        self.site = site
        self.request = request
        self._visit = policy.Visit(site.policy, self.facts(request), self.signed_in())
        self._identified: Visitor | None = None
        self._is_identified = False
        self._busy = False

    # what an adapter says

    @staticmethod
    def facts(request: Any) -> Facts:
        """What a request tells by itself."""
        raise NotImplementedError

    def signed_in(self) -> str | None:
        """Whom the session says is logged in, without touching it or waiting."""
        return None

    async def login(self, *, asked: bool) -> Login:  # noqa: ARG002 - for adapters
        """Who is logged in; unless ``asked`` by the view, without touching the session or waiting."""
        return Login(self.signed_in())

    async def identify(self) -> object:
        """Who makes the request, by the site's own function."""
        identify = self.site.options.identify
        return None if identify is None else identify(self.request)

    def is_fine(self) -> bool:
        """Whether nothing went wrong yet, before the answer has a status."""
        return True

    # what it is asked

    def rooms(self) -> list[object]:
        """Which rooms the request is in, by the site's own function."""
        rooms = self.site.options.rooms
        return [] if rooms is None else policy.listed(rooms(self.request))

    async def visitor(self) -> Visitor | None:
        """Who makes the request, for the view: it may touch the session, and wait."""
        who = await self._who(asked=True)
        return await self.site.name(who) if isinstance(who, Stranger) else who

    async def stranger(self) -> Visitor | None:
        """The guest or bot that makes the request, logged in or not; may wait for the day's key."""
        return await self.site.name(self.site.policy.stranger(self._visit.facts))

    async def mark(self, *, asks_of_room: bool = False) -> None:
        """Mark who makes the request, before something is read: they find themselves there."""
        await self._mark(None, asks_of_room=asks_of_room and self.is_fine())

    async def end(self, status: int) -> None:
        """Mark who makes the request, after the view: it may have logged them in, or out."""
        self._is_identified = False
        await self._mark(status, asks_of_room=False)

    async def _who(self, *, asked: bool) -> Who | None:
        if self.site.policy.by_default:
            return self._visit.who(await self.login(asked=asked))
        if not self._is_identified:
            self._identified = self._visit.identified(await self.identify())
            self._is_identified = True
        return self._identified

    async def _mark(self, status: int | None, *, asks_of_room: bool) -> None:
        visit, site = self._visit, self.site
        if self._busy or not (visit.counts and site.marks):
            return
        self._busy = True  # identify may ask who is online
        try:
            who = await self._who(asked=False)
            if status is not None:
                try:
                    await site.perform(visit.logout(self.signed_in))
                except StoreError as error:
                    site.trouble.note(error)
            acts = visit.mark(who, self.rooms, status, asks_of_room=asks_of_room)
            await site.perform(acts)
        except ValueError as error:  # a strange id or room, perhaps a visitor's: the page is served
            _log.error("a visitor is not marked: %s", error)
        except StoreError as error:
            site.trouble.note(error)
        finally:
            self._busy = False
