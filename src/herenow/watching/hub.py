"""Which rooms are to be looked at and when, and what a look gives to whom.

A `Hub` does no I/O: a driver listens to the doorbells of the rooms in `channels`, calls `ring`, and runs
`look` of what is `due`. The stream is the truth: a bell only says that a look is worth it, so one that
is not heard delays an event and loses none. A room is looked at

- when its bell rings, once for all its watches, however many came meanwhile;
- when its next user is due to expire, and then swept. Who watches the same room in other processes waits
  a little, each for another time: the first one sweeps, and its bell rings for the others;
- after every (re)connection of the doorbell, and now and then in any case;
- where the store did not answer, later and later, and when its line is heard again, which proves it back.

Where the store did not answer for a while (see `contact`), that is recorded in the room's history by the
first look that is answered again.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from herenow.errors import StoreError, StoreTimeout, StoreUnavailable
from herenow.models import Snapshot
from herenow.operations import Operation, Plan, answer, history, keys, online, upkeep
from herenow.operations.events import Reading, read
from herenow.operations.marking import Written
from herenow.operations.scope import Scope
from herenow.outbox.room_cache import RoomCache
from herenow.store import forking
from herenow.watching.contact import Contact
from herenow.watching.feed import Feed
from herenow.watching.schedule import Schedule
from herenow.watching.watch import Shown, View, Watch, Wish, nothing

_log: Final = logging.getLogger("herenow")
_dice: Final = random.SystemRandom()  # whoever seeds the common one wants the next for themselves
ANYWAY: Final = 60.0
DEAF: Final = 1.0
"""Every so many seconds rooms are looked at where no bell can be heard: the user lacks the right to."""
PATIENCE: Final = (0.05, 3.0)
"""Seconds until what failed is tried again, at least and at most."""
_PROVEN: Final = 1.0
"""Seconds between looks that follow because a line was heard: it may be heard, and calls still fail."""
_ENTRIES_AT_ONCE: Final = 100
_ROOMS_AT_ONCE: Final = 100
_SWEEPS_AT_ONCE: Final = 16
_SWEPT_AT_MOST: Final = 250
_CLOCK_OF_OTHERS: Final = 0.25
_TURN: Final = 0.3


def _never(_channel: bytes) -> float:
    return 0.0


def _nobody(_channel: bytes) -> None:
    pass


class Hub:
    """All watches of one Presence, by room; thread-safe."""

    def __init__(
        self, rooms: RoomCache, *, own_clock: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rooms = rooms
        self._clock = clock
        self._own_clock = own_clock
        self.start_anew()
        self._feeds: dict[bytes, Feed] = {}
        self._schedule = Schedule()
        self._failing: dict[bytes, None] = {}
        self.dropped: deque[Watch] = deque()
        """Watches whose reader is gone: a finalizer puts them here, which must not take the lock."""
        self.wake: Callable[[], None] = nothing
        """Called when something is to be done."""
        self.heard: Callable[[bytes], float] = _never
        """Given a doorbell: when its line was heard last, by `time.monotonic`."""
        self.doubt: Callable[[bytes], None] = _nobody
        """Given a doorbell whose room the store did not answer for: its line is to ask for a sign."""
        self.anyway = ANYWAY
        """Every so many seconds a room is looked at in any case."""
        forking.register(self)

    def start_anew(self) -> None:
        """Have a lock of its own."""
        self._lock = threading.RLock()

    # who watches

    def attach(self, watch: Watch) -> None:
        """Take a watch in."""
        channel = watch.scope.keys[keys.EVENTS]
        with self._lock:
            feed = self._feeds.get(channel)
            if feed is None:
                feed = self._feeds[channel] = Feed(watch.scope, Contact(self._clock))
            feed.watches.append(watch)
            feed.sweep = True
            self._look_soon(channel, feed)
        self.wake()

    def detach(self, watch: Watch) -> None:
        """Let a watch go, and the room with the last of its watches."""
        channel = watch.scope.keys[keys.EVENTS]
        with self._lock:
            feed = self._feeds.get(channel)
            if feed is not None and watch in feed.watches:
                feed.watches.remove(watch)
                if not feed.watches:
                    del self._feeds[channel]
                    self._schedule.forget(channel)
                    self._failing.pop(channel, None)
        self.wake()

    def ask(self, watch: Watch) -> None:
        """Have a watch that let go of events start over, for it is read again."""
        if watch.lost and not watch.asked:
            watch.asked = True
            self.ring(watch.scope.keys[keys.EVENTS])

    @property
    def channels(self) -> list[bytes]:
        """The doorbells to listen to: a room's is named as its stream."""
        with self._lock:
            return list(self._feeds)

    @property
    def idle(self) -> bool:
        """Whether nobody watches: those that were dropped are let go first."""
        while self.dropped:
            self.detach(self.dropped.popleft())
        return not self._feeds

    # when to look

    def ring(self, channel: bytes, bell: tuple[int, int] | None = None) -> None:
        """Look at a room soon: its bell rang for an event of these numbers, or (None) may have."""
        with self._lock:
            feed = self._feeds.get(channel)
            if feed is None or (bell is not None and feed.knows(bell)):
                return
            if bell is None:
                feed.failed = 0
                self._failing.pop(channel, None)
            self._look_soon(channel, feed)
        self.wake()

    def back(self, listens: Callable[[bytes], bool]) -> list[bytes]:
        """Take the rooms of a line that was heard for which the store did not answer: `retry` them."""
        if not self._failing:
            return []
        now = time.monotonic()
        with self._lock:
            rooms = [one for one in self._failing if listens(one)]
            rooms = [one for one in rooms if now - self._feeds[one].proven > _PROVEN]
            for one in rooms:
                self._feeds[one].proven = now
            return rooms

    def retry(self, rooms: Iterable[bytes]) -> None:
        """Look at some rooms now, though it is not their turn yet."""
        with self._lock:
            self._schedule.soon(one for one in rooms if one in self._feeds)
        self.wake()

    def _look_soon(self, channel: bytes, feed: Feed) -> None:
        if not feed.failed:  # else its turn comes
            self._schedule.soon([channel])

    def be_deaf(self) -> bool:
        """Look at every room each second: no bell can be heard. False where that was known."""
        with self._lock:
            if self.anyway == DEAF:
                return False
            self.anyway = DEAF
        for channel in self.channels:
            self.ring(channel)
        return True

    def due(self) -> list[Feed]:
        """Rooms to look at now, those that wait longest first; to be given to `look`."""
        with self._lock:
            for channel in self._schedule.woken(time.monotonic()):
                self._feeds[channel].sweep = True
            return [self._feeds[one] for one in self._schedule.take(_ROOMS_AT_ONCE)]

    def seconds(self) -> float:
        """How long until something is due."""
        with self._lock:
            return self._schedule.seconds(time.monotonic(), ANYWAY)

    def _look_after(self, feed: Feed, seconds: float) -> None:
        channel = feed.scope.keys[keys.EVENTS]
        if self._feeds.get(channel) is feed:
            self._schedule.later(channel, time.monotonic() + seconds)

    def missed(self, channels: Iterable[bytes], heard: float = 0.0) -> None:
        """Note that some doorbells' lines are lost; ``heard``: when they last were heard.

        A look finds out whether the store is unavailable, or only a line.
        """
        with self._lock:
            for channel in channels:
                feed = self._feeds.get(channel)
                if feed is not None:
                    feed.contact.missed(heard)
                    self._look_soon(channel, feed)

    def failed(self, feeds: Iterable[Feed]) -> None:
        """Look again at rooms that the store did not answer for: later and later."""
        with self._lock:
            for feed in feeds:
                least, most = PATIENCE
                seconds = min(most, least * 2 ** min(feed.failed, 10))
                feed.failed += 1
                channel = feed.scope.keys[keys.EVENTS]
                if self._feeds.get(channel) is feed:
                    self._failing[channel] = None
                    self.doubt(channel)
                self._look_after(feed, seconds * _dice.uniform(0.5, 1))

    # the look

    def look(self, feeds: Sequence[Feed]) -> Plan[None]:
        """Read what is new in these rooms and deliver it; sweep those that are due."""
        yield from self._read(feeds)
        outages = [feed for feed in feeds if feed.outages and not feed.failed]
        if outages:
            yield from self._record(outages)
        sweeping = [feed for feed in feeds if feed.sweep and not feed.failed]
        if sweeping:
            yield from self._sweep(sweeping)

    def _read(self, feeds: Sequence[Feed]) -> Plan[None]:
        jobs: list[tuple[Feed, View]] = []
        with self._lock:
            for feed in feeds:
                jobs += [(feed, view) for view in feed.views or {(False, None)}]
        outcomes = yield [
            read(feed.scope, place, _ENTRIES_AT_ONCE, include_hidden=hidden)
            for feed, (hidden, place) in jobs
        ]
        found: dict[Feed, dict[View, Reading]] = {feed: {} for feed in feeds}
        bad: dict[Feed, None] = {}
        for (feed, view), outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, StoreError):
                if isinstance(outcome, StoreUnavailable | StoreTimeout):
                    feed.contact.missed(self.heard(feed.scope.keys[keys.EVENTS]))
                bad[feed] = None
            else:
                found[feed][view] = answer(outcome)
        self.failed(bad)
        with self._lock:
            over = [
                (feed, self._deliver(feed, reading))
                for feed, reading in found.items()
                if feed not in bad
            ]
        yield from self._start_over([(feed, watches) for feed, watches in over if watches])

    def _deliver(self, feed: Feed, found: dict[View, Reading]) -> list[Watch]:
        """Give each watch what follows its place; those that are to start over."""
        feed.failed = 0
        self._failing.pop(feed.scope.keys[keys.EVENTS], None)
        now = next(iter(found.values())).now  # by the store's own clock that of the answer
        outage = feed.contact.met(round(self._clock() * 1000) if self._own_clock else now)
        if outage is not None:
            feed.outages.append(outage)
        over = [watch for watch in feed.watches if watch.lost and watch.asked]
        reads = [(view, reading, Shown(reading)) for view, reading in found.items()]
        reads.sort(key=lambda one: one[1].counter)
        for watch in feed.watches:
            view = watch.view
            if watch.lost or view not in found:
                continue
            if not watch.follow(found[view]):
                over.append(watch)
                continue
            for (hidden, after), reading, shown in reads:  # what a later one found, it may know too
                if hidden is not watch.include_hidden or after is None or watch.place is None:
                    continue
                if after.number <= watch.place.number:
                    watch.deliver(reading, shown)
                watch.catch_up(reading)
            watch.start()
        if any(not reading.whole for reading in found.values()):
            self._look_soon(feed.scope.keys[keys.EVENTS], feed)
        self._plan_next(feed, max(found.values(), key=lambda reading: reading.now))
        return over

    @staticmethod
    def _record(feeds: Sequence[Feed]) -> Plan[None]:
        """Record outages in the rooms' histories; what can't be now is with the next look."""
        jobs = [
            (feed, outage, operation)
            for feed in feeds
            for outage in feed.outages
            for operation in history.outage(feed.scope, *outage)
        ]
        for feed in feeds:
            feed.outages = []
        outcomes = (yield [operation for _, _, operation in jobs]) if jobs else []
        for (feed, outage, _), outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, StoreUnavailable | StoreTimeout):
                feed.outages.append(outage)
            elif isinstance(outcome, Exception):  # it may only read, say
                _log.debug("an outage of room %r is not recorded: %s", feed.scope.room, outcome)

    def _plan_next(self, feed: Feed, reading: Reading) -> None:
        """Look again when the next is due."""
        until = reading.due - reading.now
        if reading.due < 0:
            feed.sweep, feed.sweeps = False, 1
            self._look_after(feed, self.anyway * _dice.uniform(0.8, 1.2))
        elif 0 < until <= reading.window:
            feed.sweep, feed.sweeps = False, 1
            anyway = _CLOCK_OF_OTHERS if self._own_clock else self.anyway
            turn = _dice.uniform(0.001, _TURN)
            self._look_after(feed, min(until / 1000 + turn, anyway))
        elif not feed.sweep:  # due, or the clock was set back: somebody may be at it
            self._look_after(feed, _dice.uniform(0.05, _TURN))

    def _sweep(self, feeds: Sequence[Feed]) -> Plan[None]:
        counts = [feed.sweeps for feed in feeds]
        operations: list[Operation[Any]] = [
            upkeep.sweep(feed.scope) for feed in feeds for _ in range(feed.sweeps)
        ]
        outcomes = yield operations
        at = 0
        listed = []
        for feed, count in zip(feeds, counts, strict=True):
            part, at = outcomes[at : at + count], at + count
            full = [
                one for one in part if isinstance(one, Written) and one.result >= _SWEPT_AT_MOST
            ]
            listed += [
                (feed.scope, one)
                for one in part
                if isinstance(one, Written) and (one.history or one.listed is not None)
            ]
            feed.sweep = len(full) == count
            feed.sweeps = min(2 * count, _SWEEPS_AT_ONCE) if feed.sweep else 1
        yield from self._read(feeds)
        with self._lock:
            for feed in feeds:
                if feed.sweep:
                    self._look_soon(feed.scope.keys[keys.EVENTS], feed)
        for scope, written in listed:
            more = self._rooms.after(scope, written)
            if more is not None:
                yield from more

    def _start_over(self, over: Sequence[tuple[Feed, list[Watch]]]) -> Plan[None]:
        """Give watches a snapshot to start over from."""
        jobs: dict[tuple[Feed, Wish], list[Watch]] = {}
        for feed, watches in over:
            for watch in watches:
                jobs.setdefault((feed, watch.wish), []).append(watch)
        many = list(jobs.items())
        for i in range(0, len(many), _ROOMS_AT_ONCE):
            yield from self._give_snapshots(many[i : i + _ROOMS_AT_ONCE])

    def _give_snapshots(self, jobs: Sequence[tuple[tuple[Feed, Wish], list[Watch]]]) -> Plan[None]:
        outcomes = yield [_snapshot(feed.scope, wish) for (feed, wish), _ in jobs]
        with self._lock:
            for ((feed, _), watches), outcome in zip(jobs, outcomes, strict=True):
                if isinstance(outcome, StoreError):
                    self.failed([feed])
                elif isinstance(outcome, Exception):
                    raise outcome
                else:
                    for watch in watches:
                        watch.start_over(outcome)
                    self._look_soon(feed.scope.keys[keys.EVENTS], feed)


def _snapshot(scope: Scope, wish: Wish) -> Operation[Snapshot]:
    if wish.users is None:
        return online.snapshot(scope, wish.limit, include_hidden=wish.include_hidden)
    return online.watched(scope, sorted(wish.users), include_hidden=wish.include_hidden)
