"""One reader of a room's events, from the place where it is; pure.

A `Watch` is at a place, the number of the last event it knows. What a look found is delivered to it
where it follows without a gap: numbers that run on from its place to the counter, in the same history
of the store. Otherwise the watch starts over from a snapshot, by a reset. A watch that is not read
holds at most `MOST_WAITING` events; then it lets go of them, and starts over when it is read again.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from herenow import names
from herenow.models import Event, Snapshot
from herenow.operations.events import Place, Reading, StoredEvent
from herenow.operations.scope import Scope, moment

MOST_WAITING: Final = 10_000
"""How many events wait for a reader at most: as many as the store keeps."""
SNAPSHOT_USERS: Final = 50


View: TypeAlias = tuple[bool, Place | None]
"""What of a room is read for a watch: with the hidden or not, after which place (None: nothing yet)."""


class Wish(NamedTuple):
    """What a watch wants in the snapshot of a reset: some users, or (None) so many of all members."""

    users: frozenset[str] | None
    limit: int
    include_hidden: bool


class Watch:
    """One reader of one room's events: where it is, what it wants to see, what waits for it."""

    def __init__(
        self,
        scope: Scope,
        after: object,
        users: Iterable[object] | None,
        *,
        include_hidden: bool,
        limit: int = SNAPSHOT_USERS,
    ) -> None:
        self.scope = scope
        self.place = (
            None if after is None else Place.parse(after).seen_by(include_hidden=include_hidden)
        )
        self.users = (
            None
            if users is None
            else frozenset(
                map(names.clean_user, names.clean_many(users, "users is a list of users"))
            )
        )
        self.include_hidden = include_hidden
        self.limit = limit
        self.notify: Callable[[], None] = nothing
        self.started = False
        self.closed = False
        self.lost = False
        """Whether it let go of events, to start over when it is read again."""
        self.asked = False
        self._batches: deque[list[Event]] = deque()
        self._waiting = 0

    @property
    def wish(self) -> Wish:
        """What it wants in a snapshot."""
        return Wish(self.users, self.limit, self.include_hidden)

    @property
    def view(self) -> View:
        """After what it is given events, and whether those of the hidden too."""
        return self.include_hidden, self.place and self.place._replace(moment=0, history="")

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return self._waiting

    def put(self, events: list[Event]) -> None:
        """Have events wait, or let go of all when they are too many."""
        if not events:
            return
        self._batches.append(events)
        self._waiting += len(events)
        if self._waiting > MOST_WAITING:
            self._batches.clear()
            self._waiting = 0
            self.lost = True
        self.notify()

    def take(self) -> list[Event]:
        """Take the oldest batch that waits; empty for none."""
        if not self._batches:
            return []
        batch = self._batches.popleft()
        self._waiting -= len(batch)
        return batch

    def follow(self, reading: Reading) -> bool:
        """Take up what was read from its place on; False where something is missing in between."""
        at = self.place
        if at is None:
            self.place = reading.end
            return True
        if at.number == 0 and reading.born >= 0:
            at = at._replace(number=reading.born)
        history = reading.end.history
        if at.history and history and at.history != history:
            return False
        if at.moment > reading.now:  # the clock was set back: what times out now may be missed
            return False
        events = reading.events
        if at.number != reading.counter:
            if not events or at.number > reading.counter:
                return False
            first, last = events[0].number, events[-1].number
            ran_on = last - first == len(events) - 1
            if first > at.number + 1 or not ran_on or (reading.whole and last != reading.counter):
                return False
        self.place = at._replace(history=history)
        return True

    def catch_up(self, reading: Reading) -> None:
        """Note that all was delivered that was due at the moment of its snapshot, where that is so."""
        at = self.place
        if at is None or not at.moment or at.number != reading.counter:
            return
        if reading.due_seen < 0 or reading.due_seen > at.moment:
            self.place = at._replace(moment=0)

    def deliver(self, reading: Reading, shown: "Shown") -> None:
        """Have those of the events wait that are after its place and visible to it."""
        place, events = self.place, reading.events
        if place is None or not events or events[-1].number <= place.number:
            return
        if not place.moment and place.number < events[0].number:
            visible = shown.all
        else:
            new = [
                one
                for one in events
                if one.number > place.number
                and not (one.event.reason == "timeout" and one.at <= place.moment)
            ]
            visible = [shown.one(one, place.moment) for one in new]
        if self.users is not None:
            visible = [one for one in visible if one.user in self.users]
        last = events[-1]
        shown_last = last.shown if last.shown != last.number else None
        self.place = place._replace(number=last.number, shown=shown_last)
        self.put(visible)

    def start(self) -> None:
        """Say that it is at a place: nothing after it is missed."""
        if not self.started:
            self.started = True
            self.notify()

    def start_over(self, snapshot: Snapshot) -> None:
        """Have a reset wait, and begin anew from it."""
        self.place = Place.parse(snapshot.event_id)
        self.lost = self.asked = False
        at = moment(self.place.moment)
        reset = Event(
            snapshot.event_id, "reset", self.scope.room, None, None, at, snapshot=snapshot
        )
        self.put([reset])
        self.start()


def nothing() -> None:
    """Do nothing."""


class Shown:
    """Events that were read: made once for all who are given the same."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._all: list[Event] | None = None

    def one(self, stored: StoredEvent, since: int) -> Event:
        """One of them, to somebody whose snapshot was of the moment ``since``."""
        if not since:
            return stored.event
        place = Place.parse(stored.event.id)._replace(moment=since)
        return replace(stored.event, id=str(place))

    @property
    def all(self) -> list[Event]:
        """All of them, as one list that nobody may change."""
        if self._all is None:
            self._all = [one.event for one in self._reading.events]
        return self._all
