"""Where threads differ from asyncio, for flushing; see `tasks`, which has the same names."""

from herenow.outbox.buffer import Buffer, Flight
from herenow.outbox.flusher import Flusher

__all__ = ["Ends", "Flusher"]


class Ends:
    """The ends of flights, for which others wait."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self.count = 0

    def here(self) -> None:
        """Do nothing: a flight may be of any thread."""

    def end(self, flight: Flight) -> None:
        """Have a flight over."""
        with self._buffer.changed:
            self.count += 1
            self._buffer.end(flight)

    def wait(self, count: int, seconds: float) -> bool:
        """Wait until more than ``count`` have ended, or so long; whether they have."""
        changed = self._buffer.changed
        with changed:
            return self.count > count or changed.wait(seconds)
