"""What a Presence does by threads: run what is asked after what is buffered, keep sessions fresh.

Buffered marks are sent half a second after they came, and before whatever reads. Threads read side by
side, each after what waits and what is under way for its room (see `Flight`): a read waits for none but
a flight of many marks, or one that says something else of the same user. For asyncio's, see `tasks`.
"""

import threading
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, TypeVar

from herenow.errors import StoreError, StoreTimeout
from herenow.operations import Operation, Plan, single
from herenow.operations.scope import Scope
from herenow.outbox.buffer import MOST_A_FLIGHT, Buffer, Flight
from herenow.outbox.flusher import Flusher
from herenow.outbox.held import Held
from herenow.outbox.outbox import Alone, Outbox
from herenow.outbox.port import Port
from herenow.store.engine import Engine

T = TypeVar("T")
ROUND_TRIPS: Final = 4
"""What a flight may take, each as long as the store may: the list of rooms, the marks, what follows."""
BUSY: Final = "the store did not answer in time: a flush is under way"


class Flushing:
    """When the buffer of a sync Presence is sent: by a thread, and before whatever reads."""

    def __init__(self, outbox: Outbox, engine: Engine, patience: float, owner: object) -> None:
        outbox.rooms.topology = weakref.proxy(engine.store)  # no circle
        self._outbox = outbox
        self._engine = engine
        self._patience = ROUND_TRIPS * patience
        self._buffer = Buffer(0) if outbox.buffer is None else outbox.buffer
        self._flusher: Flusher | None = None
        if outbox.buffer is not None:
            self._flusher = Flusher(self.send_all, outbox.flush_after, owner)
            outbox.flushed_by(self._flusher.wake)

    @property
    def _busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        buffer = self._buffer
        return self._flusher is not None and (bool(buffer) or bool(buffer.flying))

    def mark(self, scope: Scope, given: Plan[bool] | Alone) -> bool:
        """Run what `Outbox.mark_online` gave."""
        if isinstance(given, Alone):
            written = self._engine.call(given.operation)
            came = self._outbox.marked(scope, given, written)
            if isinstance(came, bool):
                return came
            given = came
        return self._engine.run(given)

    def call(self, scope: Scope, operation: Operation[T]) -> T:
        """Run an operation of a room after what waits for that: one round trip."""
        if self._busy:
            return self._run_after((scope.room,), single(operation))
        return self._engine.call(operation)

    def run(self, rooms: Collection[str] | None, plan: Plan[T], ending: Collection[str] = ()) -> T:
        """Run a plan after what waits for its rooms, None: for all, in the same round trip.

        Of ``ending``, users, nothing else is under way meanwhile.
        """
        return self._run_after(rooms, plan, ending) if self._busy else self._engine.run(plan)

    def send_all(self) -> None:
        """Send all that waits, of every room. What the store does not take waits on."""
        if self._busy:
            self._send(1 + len(self._buffer) // MOST_A_FLIGHT)

    def _send(self, flights: int, rooms: Collection[str] | None = None) -> None:
        for _ in range(flights):
            with self._flight(rooms) as flight:
                trouble, _ = self._engine.run(self._outbox.flush(flight))
            if trouble is not None:
                return

    def _run_after(
        self, rooms: Collection[str] | None, plan: Plan[T], ending: Collection[str] = ()
    ) -> T:
        self._send(len(self._buffer) // MOST_A_FLIGHT, rooms)
        with self._flight(rooms, ending) as flight:
            return self._engine.run(self._outbox.after(flight, plan))

    @contextmanager
    def _flight(
        self, rooms: Collection[str] | None, ending: Collection[str] = ()
    ) -> Iterator[Flight]:
        engine, buffer = self._engine, self._buffer
        flight: Flight | None = None
        try:
            engine.open()  # which may take its time, the first time
            engine.store.refuse()
            flight = buffer.begin(rooms, ending) or self._turn(rooms, ending)
            yield flight
        finally:
            if flight is not None:
                buffer.end(flight)
            self._wake()

    def _wake(self) -> None:
        if self._buffer and self._flusher is not None:
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
            self._engine.store.refuse()
        raise self._engine.store.wait_failed(StoreTimeout(BUSY), began)

    def _wait(self) -> None:
        """Wait for what is under way now: it may be put back."""
        buffer, began = self._buffer, monotonic()
        with buffer.changed:
            flights = [*buffer.flying]
            if buffer.changed.wait_for(lambda: not buffer.fly(flights), self._patience):
                return
        raise self._engine.store.wait_failed(StoreTimeout(BUSY), began)

    def close(self) -> None:
        """Send all that waits, and stop the thread."""
        if self._flusher is None:
            return
        self._flusher.close()
        self._engine.store.hasten()
        try:
            self._wait()
            self.send_all()
        finally:
            self._flusher.close()
            self._wake()  # for what came meanwhile, or could not be sent


class OpenSession(Held):
    """A session that is held open by a thread; see `Presence.session`."""

    def __init__(self, presence: Any, *shows: Any) -> None:
        super().__init__(*shows)
        self._presence = presence
        self._port = Port(presence)

    @contextmanager
    def held(self) -> "Iterator[OpenSession]":
        """Hold it open."""
        self._presence.mark_online(self.user, self._kind, self.name, self._away, self._info)
        stop = threading.Event()
        beat = threading.Thread(target=self.beat, args=(stop,), name="herenow-session", daemon=True)
        beat.start()
        try:
            yield self
        finally:
            stop.set()
            beat.join()
            try:
                self._presence.mark_offline(self.user, self.name)
            except StoreError as error:
                self._not_ended(error)

    def update(self, *, away: bool | None = None, info: Mapping[str, Any] | None = None) -> None:
        """Say that the user is away or back, or what the session shows now."""
        self._port.mark_session(self._mark(away, info))
        self._updated(away, info)

    def beat(self, stop: threading.Event) -> None:
        """Mark the session until it is to stop."""
        while not stop.wait(self._port.beat_due):
            try:
                self.mark()
            except Exception as error:  # noqa: BLE001 - the next beat may go well
                self._went(error)
            else:
                self._went(None)

    def mark(self) -> None:
        """Mark the session, with all that it says."""
        self._beaten(self._port.beat(self._mark(self._away, self._info)))
