"""Compare what a site that uses the recipe shows with who is online, and measure its memory."""

from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from herenow.recipe.reading import Reader

SAMPLE: Final = 1000
_LENGTHS: Final = (8, 20, 36, 64)
_BYTES: Final = {
    "Valkey": (76, 76, 108, 124),
    "Redis": (107, 113, 129, 169),
    "Redis 6": (113, 113, 129, 161),
}
"""Measured: bytes for each user of a sorted set of 20,000, by the length of their ids."""


@dataclass(frozen=True)
class Audit:
    """What a site shows and what is true; times in seconds, sizes in bytes.

    ``minutes`` is what the site calls online, ``seconds`` what that is at this moment; ``shown`` are the
    users in the union of its sets, ``true`` those active within ``minutes``, ``missing`` the true that
    are not shown. ``came`` came while it was read, and are not counted: whether they were online
    before is not known. ``ahead`` is by how much the latest activity is ahead of the store's clock.
    ``sampled`` strings were measured, of ``remembered``; ``table_bytes`` are the keys' share of the
    store's own tables of keys and of times of expiry, None if unknown.
    """

    minutes: int
    seconds: float
    shown: int
    true: int
    missing: int
    came: int
    remembered: int
    unreadable: int
    ahead: float
    sets: int
    set_bytes: int
    sampled: int
    activity_bytes: int
    table_bytes: int | None
    herenow_bytes: int

    @property
    def bytes(self) -> int:
        """The memory of the recipe: its sets, its strings (by the sample), their share of tables."""
        return self.set_bytes + self.activity_bytes + (self.table_bytes or 0)

    @property
    def found(self) -> bool:
        """Whether there is any key of the recipe."""
        return bool(self.sets or self.remembered)


def audit(reader: Reader, progress: Callable[[int], None] = lambda _: None) -> Audit:
    """Read all keys of the recipe and compare them. Writes nothing.

    Takes some 200 bytes of memory here for each user found there; a round trip for each 400 keys of the
    whole store, and another if there are activities among them. ``progress`` is called with the number of
    users read so far.
    """
    layout = reader.layout
    clock = reader.clock()
    now = clock.now()
    shown: set[bytes] = set()
    for minute in layout.shown_minutes(now):
        for users in reader.users_of(minute):
            shown.update(users)
    remembered: set[bytes] = set()
    true = missing = came = unreadable = 0
    latest = now
    for batch in reader.activities():
        for user, seen in batch:
            if user in remembered:  # a scan may return a key twice
                continue
            remembered.add(user)
            if seen is None:
                unreadable += 1
            elif now - seen < layout.window:
                latest = max(latest, seen)
                if seen <= now or user in shown:
                    true += 1
                    missing += user not in shown
                else:
                    came += 1
        progress(len(remembered))
    sizes = reader.set_sizes(layout.kept_minutes(now))
    sample = list(islice(remembered, SAMPLE))  # a set's order is as good as random
    measured = reader.activity_bytes(sample)
    each = sum(measured) / len(measured) if measured else 0
    lengths = [len(user) for user in sample]
    table = reader.table_bytes()
    return Audit(
        minutes=layout.minutes,
        seconds=layout.shown_seconds(now),
        shown=len(shown),
        true=true,
        missing=missing,
        came=came,
        remembered=len(remembered),
        unreadable=unreadable,
        ahead=max(0.0, latest - clock.now()),
        sets=len(sizes),
        set_bytes=sum(size for _, _, size in sizes),
        sampled=len(measured),
        activity_bytes=round(each * len(remembered)),
        table_bytes=None if table is None else round(table * (len(remembered) + len(sizes))),
        herenow_bytes=round(len(remembered) * bytes_a_user(reader.product(), lengths)),
    )


def bytes_a_user(product: str, lengths: list[int]) -> float:
    """Estimate what herenow takes a user, from what was measured, by the length of the ids."""
    if not lengths:
        return 0.0
    return sum(_interpolated(_BYTES[product], length) for length in lengths) / len(lengths)


def _interpolated(measured: tuple[int, ...], length: int) -> float:
    """Read between what was measured, and on beyond the longest; below the shortest it is the same."""
    i = min(max(1, bisect(_LENGTHS, length)), len(_LENGTHS) - 1)
    low, high = _LENGTHS[i - 1], _LENGTHS[i]
    part = (max(length, low) - low) / (high - low)
    return measured[i - 1] + part * (measured[i] - measured[i - 1])
