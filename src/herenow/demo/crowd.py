"""Simulated visitors: they come, read, write nothing, and leave, through the API that any site uses.

Members log in and most log out; guests come and are forgotten; a bot reads everything. Give it a second
and it plays a second.
"""

import random
import threading
from contextlib import suppress
from dataclasses import dataclass

from herenow import Presence, Sighting, StoreError
from herenow.demo.content import MEMBERS, THREADS
from herenow.names import Kind

_BOTS = ("Googlebot", "bingbot", "Applebot")
_STAY = 90.0  # seconds, on average
_READS = 12.0
_BEAT = 5.0
_MEMBERS = 0.35


@dataclass(slots=True)
class Someone:
    """One visit."""

    user: str
    kind: Kind
    until: float
    room: str | None = None
    turns_page: float = 0.0
    seen: float = float("-inf")


class Crowd:
    """About ``number`` visitors of a presence, replaced as they leave."""

    def __init__(self, presence: Presence, number: int, seed: int | None = None) -> None:
        self._presence = presence
        self._number = number
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._here: list[Someone] = []
        self._now = 0.0
        self._came = 0

    def tick(self, seconds: float = 1.0) -> None:
        """Play some seconds; raises StoreError where the store fails, and goes on next time."""
        self._now += seconds
        gone = [one for one in self._here if one.until <= self._now]
        self._here = [one for one in self._here if one.until > self._now]
        most = self._number // 20 + 2 if self._here else self._number  # they are there at once
        for _ in range(min(self._number - len(self._here), most)):
            self._here.append(self._comes())
        for one in gone:
            if one.kind != "guest" or self._dice.random() < 0.5:  # noqa: PLR2004 - the rest just stop
                self._leaves(one)
        marks: dict[str | None, list[Sighting]] = {}
        for one in self._here:
            if one.turns_page <= self._now:
                self._turns_the_page(one)
            if self._now - one.seen >= _BEAT:
                one.seen = self._now
                sighting = Sighting(one.user, one.kind)
                marks.setdefault(None, []).append(sighting)
                if one.room is not None:
                    marks.setdefault(one.room, []).append(sighting)
        for room, sightings in marks.items():
            where = self._presence if room is None else self._presence.room(room)
            where.mark_online_many(sightings)

    def _comes(self) -> Someone:
        until = self._now + self._dice.expovariate(1 / _STAY) + _BEAT
        taken = {one.user for one in self._here}
        bots = [one for one in _BOTS if one not in taken]
        free = [one for one in MEMBERS if one not in taken]
        if bots and self._number >= len(_BOTS) * 5:
            return Someone(bots[0], "bot", until * 4)
        if free and self._dice.random() < _MEMBERS:
            hidden = self._dice.random() < 0.08  # noqa: PLR2004 - some are shy
            return Someone(self._dice.choice(free), "hidden" if hidden else "member", until)
        self._came += 1
        return Someone(f"guest-{self._came:06}", "guest", until)

    def _turns_the_page(self, one: Someone) -> None:
        before = one.room
        threads = [thread.room for thread in THREADS.values()]
        busy = [len(threads) - i for i in range(len(threads))]
        one.room = self._dice.choices([None, *threads], [4, *busy])[0]
        one.turns_page = self._now + self._dice.expovariate(1 / _READS) + 2
        one.seen = float("-inf")
        if before is not None and before != one.room:
            self._presence.room(before).mark_offline(one.user)

    def _leaves(self, one: Someone) -> None:
        if one.room is not None:
            self._presence.room(one.room).mark_offline(one.user)
        self._presence.mark_offline(one.user)

    def have_been_here(self) -> None:
        """Record a sighting of every member within the last day: the forum is not new."""
        day = 86_400
        self._presence.mark_online_many(
            Sighting(one, age=self._dice.uniform(300, day)) for one in MEMBERS
        )

    def run(self, stop: threading.Event) -> None:
        """Play a second a second, until ``stop``."""
        with suppress(StoreError):
            self.have_been_here()
        while True:
            with suppress(StoreError):  # the forum says so itself
                self.tick()
            if stop.wait(1):
                return
