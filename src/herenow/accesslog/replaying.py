"""Replay: a whole log told to a store by the log's own clock, and what the store says of it.

The lines are read and sorted by time (`Log`), then told in order (`replay`). The store keeps its own
books: each count at a full minute, the peak and the history are its answers. What is not told are
sightings that could change none of them. Of a user who is online only her last sighting within the window
counts, and those of a minute are told at one or two moments, each with its age. These are chosen so that
nothing is lost:

- the moment of the minute's largest number online (the store compares its peak at each touch), and the
  last one at which somebody came;
- the full minute, where somebody came at it, for the count there;
- always before a user's window is over whom the store has yet to see again: `_Told` holds that moment.

Memory is bounded by who is online at once and by the sightings of one minute.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from math import inf
from typing import Any, Final

from herenow.accesslog.figures import Figures
from herenow.accesslog.hosts import Naming
from herenow.accesslog.records import HEAD, Log
from herenow.accesslog.sorting import Sorter
from herenow.core import Core
from herenow.execution import Engine
from herenow.models import Counts
from herenow.names import MAX_DAYS, Kind
from herenow.operations import Operation, answer, history, marking, online, upkeep
from herenow.operations.marking import Mark, Written
from herenow.operations.scope import Scope
from herenow.operations.timeline import timeline

MINUTE: Final = 60_000
_DAY: Final = 86_400_000
_STEPS: Final = 24
_MARKS: Final = 500
"""What one call may hold the store for: about a millisecond or two."""
_CALLS: Final = 4


# ------------------------------------------------------------ telling the store


class Teller:
    """Sends steps to a store in order, in the background; gives what the counts among them answered."""

    def __init__(self, core: Core, engine: Engine) -> None:
        self.core, self.scope = core, core.site
        self._engine = engine
        self._steps: list[Operation[Any]] = []
        self._marks = 0
        self._calls: list[list[Operation[Any]]] = []
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="herenow-replay")
        self._sent: list[Future[list[Counts]]] = []
        self.counted: list[int] = []

    def at(self, ms: int) -> Scope:
        """The room at a moment."""
        return replace(self.scope, clock=partial(float, ms / 1000))

    def begin(self, ms: int) -> None:
        """Write the room's settings, and put it on the list of rooms."""
        write = [(self.at(ms), lambda naming: upkeep.sweep(self.at(ms), naming=naming))]
        for outcome in self._engine.run(self.core.memory.write(write)):
            answer(outcome)

    def touch(self, ms: int, marks: Sequence[Mark], ages: Sequence[int]) -> None:
        """Record sightings at a moment, each so long before it."""
        for i in range(0, len(marks), marking.MOST_AT_ONCE):
            j = i + marking.MOST_AT_ONCE
            self._add(
                marking.touch(self.at(ms), marks[i:j], ages[i:j], lenient=True), len(marks[i:j])
            )

    def count(self, ms: int) -> None:
        """Ask how many are online at a moment; the answer comes to `counted`."""
        self._add(online.counts(self.at(ms)), 4)

    def _add(self, step: Operation[Any], weight: int) -> None:
        self._steps.append(step)
        self._marks += weight
        if len(self._steps) >= _STEPS or self._marks >= _MARKS:
            self._calls.append(self._steps)
            self._steps, self._marks = [], 0
            if len(self._calls) >= _CALLS:
                self._send()

    def _send(self) -> None:
        calls, self._calls = self._calls, []
        self._sent.append(self._sender.submit(self._run, calls))
        if len(self._sent) > 2:  # noqa: PLR2004 - one is being sent, one is ready
            self._take()

    def _run(self, calls: list[list[Operation[Any]]]) -> list[Counts]:
        operations = [timeline(self.scope, steps) for steps in calls]
        answers = [one for outcome in self._engine.batch(operations) for one in answer(outcome)]
        due = [one.history for one in answers if isinstance(one, Written) and one.history]
        self._engine.run(history.after(self.scope, due))
        listed = [one for one in answers if isinstance(one, Written) and one.listed is not None]
        more = listed and self.core.memory.after(self.scope, listed[-1]._replace(history=None))
        if more:
            self._engine.run(more)
        return [one for one in answers if isinstance(one, Counts)]

    def _take(self) -> None:
        self.counted += [one.people for one in self._sent.pop(0).result()]

    def finish(self) -> None:
        """Wait until all is told."""
        if self._steps:
            self._calls.append(self._steps)
            self._steps = []
        if self._calls:
            self._send()
        while self._sent:
            self._take()

    def close(self) -> None:
        """End the background."""
        self._sender.shutdown(cancel_futures=True)


