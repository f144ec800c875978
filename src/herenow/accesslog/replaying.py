"""Replay: a whole log sent to a store by the log's own clock, and the store's answers.

The lines are read and sorted by time (`Log`), then sent in order (`replay`). The store does the counting:
each count at a full minute, the peak and the history are its answers. A minute in which somebody came
online is sent at its end, or at the full minute itself when a sighting falls on it, for the count there;
what the store must know earlier is sent earlier (see `sending`).
"""

from array import array
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from itertools import islice
from typing import Final

from herenow.accesslog.hosts import Naming
from herenow.accesslog.records import HEAD, Log
from herenow.accesslog.sending import MINUTE, Pending, Sender
from herenow.accesslog.sorting import Sorter
from herenow.accesslog.summary import DEFAULT_SILENCE, Series, Summary
from herenow.names import MAX_DAYS, Kind
from herenow.operations import history, online
from herenow.operations.marking import Mark
from herenow.outbox.outbox import Outbox
from herenow.store.engine import Engine

_DAY: Final = 86_400_000
_DAYS: Final = 100_000
"""Of who was there on which day, as many are sorted in memory at once."""


def mark_of(visitor: bytes, naming: Naming) -> Mark:
    """Make the mark of a visitor, given as the letter of the kind and then the host."""
    return Mark(naming.user(visitor), 0, _KINDS[visitor[0]])


_BOT: Final = ord("b")
_KINDS: Final[dict[int, Kind | None]] = {ord("m"): None, ord("g"): "guest", _BOT: "bot"}


