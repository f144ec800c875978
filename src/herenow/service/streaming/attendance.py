"""Streams that are presence: each holds a session of its user open in every room of the stream.

The session's name is the one that was given, and something of this connection's own: the late end of a
connection that was replaced must not end the new one's session. One task keeps all of them fresh.
"""

import asyncio
import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from herenow import names
from herenow.aio import AsyncPresence
from herenow.errors import StoreError, TooManySessions
from herenow.outbox.aio_sessions import AsyncOpenSession
from herenow.outbox.port import AsyncPort

_log: Final = logging.getLogger("herenow")
_AT_ONCE: Final = 32
_ENDED_AT_ONCE: Final = 1000
_TRIES: Final = 3
_PAUSE: Final = 0.1
_AGAIN: Final = 1.0
_STEP: Final = 0.25
_OWN: Final = 9
"""Bytes of a connection's own part of its session's name."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose presence a stream is; ``kind`` None leaves it as it is. Raises ValueError for bad names."""

    user: str
    kind: names.Kind | None = None
    session: str = ""

    def __post_init__(self) -> None:
        names.clean_user(self.user)
        names.clean_session(self.session)
        if self.kind is not None:
            names.clean_kind(self.kind)
        own = len(secrets.token_urlsafe(_OWN)) + 1
        if len(self.session.encode()) > names.MAX_SESSION_BYTES - own:
            raise ValueError(
                f"a stream's session has at most {names.MAX_SESSION_BYTES - own} UTF-8 bytes"
            )


class Attendance:
    """One stream's sessions, a room each."""

    __slots__ = ("due", "held", "kind", "marked")

    def __init__(self, presence: AsyncPresence, rooms: Sequence[str], who: Identity) -> None:
        name = f"{who.session}~{secrets.token_urlsafe(_OWN)}"
        self.held: list[tuple[AsyncPresence, AsyncOpenSession]] = []
        for room in rooms:
            there = presence.room(room)
            session = AsyncOpenSession(there, who.user, name, who.kind, None, None)
            self.held.append((there, session))
        self.kind = who.kind
        self.marked = False
        self.due = 0.0

    async def begin(self) -> None:
        """Mark the user in every room. Raises TooManySessions; an unavailable store is asked later."""
        try:
            for there, session in self.held:
                await there.mark_online(session.user, self.kind, session.name)
            self.marked = True
        except StoreError as error:
            _log.debug("a stream's session waits for the store: %s", error)
        self._next()

    async def mark(self) -> bool:
        """Mark the user again; False when they may not be."""
        try:
            if not self.marked:
                await self.begin()
            else:
                for _, session in self.held:
                    await session.mark()
                self._next()
        except StoreError:
            self.due = monotonic() + _AGAIN
        except TooManySessions:
            return False
        return True

    def _next(self) -> None:
        seconds = min(AsyncPort(there).beat_due for there, _ in self.held)
        self.due = monotonic() + (seconds if self.marked else min(seconds, _AGAIN))

    @property
    def sessions(self) -> list[tuple[str, str, str]]:
        """The sessions: room, user and name of each."""
        return [(there.name, str(session.user), session.name) for there, session in self.held]


class Attendances:
    """All streams that are presence."""

    def __init__(self, presence: AsyncPresence) -> None:
        self._presence = presence
        self._ended: list[tuple[str, str, str]] = []
        self._all: dict[object, Attendance] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._ending = asyncio.Lock()

    def hold(self, stream: object, attendance: Attendance) -> None:
        """Keep a stream's sessions fresh."""
        self._all[stream] = attendance

    def hasten(self) -> None:
        """Mark all of them soon: the store may have lost them."""
        for one in self._all.values():
            one.due = 0.0

    def let_go(self, stream: object) -> Attendance | None:
        """Keep them so no more; they are still to be ended."""
        return self._all.pop(stream, None)

    async def begin(self, attendance: Attendance) -> None:
        """Begin a stream's sessions, in their turn: a crowd that comes at once drowns no store."""
        try:
            async with self._turns:
                await attendance.begin()
        except TooManySessions:
            await self.end(attendance)
            raise

    async def end(self, *attendances: Attendance) -> None:
        """End the sessions of streams, with those of all that end meanwhile.

        What the store does not take is tried a few times; then it ends by itself, within the window.
        """
        self._ended += [session for one in attendances for session in one.sessions]
        async with self._ending:
            for left in reversed(range(_TRIES)):
                missed: list[tuple[str, str, str]] = []
                while self._ended:
                    ended, self._ended = self._ended[:_ENDED_AT_ONCE], self._ended[_ENDED_AT_ONCE:]
                    try:
                        missed += await AsyncPort(self._presence).end_sessions(ended)
                    except StoreError:
                        missed += ended
                if not missed or not left:
                    return
                await asyncio.sleep(_PAUSE)
                self._ended += missed

    async def end_all(self) -> None:
        """End all sessions, of streams that are still open too."""
        everyone, self._all = self._all.values(), {}
        await self.end(*everyone)

    async def refused(self) -> Iterable[object]:
        """Wait a little and mark all who are due; the streams whose user has too many sessions."""
        await asyncio.sleep(_STEP)
        now = monotonic()
        due = [(stream, one) for stream, one in self._all.items() if one.due <= now]
        refused: list[object] = []

        async def mark(stream: object, one: Attendance) -> None:
            async with self._turns:
                if stream in self._all and not await one.mark():
                    refused.append(stream)
                if stream not in self._all:  # it ended meanwhile, and this may have come after
                    await self.end(one)

        for i in range(0, len(due), _AT_ONCE):
            await asyncio.gather(*(mark(*each) for each in due[i : i + _AT_ONCE]))
        return refused
