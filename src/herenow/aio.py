"""AsyncPresence: `Presence` for asyncio, with the same methods as coroutines.

The docstrings are those of `Presence`; what differs is said here. A test holds the signatures equal.
"""

import asyncio
import logging
import secrets
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from herenow import names
from herenow.errors import StoreError
from herenow.models import (
    Counts,
    Explanation,
    Health,
    Page,
    Peak,
    Room,
    Sample,
    Sighting,
    Snapshot,
    UserPresence,
)
from herenow.operations import Operation, Plan, history, marking, online, single, users
from herenow.operations.scope import Scope
from herenow.outbox.buffer import Unnamed
from herenow.outbox.core import DEFAULT_TIMEOUT, Core, online_as
from herenow.outbox.deferred import Namer
from herenow.outbox.tasks import AsyncFlushing, AsyncOpenSession
from herenow.presence import _NOTHING, DEFAULT_URL, Owner, Presence, Seconds
from herenow.store.aio_engine import AsyncEngine, Observe
from herenow.store.opening import opener, same_store
from herenow.store.urls import is_temporary
from herenow.watching.tasks import AsyncEvents, AsyncWatchers

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
_log: Final = logging.getLogger("herenow")


class AsyncPresence:
    """`Presence` for asyncio. Give it a URL, or an asyncio client of redis-py or valkey-py.

    Close it by `aclose` or `async with`: buffered marks that a dying loop leaves are sent by the
    flusher's task when that is cancelled, as `asyncio.run` does.
    """

    def __init__(
        self,
        store: Any = DEFAULT_URL,
        *,
        window: Seconds | None = None,
        retention: Seconds | None = None,
        resolution: Seconds | None = None,
        buffered: bool = False,
        history: bool | Seconds | None = None,
        prefix: str = "herenow:",
        clock: Callable[[], float] | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> None:
        self._core = Core(
            window=window,
            retention=retention,
            resolution=resolution,
            buffered=buffered,
            history=history,
            prefix=prefix,
            clock=clock,
        )
        seconds = names.milliseconds(timeout, "a timeout") / 1000
        self._engine = AsyncEngine(
            opener(store, seconds, asynchronous=True), same_store(store, seconds, "async")
        )
        self._core.memory.topology = weakref.proxy(self._engine.store)  # no circle
        self._scope = self._core.site
        self._owner = Owner()
        buffer = self._core.buffer
        self._flusher = (
            None
            if buffer is None
            else AsyncFlushing(self._core, buffer, self._engine, seconds, self._owner)
        )
        self._watchers = AsyncWatchers(self._core, self._engine)

    # sightings

    async def mark_online(
        self,
        user: object,
        kind: names.Kind | None = None,
        session: str = "",
        away: bool | None = None,
        info: Mapping[str, Any] | None = None,
        replaces: object | None = None,
    ) -> bool | None:
        if type(user) is not str:
            user = names.clean_user(user)
        if (
            info is None
            and replaces is None
            and type(session) is str
            and self._core.repeats(self._scope, user, session, kind, away)
        ):
            return None if self._flusher else False
        plain = (kind, session, away, info, replaces) == _NOTHING
        if self._flusher is not None and (plain or (session, away, info) == ("", None, None)):
            self._core.put(self._scope, [marking.simple(user, kind, replaces)])
            self._flusher.wake()
            return None
        if plain and self._core.memory.settled(self._scope, str(user)):
            name = names.clean_user(user)
            moment, cleared = self._core.now(), self._core.throttle.cleared
            mixed = self._core.memory.mixed(self._scope)
            written = await self._engine.call(marking.mark_plain(self._scope, name, mixed=mixed))
            if written is not None:
                more = self._core.marked(self._scope, name, written, moment, cleared)
                if more is not None:
                    await self._engine.run(more)
                return written.result > 0
        sighting = Sighting(user, kind, session, away, info, 0.0, replaces)
        came = await self._mark(self._scope, [marking.clean(sighting)])
        return None if came is None else came > 0

    async def mark_online_many(self, sightings: Iterable[object]) -> int | None:
        many = marking.listed(sightings)
        plan = self._core.mark_many(self._scope, many)
        if plan is not None:
            return await self._engine.run(plan)
        return await self._mark(self._scope, marking.clean_all(many))

    async def _mark(self, scope: Scope, marks: list[marking.Mark]) -> int | None:
        marks = self._core.fresh(scope, marks)
        if self._flusher is not None:
            self._core.put(scope, marks)
            self._flusher.wake()
            return None
        return await self._engine.run(self._core.mark(scope, marks)) if marks else 0

    async def _mark_session(self, mark: marking.Mark) -> None:
        await self._mark(self._scope, [mark])

    async def _beat(self, mark: marking.Mark) -> names.Kind | None:
        if self._flusher is None:
            return await self._engine.run(self._core.beat(self._scope, mark))
        await self._mark(self._scope, [mark])
        return online_as(await self._one(mark.user, include_hidden=True))

    async def mark_beside(self, user: object, room: object, replaces: object | None = None) -> None:
        kind = marking.beside(self.name)
        scope, mark = self._core.room(room), marking.simple(user, None, replaces)
        if scope.room != self.name and (
            replaces or not self._core.is_repeat(scope, mark.user, kind)
        ):
            await self._mark(scope, [mark._replace(kind=kind)])

    async def mark_unnamed(self, seen: Unnamed) -> tuple[float, int]:
        moment, leaves = self._core.now(), self._core.throttle.cleared
        if self._flusher is not None:
            self._core.put_unnamed(self._scope, seen)
            self._flusher.wake()
        elif (mark := seen.make(seen.address, seen.agent, 0.0)) is not None:
            await self._mark(self._scope, [mark])
        return self._core.repeats_until(self._scope, moment), leaves

    async def mark_offline(self, user: object, session: str | None = None) -> bool:
        name = names.clean_user(user)
        return await self._run(self._core.leave(self._scope, name, session), ending=(name,))

    @asynccontextmanager
    async def session(
        self,
        user: object,
        kind: names.Kind | None = None,
        session: str | None = None,
        away: bool | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncOpenSession]:
        """Hold a session open, by a task; see `Presence.session`."""
        name = secrets.token_urlsafe(9) if session is None else names.clean_session(session)
        held = AsyncOpenSession(self, user, name, kind, away, info)
        await self.mark_online(user, kind, held.name, away, info)
        beat = asyncio.create_task(held.beat())
        try:
            yield held
        finally:
            held.over = True
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            try:
                await self.mark_offline(user, held.name)
            except StoreError as error:
                _log.warning("a session ends by itself, within the window: %s", error)

    async def _end_sessions(
        self, ended: Iterable[tuple[str, str, str]]
    ) -> list[tuple[str, str, str]]:
        """End many sessions at once, for the service; those that the store did not take."""
        many = list(ended)
        users = {user for _, user, _ in many}
        return await self._run(self._core.end_sessions(many), None, users)

    @property
    def beat_due(self) -> float:
        return self._core.beat_due(self._scope)

    @property
    def beat_seconds(self) -> float:
        return self._core.memory.window(self._scope) / 3000

    # who is online

    async def is_online(self, user: object, *, include_hidden: bool = False) -> bool:
        return (await self._one(user, include_hidden=include_hidden)).online

    async def get_user_last_activity(
        self, user: object, *, include_hidden: bool = False
    ) -> datetime | None:
        return (await self._one(user, include_hidden=include_hidden)).last_seen

    async def _one(self, user: object, *, include_hidden: bool) -> UserPresence:
        name = names.clean_user(user)
        found = await self._call(users.lookup(self._scope, [name], include_hidden=include_hidden))
        return found[0]

    async def lookup(
        self, users: Iterable[K], *, include_hidden: bool = False
    ) -> dict[K, UserPresence]:
        return await self._run(self._core.lookup(self._scope, users, include_hidden=include_hidden))

    async def get_online_users(
        self,
        window: Seconds | None = None,
        kind: names.Kind = "member",
        limit: int | None = None,
        *,
        include_hidden: bool = False,
    ) -> list[str]:
        return await self._call(
            online.users(self._scope, window, kind, limit, include_hidden=include_hidden)
        )

    async def page_online_users(
        self,
        limit: int = 50,
        cursor: str | None = None,
        window: Seconds | None = None,
        kind: names.Kind = "member",
        *,
        include_hidden: bool = False,
    ) -> Page:
        return await self._call(
            online.page(self._scope, limit, cursor, window, kind, include_hidden=include_hidden)
        )

    async def count_online_users(
        self,
        window: Seconds | None = None,
        kind: names.Kind = "member",
        *,
        include_hidden: bool = False,
    ) -> int:
        return await self._call(
            online.count(self._scope, window, kind, include_hidden=include_hidden)
        )

    async def counts(self, *, include_hidden: bool = False) -> Counts:  # noqa: ARG002
        return await self._call(online.counts(self._scope))

    async def count_active_users(self, window: Seconds, *, include_hidden: bool = False) -> int:
        return await self._call(
            online.active_count(self._scope, window, include_hidden=include_hidden)
        )

    async def get_active_users(
        self, window: Seconds, limit: int = 50, *, include_hidden: bool = False
    ) -> list[str]:
        return await self._call(
            online.active_users(self._scope, window, limit, include_hidden=include_hidden)
        )

    async def peak(
        self,
        kind: names.Kind | None = None,
        *,
        include_hidden: bool = False,
    ) -> Peak:
        return await self._call(online.peak(self._scope, kind, include_hidden=include_hidden))

    async def history(
        self,
        start: datetime,
        end: datetime,
        step: names.Step = "minute",
        *,
        include_hidden: bool = False,
    ) -> list[Sample]:
        return await self._run(
            history.read(self._scope, start, end, step, include_hidden=include_hidden)
        )

    async def unique_users(
        self, days: int = 1, kind: names.Kind = "member", *, include_hidden: bool = False
    ) -> int:
        return await self._run(
            history.uniques(self._scope, days, kind, include_hidden=include_hidden)
        )

    async def snapshot(self, limit: int = 50, *, include_hidden: bool = False) -> Snapshot:
        return await self._call(online.snapshot(self._scope, limit, include_hidden=include_hidden))

    def watch(
        self,
        after: str | None = None,
        users: Iterable[object] | None = None,
        *,
        include_hidden: bool = False,
    ) -> AsyncEvents:
        return self._watchers.watch(self._scope, after, users, include_hidden=include_hidden)

    async def explain(self, user: object, *, include_hidden: bool = False) -> Explanation:
        return await self._call(users.explain(self._scope, user, include_hidden=include_hidden))

    # rooms

    @property
    def name(self) -> str:
        return self._scope.room

    def room(
        self,
        name: object,
        window: Seconds | None = None,
        history: bool | Seconds | None = None,
    ) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._scope = self._core.room(name, window, history)
        return other

    async def rooms(self, limit: int = 50, *, include_hidden: bool = False) -> list[Room]:
        await self.flush()
        return await self._engine.run(self._core.rooms(limit, include_hidden=include_hidden))

    async def room_counts(
        self,
        rooms: Iterable[object],
        *,
        include_hidden: bool = False,  # noqa: ARG002
    ) -> dict[str, Counts]:
        return await self._run(self._core.room_counts(rooms), None)

    async def room_peaks(
        self,
        rooms: Iterable[object],
        kind: names.Kind | None = None,
        *,
        include_hidden: bool = False,
    ) -> dict[str, Peak]:
        plan = self._core.room_peaks(rooms, kind, include_hidden=include_hidden)
        return await self._run(plan, None)

    # upkeep

    async def sweep(self) -> int:
        return await self._run(self._core.sweep(self._scope))

    async def forget(self, user: object) -> int:
        name = names.clean_user(user)
        await self.flush()
        return await self._run(self._core.forget(name), None, (name,))

    async def day_key(self, day: date) -> str:
        return await self._engine.call(self._core.day_key(day))

    @property
    def leaves(self) -> int:
        return self._core.throttle.cleared

    def name_later(self, namer: Namer) -> bool:
        self._core.sender.namers.append(namer)
        return self._flusher is not None

    def note_rooms(self) -> None:
        self._core.memory.user_rooms.on = True

    async def leave_rooms(self, user: object, session: str | None = None) -> int:
        name = names.clean_user(user)
        plan = self._core.leave_rooms(self._scope, name, session)
        await self.flush()
        return await self._run(plan, None, (name,))

    async def health(self) -> Health:
        dropped = self._core.dropped
        return await self._engine.health(dropped)

    async def flush(self) -> None:
        if self._flusher is not None:
            await self._flusher.send_all()

    @property
    def client(self) -> Any:
        """The client it was given, or made (opening it may block)."""
        return self._engine.client

    async def aclose(self) -> None:
        """Send what is buffered and close the connection, for all rooms; it opens again when used."""
        await self._watchers.close()
        try:
            if self._flusher is not None:
                await self._flusher.close()
        finally:
            await self._engine.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _call(self, operation: Operation[T]) -> T:
        if self._flusher is not None and self._flusher.busy:
            return await self._flusher.run_after((self._scope.room,), single(operation))
        return await self._engine.call(operation)

    async def _run(
        self,
        plan: Plan[T],
        rooms: Collection[str] | None = (),
        ending: Collection[str] = (),
    ) -> T:
        if self._flusher is not None and self._flusher.busy:
            known = rooms if rooms is None or rooms else (self._scope.room,)
            return await self._flusher.run_after(known, plan, ending)
        return await self._engine.run(plan)


for _name, _member in vars(AsyncPresence).items():
    if not _name.startswith("_") and not _member.__doc__:
        _member.__doc__ = getattr(Presence, _name).__doc__


def asynchronous(presence: Presence) -> AsyncPresence:
    """Make an AsyncPresence of its own for the store, and with the settings, of a Presence.

    Raises ValueError where that was made from a client, or has a store that is nobody else's.
    """
    store, given = presence._made_of  # noqa: SLF001 - its sister
    if not isinstance(store, str) or is_temporary(store):
        raise ValueError(
            "this needs an AsyncPresence, or a Presence made from the URL of a store that others can open"
        )
    return AsyncPresence(store, **given)


def observe(presence: AsyncPresence, tell: Observe | None) -> None:
    """Have a function told of every round trip of it: the operations, their outcomes, the seconds."""
    presence._engine.observe = tell  # noqa: SLF001 - of this module
