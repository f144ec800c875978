"""Import the recipe's users into herenow, while the site that writes its keys is running.

Each user is marked by a sighting with the age that their string has by its own store's clock, so that
neither the clocks nor what is marked in herenow meanwhile matter: the newer sighting counts. What herenow
has already is not marked again: a second run changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from herenow import names
from herenow.operations.marking import Mark
from herenow.operations.users import lookup_all
from herenow.outbox.outbox import Outbox
from herenow.recipe.reading import Activity, Clock, Reader, read_clock
from herenow.store.engine import Engine

EXAMPLES: Final = 10
_NEVER: Final = -1.0
_KNOWN_WITHIN: Final = 0.5
"""Seconds: a string holds whole seconds, so a newer value is newer by one."""


@dataclass
class Moved:
    """Counts of users: read, marked, known already, ``gone`` (offline), too old, refused, unreadable.

    Each user counts once, and again when they have new activity; ``examples`` has reasons of refusals.
    """

    read: int = 0
    marked: int = 0
    known: int = 0
    gone: int = 0
    too_old: int = 0
    refused: int = 0
    unreadable: int = 0
    passes: int = 0
    examples: dict[str, str] = field(default_factory=dict)


class Mover:
    """Moves what a `Reader` reads into a core's site; ``retention`` in seconds."""

    def __init__(
        self,
        reader: Reader,
        engine: Engine,
        core: Outbox,
        retention: float,
        kind: Literal["guest", "bot"] | None = None,
    ) -> None:
        self.moved = Moved()
        self._reader, self._engine, self._core = reader, engine, core
        # guests and bots are forgotten when they leave
        self._remembered = retention if kind is None else min(retention, reader.layout.window)
        self._kind = kind
        self._minute: int | None = None
        self._seen: dict[bytes, float | None] = {}

    def everybody(self) -> Iterable[Moved]:
        """Import every user that the site has, the first pass; each step is some hundred users."""
        self._minute = int(self._reader.clock().now()) // 60
        recent = (self._minute - 1) * 60  # who will come again, in the passes that follow
        for batch in self._reader.activities():
            new = [one for one in batch if self._is_new(one)]
            self._move(new)
            self._seen.update((user, at) for user, at in new if at is None or at >= recent)
            yield self.moved
        self.moved.passes += 1

    def recent(self) -> Iterable[Moved]:
        """Import what is new in this minute and those since the last pass."""
        now = int(self._reader.clock().now()) // 60
        first = now - 1 if self._minute is None else min(self._minute, now) - 1
        first = max(first, now - self._reader.layout.minutes)
        seen: dict[bytes, float | None] = {}
        for minute in range(first, now + 2):  # a web server's clock may be ahead
            for users in self._reader.users_of(minute):
                wanted = [user for user in users if user not in seen]
                for batch in self._reader.activities_of(wanted):
                    self._move([one for one in batch if self._is_new(one)])
                    seen.update(batch)
                    self._seen.update(batch)
                    yield self.moved
        self._minute, self._seen = now, seen
        self.moved.passes += 1

    def _is_new(self, one: Activity) -> bool:
        return self._seen.get(one.user, _NEVER) != one.seen

    def _move(self, batch: Sequence[Activity]) -> None:
        moved, clock = self.moved, self._reader.clock()
        moved.read += len(batch)
        wanted: dict[str, float] = {}
        for raw, seen in batch:
            if seen is None:
                moved.unreadable += 1
                continue
            if clock.now() - seen >= self._remembered:
                moved.too_old += 1
                continue
            try:
                wanted[names.clean_user(_text(raw))] = seen
            except ValueError as error:
                self._refuse(raw, error)
        new = self._news(wanted, clock) if wanted else {}
        if new:
            now = clock.now()
            ages = {user: max(0.0, now - seen) for user, seen in new.items()}
            marks = [Mark(user, round(age * 1000), self._kind) for user, age in ages.items()]
            self._engine.run(self._core.mark(self._core.scopes.site, marks))
            moved.gone += sum(age >= self._reader.layout.window for age in ages.values())
        moved.marked += len(new)
        moved.known += len(wanted) - len(new)

    def _news(self, wanted: dict[str, float], clock: Clock) -> dict[str, float]:
        """Keep only users of whom herenow has no sighting as new, by its store's clock."""
        looked_up = lookup_all(self._core.scopes.site, [*wanted], include_hidden=True)
        known = self._engine.run(looked_up)
        ahead = read_clock(self._engine).ahead - clock.ahead
        return {
            user: seen
            for user, seen in wanted.items()
            if (at := known[user].last_seen) is None
            or at.timestamp() - ahead < seen - _KNOWN_WITHIN
        }

    def _refuse(self, raw: bytes, error: ValueError) -> None:
        self.moved.refused += 1
        if len(self.moved.examples) < EXAMPLES:
            self.moved.examples[ascii(raw)[2:-1]] = str(error)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError("a user is UTF-8") from None
