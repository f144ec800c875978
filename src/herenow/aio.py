"""AsyncPresence: `Presence` for asyncio, with the same methods as coroutines.

The docstrings are those of `Presence`; what differs is said here. A test holds the signatures equal.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Self, TypeVar

from herenow import names
from herenow.models import (
    Counts,
    Explanation,
    Health,
    Page,
    Peak,
    Room,
    Sample,
    Snapshot,
    UserPresence,
)
from herenow.operations import Operation, Plan, history, online
from herenow.operations import rooms as rooms_
from herenow.operations import users as users_
from herenow.outbox.aio_flushing import AsyncFlushing
from herenow.outbox.aio_sessions import AsyncOpenSession
from herenow.outbox.outbox import Outbox, Owner
from herenow.outbox.scopes import DEFAULT_TIMEOUT
from herenow.presence import DEFAULT_URL, Presence, Rooms, Seconds
from herenow.store.aio_engine import AsyncEngine, Observe
from herenow.store.opening import opener, same_store
from herenow.store.urls import is_temporary
from herenow.watching.aio_watchers import AsyncEvents, AsyncWatchers

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


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
        self._outbox = Outbox(
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
        self._scope = self._outbox.scopes.site
        self._owner = Owner()
        self._flushing = AsyncFlushing(self._outbox, self._engine, seconds, self._owner)
        self._watchers = AsyncWatchers(self._outbox, self._engine)

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
        mark = self._outbox.mark_online(self._scope, user, kind, session, away, info, replaces)
        return (
            mark if mark is None or mark is False else await self._flushing.mark(self._scope, mark)
        )

    async def mark_online_many(self, sightings: Iterable[object]) -> int | None:
        return await self._act(self._outbox.mark_many(self._scope, sightings))

    async def mark_offline(self, user: object, session: str | None = None) -> bool:
        name = names.clean_user(user)
        plan = self._outbox.leave(self._scope, name, session)
        return await self._run(plan, ending=(name,))

    def session(
        self,
        user: object,
        kind: names.Kind | None = None,
        session: str | None = None,
        away: bool | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> AbstractAsyncContextManager[AsyncOpenSession]:
        """Hold a session open, by a task; see `Presence.session`."""
        return AsyncOpenSession(self, user, session, kind, away, info).held()

    # who is online

    async def is_online(self, user: object, *, include_hidden: bool = False) -> bool:
        return (await self._one(user, include_hidden=include_hidden)).online

    async def get_user_last_activity(
        self, user: object, *, include_hidden: bool = False
    ) -> datetime | None:
        return (await self._one(user, include_hidden=include_hidden)).last_seen

    async def _one(self, user: object, *, include_hidden: bool) -> UserPresence:
        name = names.clean_user(user)
        found = await self._call(users_.lookup(self._scope, [name], include_hidden=include_hidden))
        return found[0]

    async def lookup(
        self, users: Iterable[K], *, include_hidden: bool = False
    ) -> dict[K, UserPresence]:
        return await self._run(users_.lookup_all(self._scope, users, include_hidden=include_hidden))

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
        return await self._call(users_.explain(self._scope, user, include_hidden=include_hidden))

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
        other._scope = self._outbox.scopes.room(name, window, history)
        return other

    async def rooms(self, limit: int = 50, *, include_hidden: bool = False) -> list[Room]:
        most, scopes = names.clean_limit(limit), self._outbox.scopes
        await self.flush()
        found = rooms_.busiest(scopes.prefix, most, scopes.of, include_hidden=include_hidden)
        return await self._engine.run(found)

    async def room_counts(
        self,
        rooms: Iterable[object],
        *,
        include_hidden: bool = False,  # noqa: ARG002
    ) -> dict[str, Counts]:
        return await self._run(rooms_.counts(self._outbox.scopes.named(rooms)), None)

    # upkeep

    async def sweep(self) -> int:
        return await self._run(self._outbox.sweep(self._scope))

    async def forget(self, user: object) -> int:
        name = names.clean_user(user)
        await self.flush()
        return await self._run(self._outbox.forget(name), None, (name,))

    async def health(self) -> Health:
        dropped = self._outbox.dropped
        return await self._engine.health(dropped)

    async def flush(self) -> None:
        await self._flushing.send_all()

    @property
    def client(self) -> Any:
        """The client it was given, or made (opening it may block)."""
        return self._engine.client

    async def aclose(self) -> None:
        """Send what is buffered and close the connection, for all rooms; it opens again when used."""
        await self._watchers.aclose()
        try:
            await self._flushing.aclose()
        finally:
            await self._engine.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _act(self, plan: Plan[T] | None) -> T | None:
        return None if plan is None else await self._engine.run(plan)

    async def _call(self, operation: Operation[T]) -> T:
        return await self._flushing.call(self._scope, operation)

    async def _run(self, plan: Plan[T], rooms: Rooms = (), ending: Collection[str] = ()) -> T:
        known = (self._scope.room,) if rooms == () else rooms
        return await self._flushing.run(known, plan, ending)


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