class _Told:
    """The sightings that the store is yet to be told, and until when that must be.

    ``waiting`` are those for the next touch. ``due`` is when the window of somebody would be over in the
    store who, by what waits, was there all along. Of whoever was told and comes again, only her last
    sighting is kept (``_again``), until the minute in which her window would be over: that one is told.
    """

    def __init__(self, teller: Teller, naming: Naming, window: int) -> None:
        self._teller, self._naming, self._window = teller, naming, window
        self.waiting: dict[bytes, int] = {}
        self.due: float = inf
        self.came = False
        """Whether somebody among them came: the minute does not end without a touch."""
        self._known: set[bytes] = set()  # whose window is not over this minute
        self._over: dict[int, list[bytes]] = {}  # the minute in which it is
        self._again: dict[bytes, int] = {}
        self._minute = 0

    def see(self, user: bytes, at: int, seen: int | None) -> None:
        """Take a sighting of a user; ``seen``: when she, who is online, was seen before."""
        if seen is None:
            self.came = True
            self._known.add(user)
            self.waiting[user] = seen = at
        elif user in self._known:
            self._again[user] = at
            return
        else:
            self.waiting[user] = at
        self.due = min(self.due, seen + self._window)

    def enter(self, minute: int) -> None:
        """Begin a minute: those whose windows would be over in it wait to be told again."""
        self._minute = minute
        for one in [one for one in self._over if one <= minute]:
            for user in self._over.pop(one):
                self._release(user, one * MINUTE)

    def _release(self, user: bytes, due: int) -> None:
        self._known.discard(user)
        at = self._again.pop(user, None)
        if at is not None:
            self.waiting[user] = at
            self.due = min(self.due, due)

    def tell(self, at: int) -> None:
        """Tell the store what waits, at the moment of the last one of these, or later."""
        marks = [mark_of(user, self._naming) for user in self.waiting]
        self._teller.touch(at, marks, [at - seen for seen in self.waiting.values()])
        told, self.waiting, self.due, self.came = self.waiting, {}, inf, False
        self._known.update(told)
        for user, seen in told.items():
            over = (seen + self._window) // MINUTE
            if over > self._minute:
                self._over.setdefault(over, []).append(user)
            else:
                self._release(user, seen + self._window)

    def tell_due(self, until: int, at: int) -> None:
        """Tell the store what it has to know by ``until``; ``at`` is the moment before that."""
        while until >= self.due:
            self.tell(at)

    def tell_all(self, at: int) -> None:
        """Tell the store everything."""
        if self.waiting:
            self.tell(at)
        if self._again:
            self.waiting, self._again = self._again, {}
            self.tell(at)


def mark_of(visitor: bytes, naming: Naming) -> Mark:
    """Mark a visitor: the letter of the kind, then the host."""
    return Mark(naming.user(visitor), 0, _KINDS[visitor[0]])


_BOT: Final = ord("b")
_KINDS: Final[dict[int, Kind | None]] = {ord("m"): None, ord("g"): "guest", _BOT: "bot"}
Seen = list[tuple[bytes, int | None]]
"""Who was seen at a moment, and when before; None: she came."""


