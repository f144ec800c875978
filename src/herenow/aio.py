"""AsyncPresence: `Presence` for asyncio, with the same methods as coroutines.

The docstrings are those of `Presence`; what differs is said here. A test holds the signatures equal.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from herenow import names
from herenow.buffer import FLUSH_EVERY
from herenow.core import DEFAULT_TIMEOUT, Core
from herenow.errors import StoreError, StoreTimeout
from herenow.execution import AsyncEngine
from herenow.models import (
    Counts,
    Explanation,
    Health,
    Page,
    Peak,
    Room,
    Sighting,
    Snapshot,
    UserPresence,
)
from herenow.operations import Operation, Plan, marking, online, single, users
from herenow.presence import _NOTHING, DEFAULT_URL, Presence, Seconds, opener

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
        prefix: str = "herenow:",
        clock: Callable[[], float] | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> None:
        self._core = Core(
            window=window,
            retention=retention,
            resolution=resolution,
            buffered=buffered,
            prefix=prefix,
            clock=clock,
        )
        self._engine = AsyncEngine(opener(store, timeout, asynchronous=True))
        self._scope = self._core.site
        self._flusher = _Flushing(self._core, self._engine, timeout) if buffered else None

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
        if (
            info is None
            and replaces is None
            and type(user) is str
            and type(session) is str
            and self._core.repeats(self._scope, user, session, kind, away)
        ):
            return None if self._flusher else False
        plain = type(user) is str and (kind, session, away, info, replaces) == _NOTHING
        if plain and self._flusher is not None:
            self._core.put_plain(self._scope, names.clean_user(user))
            self._flusher.wake()
            return None
        if plain and self._core.memory.settled(self._scope):
            name = names.clean_user(user)
            written = await self._engine.call(marking.mark_plain(self._scope, name))
            more = self._core.marked(self._scope, name, written)
            if more is not None:
                await self._engine.run(more)
            return written.result > 0
        sighting = Sighting(user, kind, session, away, info, 0.0, replaces)
        came = await self._mark([marking.clean(sighting)])
        return None if came is None else came > 0

    async def mark_online_many(self, sightings: Iterable[object]) -> int | None:
        many = marking.listed(sightings)
        plan = self._core.mark_many(self._scope, many)
        if plan is not None:
            return await self._engine.run(plan)
        return await self._mark(marking.clean_all(many))

    async def _mark(self, marks: list[marking.Mark]) -> int | None:
        marks = self._core.fresh(self._scope, marks)
        if self._flusher is not None:
            self._core.buffer_marks(self._scope, marks)
            self._flusher.wake()
            return None
        return await self._engine.run(self._core.mark(self._scope, marks)) if marks else 0

    async def mark_offline(self, user: object, session: str | None = None) -> bool:
        return await self._run(self._core.leave(self._scope, user, session))

    @asynccontextmanager
    async def session(
        self,
        user: object,
        kind: names.Kind | None = None,
        session: str | None = None,
        away: bool | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> "AsyncIterator[OpenSession]":
        """Hold a session open, by a task; see `Presence.session`."""
        held = OpenSession(self, user, session or secrets.token_urlsafe(9))
        await self.mark_online(user, kind, held.name, away, info)
        beat = asyncio.create_task(held.beat())
        try:
            yield held
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            try:
                await self.mark_offline(user, held.name)
            except StoreError as error:
                _log.warning("a session ends by itself, within the window: %s", error)

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
        include_hidden: bool = False,  # noqa: ARG002
    ) -> Peak:
        return await self._call(online.peak(self._scope, kind))

    async def snapshot(self, limit: int = 50, *, include_hidden: bool = False) -> Snapshot:
        return await self._call(online.snapshot(self._scope, limit, include_hidden=include_hidden))

    async def explain(self, user: object, *, include_hidden: bool = False) -> Explanation:
        return await self._call(users.explain(self._scope, user, include_hidden=include_hidden))

    # rooms

    @property
    def name(self) -> str:
        return self._scope.room

    def room(self, name: object, window: Seconds | None = None) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._scope = self._core.room(name, window)
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
        plan = self._core.room_counts(rooms)
        await self.flush()
        return await self._engine.run(plan)

    # upkeep

    async def sweep(self) -> int:
        return await self._run(self._core.sweep(self._scope))

    async def forget(self, user: object) -> int:
        plan = self._core.forget(names.clean_user(user))
        await self.flush()
        return await self._engine.run(plan)

    async def health(self) -> Health:
        dropped = self._core.buffer.dropped if self._core.buffer else 0
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
            return await self._flusher.run_after(self._scope.room, single(operation))
        return await self._engine.call(operation)

    async def _run(self, plan: Plan[T]) -> T:
        if self._flusher is not None and self._flusher.busy:
            return await self._flusher.run_after(self._scope.room, plan)
        return await self._engine.run(plan)


for _name, _member in vars(AsyncPresence).items():
    if not _name.startswith("_") and not _member.__doc__:
        _member.__doc__ = getattr(Presence, _name).__doc__


class _Flushing:
    """When the buffer of an AsyncPresence is sent: by a task, and before whatever reads."""

    def __init__(self, core: Core, engine: AsyncEngine, patience: Seconds) -> None:
        self._core = core
        self._engine = engine
        self._patience = names.milliseconds(patience, "a timeout") / 1000
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def _sending(self) -> asyncio.Lock:
        """Held while a flush is under way; of the running loop, as the task is."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._lock, self._task = loop, asyncio.Lock(), None
        return self._lock

    @property
    def busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        return bool(self._core.buffer) or self._sending().locked()

    def wake(self) -> None:
        """Have what was put sent soon, or when the loop ends."""
        self._sending()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._later())

    async def _later(self) -> None:
        try:
            await asyncio.sleep(FLUSH_EVERY)
        finally:
            self._task = None
            try:
                await self.send_all()
            except Exception:  # noqa: BLE001 - a task of ours must not die of it
                _log.exception("a flush failed")

    async def send_all(self) -> None:
        """Send all that waits, of every room. What the store does not take waits on."""
        if self.busy and self._core.buffer is not None:
            async with self._alone():
                await self._engine.run(self._core.flush(self._core.buffer.take()))
            self._again()

    async def run_after(self, room: str, plan: Plan[T]) -> T:
        """Run a plan after what waits for its room, in the same round trip."""
        try:
            async with self._alone():
                return await self._engine.run(self._core.after(room, plan))
        finally:
            self._again()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        # a store that hangs costs whoever waits behind a flush its own timeout, not the sum of all
        sending = self._sending()
        try:
            await asyncio.wait_for(sending.acquire(), self._patience)
        except TimeoutError:
            raise StoreTimeout("the store did not answer in time: a flush is under way") from None
        try:
            yield
        finally:
            sending.release()

    def _again(self) -> None:
        if self._core.buffer:
            self.wake()

    async def close(self) -> None:
        """Send all that waits, and stop the task."""
        try:
            await self.send_all()
        finally:
            task, self._task = self._task, None
            if task is not None and task.get_loop() is asyncio.get_running_loop():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


class OpenSession:
    """A session that is held open; see `AsyncPresence.session`."""

    def __init__(self, presence: AsyncPresence, user: object, name: str) -> None:
        self.user = user
        self.name = name
        self._presence = presence

    async def update(
        self, *, away: bool | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Say that the user is away or back, or what the session shows now."""
        await self._presence.mark_online(self.user, session=self.name, away=away, info=info)

    async def beat(self) -> None:
        """Mark the session until cancelled."""
        while True:
            await asyncio.sleep(self._presence.beat_seconds)
            try:
                await self._presence.mark_online(self.user, session=self.name)
            except StoreError as error:
                _log.debug("a session waits for the store: %s", error)
