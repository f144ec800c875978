"""What a Presence does by threads: send what is buffered, and keep open sessions fresh.

Buffered marks are sent half a second after they came, and before whatever reads. Threads read side by
side, each after what waits and what is under way for its room (see `Flight`): a read waits for none but
a flight of many marks, or one that says something else of the same user. For asyncio's, see
`aio_background`.
"""

import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, TypeVar

from herenow.errors import StoreError, StoreTimeout
from herenow.names import Kind
from herenow.operations import Plan, marking
from herenow.operations.marking import Mark
from herenow.outbox.buffer import MOST_A_FLIGHT, Buffer, Flight, Flusher
from herenow.outbox.core import Core
from herenow.store.engine import Engine

T = TypeVar("T")
_log: Final = logging.getLogger("herenow")
ROUND_TRIPS: Final = 4
"""What a flight may take, each as long as the store may: the list of rooms, the marks, what follows."""
BUSY: Final = "the store did not answer in time: a flush is under way"


class Flushing:
    """When the buffer of a sync Presence is sent: by a thread, and before whatever reads."""

    def __init__(
        self, core: Core, buffer: Buffer, engine: Engine, patience: float, owner: object
    ) -> None:
        self._core = core
        self._buffer = buffer
        self._engine = engine
        self._patience = ROUND_TRIPS * patience
        self._flusher = Flusher(self.send_all, core.flush_after, owner)

    @property
    def busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        return bool(self._buffer) or bool(self._buffer.flying)

    def wake(self) -> None:
        """Have what was put sent soon."""
        self._flusher.wake()

    def send_all(self) -> None:
        """Send all that waits, of every room. What the store does not take waits on."""
        if self.busy:
            self._send(1 + len(self._buffer) // MOST_A_FLIGHT)

    def _send(self, flights: int, rooms: Collection[str] | None = None) -> None:
        for _ in range(flights):
            with self._flight(rooms) as flight:
                trouble, _ = self._engine.run(self._core.flush(flight))
            if trouble is not None:
                return

    def run_after(
        self, rooms: Collection[str] | None, plan: Plan[T], ending: Collection[str] = ()
    ) -> T:
        """Run a plan after what waits for its rooms, None: for all, in the same round trip.

        Of ``ending``, users, nothing else is under way meanwhile.
        """
        self._send(len(self._buffer) // MOST_A_FLIGHT, rooms)
        with self._flight(rooms, ending) as flight:
            return self._engine.run(self._core.after(flight, plan))

    @contextmanager
    def _flight(
        self, rooms: Collection[str] | None, ending: Collection[str] = ()
    ) -> Iterator[Flight]:
        engine, buffer = self._engine, self._buffer
        flight: Flight | None = None
        try:
            engine.open()  # which may take its time, the first time
            engine.refuse()
            flight = buffer.begin(rooms, ending) or self._turn(rooms, ending)
            yield flight
        finally:
            if flight is not None:
                buffer.end(flight)
            if buffer:
                self._flusher.wake()

    def _turn(self, rooms: Collection[str] | None, ending: Collection[str]) -> Flight:
        """Wait for those flights that can't be overtaken. Where none ends in time, the store hangs."""
        buffer = self._buffer
        began = monotonic()
        while True:
            with buffer.changed:
                flight = buffer.begin(rooms, ending)
                if flight is not None:
                    return flight
                if not buffer.changed.wait(self._patience):
                    break
            self._engine.refuse()
        raise self._engine.failed(StoreTimeout(BUSY), began)

    def _settle(self) -> None:
        """Wait for what is under way now: it may be put back."""
        buffer, began = self._buffer, monotonic()
        with buffer.changed:
            flights = [*buffer.flying]
            if buffer.changed.wait_for(lambda: not buffer.fly(flights), self._patience):
                return
        raise self._engine.failed(StoreTimeout(BUSY), began)

    def close(self) -> None:
        """Send all that waits, and stop the thread."""
        self._flusher.close()
        self._engine.store.hasten()
        try:
            self._settle()
            self.send_all()
        finally:
            self._flusher.close()
            if self._buffer:  # what came meanwhile, or could not be sent
                self._flusher.wake()


class OpenSession:
    """A session that is held open; see `Presence.session`.

    Each beat says what the session shows, so that a store that lost it has it back; and the kind, which
    others may have changed, for where its user is gone: they come back as that, but hidden where they
    were when they were last seen here.
    """

    def __init__(
        self,
        presence: Any,
        user: object,
        name: str,
        kind: Kind | None,
        away: bool | None,
        info: Mapping[str, Any] | None,
    ) -> None:
        self.user = user
        self.name = name
        self._presence = presence
        self._kind = kind
        self._hidden = False
        self._away = away
        self._info = info
        self._trouble: str | None = None

    def update(self, *, away: bool | None = None, info: Mapping[str, Any] | None = None) -> None:
        """Say that the user is away or back, or what the session shows now."""
        self._presence._mark_session(self._said(away, info))  # noqa: SLF001 - one of its parts
        self._away = self._away if away is None else away
        self._info = self._info if info is None else info

    def beat(self, stop: threading.Event) -> None:
        """Mark the session until told to stop."""
        while not stop.wait(self._presence.beat_due):
            try:
                self.mark()
                self._trouble = None
            except Exception as error:  # noqa: BLE001 - the next beat may go well
                self._trouble = told_once(self.user, error, self._trouble)

    def mark(self) -> None:
        """Mark the session, with all that it says."""
        kind = self._presence._beat(self._said(self._away, self._info))  # noqa: SLF001
        self._hidden = self._hidden if kind is None else kind == "hidden"

    def _said(self, away: bool | None, info: Mapping[str, Any] | None) -> Mark:
        kind = "hidden" if self._hidden else self._kind
        return marking.beat(self.user, kind, self.name, away, info)


def told_once(user: object, error: Exception, before: str | None) -> str | None:
    """Log why a held session is not kept fresh, unless that was logged at the beat before.

    What to give as ``before`` at the next. A store that is unavailable has its own line in the log.
    """
    if isinstance(error, StoreError):
        _log.debug("a session waits for the store: %s", error)
        return before
    if str(error) != before:
        # a rule that only the store knows says it all; anything else is not foreseen
        unforeseen = None if isinstance(error, ValueError) else error
        _log.warning("a session of %r is not kept fresh: %s", user, error, exc_info=unforeseen)
    return str(error)