class Pass:
    """One pass over the sorted records of a log."""

    def __init__(self, sender: Sender, window: int, days: Sorter) -> None:
        self._sender, self._window, self._days = sender, window, days
        self._pending = Pending(sender, window)
        self._parts: list[list[int]] = []  # runs of counts asked for: first full minute, how many
        self.first = self.last = self.begins = -1
        self._next = -2  # the full minute to be counted next
        self._newest = -window  # the last sighting
        self._seen: dict[bytes, tuple[int, bytes]] = {}  # when last, and on which day of the log's
        self._most_seen = 1000
        self._came: list[bytes] = []  # who came in this minute, with the day
        self._now = 0  # the moment of what was sent last

    def run(self, records: Iterable[bytes], progress: Callable[[int], object]) -> None:
        """Replay the records; ``progress`` is called now and then with how many more are done."""
        come, see, window = self._pending.come, self._pending.see, self._window
        seen, came = self._seen, self._came
        head, at, day, number, done = b"-", -1, b"", 0, 0
        stamp = (at, day)
        for number, record in enumerate(records):
            if not record.startswith(head):
                head, before = record[:HEAD], at
                at, day = int(record[:15]), record[15:HEAD]
                stamp = (at, day)
                if at != before and self._go_on(before, at):
                    progress(number - done)
                    done = number
            user = record[HEAD:-1]
            last = seen.get(user)
            if last is None or at - last[0] >= window:
                come(user, at)
                came.append(user + day + b"\n")
            elif last is not stamp:
                see(user, at, last[0])
                if last[1] != day:
                    came.append(user + day + b"\n")
            seen[user] = stamp
        if at >= 0:
            self._end(at)
            progress(number + 1 - done)

    def _go_on(self, before: int, at: int) -> bool:
        """Go on from a moment, -1 for none, to the next one; whether that is in another minute."""
        if before == self._next:
            self._full()
        another = at // MINUTE != before // MINUTE
        if another:
            self._turn(before, at)
        self._pending.send_due(at, self._now)
        self._now = at
        return another

    def _end(self, at: int) -> None:
        """End with the last moment."""
        if at == self._next:
            self._full()
        self._end_minute()
        self._pending.send_all(self._now)
        self._days.extend(self._came)
        self._newest = self.last = at
        self._count_until(at // -MINUTE * -MINUTE + 1)

    def _full(self) -> None:
        """Count at a full minute at which somebody was seen."""
        if self._pending.came:
            self._pending.send(self._now)
        self._count()

    def _end_minute(self) -> None:
        """Send who came in the minute that is over, with what would be due in the next one."""
        if self._pending.came:
            self._pending.enter(self._now // MINUTE + 1)
            self._pending.send(self._now)

    def _turn(self, before: int, at: int) -> None:
        """Go on from the minute of ``before``, the last sighting until now, to that of ``at``."""
        if before < 0:
            self.first = self._now = at
            self.begins = self._next = at // -MINUTE * -MINUTE
            self._sender.begin(at)
        else:
            self._end_minute()
            if before // _DAY != at // _DAY:  # a day's sightings are sent on that day
                self._pending.send_all(self._now)
            self._newest = before
            self._count_until(at)
        self._pending.enter(at // MINUTE)
        self._days.extend(self._came)
        self._came.clear()
        if len(self._seen) > self._most_seen:  # those who are offline are known no more
            over = [one for one, (last, _) in self._seen.items() if at - last >= self._window]
            for one in over:
                del self._seen[one]
            self._most_seen = 2 * len(self._seen) + 1000

    def _count(self) -> None:
        if self._parts and self._next == self._parts[-1][0] + MINUTE * self._parts[-1][1]:
            self._parts[-1][1] += 1
        else:
            self._parts.append([self._next, 1])
        self._sender.count(self._next)
        self._now = self._next
        self._next += MINUTE

    def _count_until(self, until: int) -> None:
        """Count at each full minute before a moment."""
        while self._next < until:
            if self._next >= self._newest + self._window:  # nobody is there any more
                self._next += (until - self._next) // -MINUTE * -MINUTE
                return
            self._pending.enter(self._next // MINUTE)
            self._pending.send_due(self._next, self._now)
            self._count()

    def series(self, silence: int) -> Series:
        """The number online at each full minute, once the sender has finished."""
        counted = iter(self._sender.counted)
        parts = [(at, array("I", islice(counted, n))) for at, n in self._parts]
        return Series(self.begins, self._next if self.begins >= 0 else -1, parts, silence)


# ------------------------------------------------------------ the whole


def moment(ms: int) -> datetime:
    """Turn milliseconds into an aware UTC datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def count_days(days: Iterable[bytes]) -> tuple[int, int, dict[date, int], Kind]:
    """Count people, bots and people per day in sorted records; return the kind of the people too."""
    people, bots, last, each = 0, 0, b"", dict[bytes, int]()
    kind: Kind = "member"
    for record in days:
        user, day = record[:-8], record[-8:-1]
        if user[0] == _BOT:
            bots += user != last
        else:
            people += user != last
            each[day] = each.get(day, 0) + 1
            kind = _KINDS[user[0]] or "member"
        last = user
    return people, bots, {date.fromordinal(int(one)): each[one] for one in sorted(each)}, kind


def replay(
    log: Log,
    core: Outbox,
    engine: Engine,
    naming: Naming,
    progress: Callable[[int], object] = lambda _: None,
    silence: float = DEFAULT_SILENCE,
) -> Summary:
    """Send a log to a room, which should be new, and summarize the store's answers.

    The core names the window. The series omits times without anybody of more than ``silence`` seconds.
    Raises StoreError.
    """
    scope, sender = core.scopes.site, Sender(core, engine, naming)
    with Sorter(_DAYS) as days:
        try:
            done = Pass(sender, scope.window, days)
            done.run(log.sorter, progress)
            sender.finish()
        finally:
            sender.close()
        people, bots, each, kind = count_days(days)
    return Summary(
        window=scope.window / 1000,
        lines=log.lines,
        malformed=log.malformed,
        skipped=log.skipped,
        first=moment(done.first) if done.first >= 0 else None,
        last=moment(done.last) if done.last >= 0 else None,
        begins=moment(done.begins) if done.begins >= 0 else None,
        series=done.series(round(silence * 1000)),
        exact_peak=engine.call(online.peak(scope, None, include_hidden=True)),
        uniques=people,
        uniques_per_day=each,
        bots=bots,
        uniques_estimated=_estimate(engine, sender, done, kind),
    )


def _estimate(engine: Engine, sender: Sender, done: Pass, kind: Kind) -> int | None:
    """The store's HyperLogLog count of all visitors; None for more days than it counts over."""
    days = done.last // _DAY - done.first // _DAY + 1
    if done.last < 0 or days > (1 if kind == "guest" else MAX_DAYS):
        return None
    return engine.run(history.uniques(sender.at(done.last), days, kind, include_hidden=False))