class Pass:
    """One pass over the sorted records of a log."""

    def __init__(self, teller: Teller, naming: Naming, window: int, days: Sorter) -> None:
        self._teller, self._window, self._days = teller, window, days
        self._told = _Told(teller, naming, window)
        self._online: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()  # the oldest first
        self._bots = 0
        self._zeros: array[int] = array("I")
        self._asked: array[int] = array("Q")
        self.first = self.last = self.begins = -1
        self._next = 0  # the full minute to be counted next
        self._now = 0  # what the store was told, or asked, last

    def run(self, records: Iterable[bytes], told: Callable[[int], object]) -> None:
        """Replay the records; ``told`` is told how many were done, now and then."""
        online, came = self._online, list[bytes]()
        minute, head, at = -1, b"", -1
        moments: list[tuple[int, Seen, int]] = []
        seen: Seen = []
        for number, record in enumerate(records):
            if record[:15] != head:
                if seen:
                    moments.append((at, seen, len(online) - self._bots))
                head, seen = record[:15], []
                before, at = at, int(head)
                if at // MINUTE != minute:
                    minute = at // MINUTE
                    if before < 0:
                        self._begin(at)
                    self._tell(moments, at)
                    self._count_until(at)
                    self._days.extend(came)
                    moments, came = [], []
                    told(number)
                self._expire(at)
            user, day = record[HEAD:-1], record[15:HEAD]
            last = online.get(user)
            if last is None:
                self._bots += user[0] == _BOT
                seen.append((user, None))
            else:
                online.move_to_end(user)
                if last[0] != at:
                    seen.append((user, last[0]))
            if last is None or last[1] != day:
                came.append(user + day + b"\n")
            online[user] = (at, day)
        self._days.extend(came)
        if at >= 0:
            moments.append((at, seen, len(online) - self._bots))
            self._tell(moments, at)
            self._told.tell_all(self._now)
            self._count_until(at // -MINUTE * -MINUTE + 1)
            self.last = at

    def _begin(self, at: int) -> None:
        self.first = self._now = at
        self.begins = self._next = at // -MINUTE * -MINUTE
        self._teller.begin(at)

    def _expire(self, at: int) -> None:
        online, cut = self._online, at - self._window
        while online:
            user = next(iter(online))
            if online[user][0] > cut:
                return
            del online[user]
            self._bots -= user[0] == _BOT

    def _tell(self, moments: list[tuple[int, Seen, int]], until: int) -> None:
        """Tell what was seen in a minute; the next sighting after it comes at ``until``."""
        if not moments:
            return
        told, most_at = self._told, _most_at(moments)
        told.enter(moments[0][0] // MINUTE)
        for at, seen, _ in moments:
            told.tell_due(at, self._now)
            for user, before in seen:
                told.see(user, at, before)
            self._now = at
            full = at == self._next
            if (at == most_at or full) and told.came:
                told.tell(at)
            if full:
                self._count()
        if told.came:
            told.tell(self._now)
        if self._now // _DAY != until // _DAY:  # whom a day has seen is told on that day
            told.tell_all(self._now)

    def _count(self) -> None:
        self._asked.append(len(self._zeros))
        self._zeros.append(0)
        self._teller.count(self._next)
        self._now = self._next
        self._next += MINUTE

    def _count_until(self, until: int) -> None:
        """Count at each full minute before a moment."""
        newest = next(reversed(self._online.values()))[0] if self._online else -self._window
        while self._next < until:
            if self._next >= newest + self._window:  # nobody is there any more: zeros
                more = (until - self._next) // -MINUTE * -1
                self._zeros.frombytes(bytes(more * self._zeros.itemsize))
                self._next += more * MINUTE
                return
            self._told.enter(self._next // MINUTE)
            self._told.tell_due(self._next, self._now)
            self._count()

    def series(self) -> Sequence[int]:
        """The number online at each full minute, once the teller has finished."""
        for at, count in zip(self._asked, self._teller.counted, strict=True):
            self._zeros[at] = count
        return self._zeros


def _most_at(moments: list[tuple[int, Seen, int]]) -> int:
    """The first moment of a minute with the most online, of those at which somebody came; -1 for none."""
    most, most_at = 0, -1
    for at, seen, count in moments:
        if count > most and any(before is None for _, before in seen):
            most, most_at = count, at
    return most_at


# ------------------------------------------------------------ the whole


def moment(ms: int) -> datetime:
    """Turn milliseconds into an aware UTC datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def count_days(days: Iterable[bytes]) -> tuple[int, int, dict[date, int]]:
    """Count who is in sorted records of kind, host and day: all, bots, and all but bots each day."""
    people, bots, last, each = 0, 0, b"", dict[bytes, int]()
    for record in days:
        user, day = record[:-8], record[-8:-1]
        if user[0] == _BOT:
            bots += user != last
        else:
            people += user != last
            each[day] = each.get(day, 0) + 1
        last = user
    return people, bots, {date.fromordinal(int(one)): each[one] for one in sorted(each)}


def replay(
    log: Log,
    core: Core,
    engine: Engine,
    naming: Naming,
    told: Callable[[int], object] = lambda _: None,
) -> Figures:
    """Tell a log to a room, which should be fresh, and ask what it came to.

    The core names the window. Raises StoreError.
    """
    scope, teller = core.site, Teller(core, engine)
    with Sorter() as days:
        try:
            done = Pass(teller, naming, scope.window, days)
            done.run(log.sorter, told)
            teller.finish()
        finally:
            teller.close()
        people, bots, each = count_days(days)
    return Figures(
        window=scope.window / 1000,
        lines=log.lines,
        malformed=log.malformed,
        skipped=log.skipped,
        first=moment(done.first) if done.first >= 0 else None,
        last=moment(done.last) if done.last >= 0 else None,
        begins=moment(done.begins) if done.begins >= 0 else None,
        series=done.series(),
        exact_peak=engine.call(online.peak(scope, None)),
        uniques=people,
        uniques_per_day=each,
        bots=bots,
        uniques_estimated=_estimate(engine, teller, done),
    )


def _estimate(engine: Engine, teller: Teller, done: Pass) -> int | None:
    """What the store's HyperLogLogs say of all members; None for more days than it counts over."""
    days = done.last // _DAY - done.first // _DAY + 1
    if done.last < 0 or days > MAX_DAYS:
        return None
    scope = teller.at(done.last)
    return engine.run(history.uniques(scope, days, "member", include_hidden=False))
