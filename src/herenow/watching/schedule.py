"""When rooms are to be looked at: now, first come first, or at a moment.

Pure: times are seconds of a clock that it is given. Not thread-safe: the `hub` has the lock.
"""

import heapq
from collections.abc import Iterable
from itertools import islice
from typing import Final

_STALE: Final = 1000
"""So many entries of the heap may be out of date, beside one for each room."""


class Schedule:
    """The rooms, by their doorbells, that are to be looked at, and when."""

    def __init__(self) -> None:
        self._now: dict[bytes, None] = {}
        self._later: dict[bytes, float] = {}
        self._heap: list[tuple[float, bytes]] = []

    def soon(self, rooms: Iterable[bytes]) -> None:
        """Have rooms looked at now."""
        self._now.update(dict.fromkeys(rooms))

    def later(self, room: bytes, moment: float) -> None:
        """Have a room looked at in a moment to come, and not at the one that was named before."""
        self._later[room] = moment
        heapq.heappush(self._heap, (moment, room))
        if len(self._heap) > 2 * len(self._later) + _STALE:
            self._heap = [(when, one) for one, when in self._later.items()]
            heapq.heapify(self._heap)

    def forget(self, room: bytes) -> None:
        """Have a room not looked at any more."""
        self._now.pop(room, None)
        self._later.pop(room, None)

    def woken(self, now: float) -> list[bytes]:
        """The rooms whose moment has come: they are to be looked at now."""
        rooms = []
        while self._heap and self._heap[0][0] <= now:
            moment, room = heapq.heappop(self._heap)
            if self._later.get(room) == moment:
                del self._later[room]
                rooms.append(room)
        self.soon(rooms)
        return rooms

    def take(self, most: int) -> list[bytes]:
        """Take the rooms to be looked at now, those that wait longest first."""
        taken = list(islice(self._now, most))
        for room in taken:
            del self._now[room]
        return taken

    def seconds(self, now: float, otherwise: float) -> float:
        """How long until a room is to be looked at; ``otherwise`` where none is."""
        if self._now:
            return 0.0
        return max(0.0, self._heap[0][0] - now) if self._heap else otherwise
