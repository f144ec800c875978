"""Hypothesis' machine that drives two rooms: in ``hides`` some members hide, in ``left`` they leave then.

`tests.outsiders` says what is done in ``left``. After each step all that may be asked without
``include_hidden`` is compared.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
)

import herenow
from herenow.names import Kind
from herenow.operations.events import Place, as_outsider, read_entry
from herenow.operations.keys import EVENTS, room_keys
from herenow.outbox.port import Port
from herenow.watching import Hub, Watch
from tests.conftest import Clock
from tests.core.machine import RETENTION, START, aways, infos, sessions
from tests.operations import READS
from tests.oracle import Oracle
from tests.outsiders import Outsiders
from tests.servers import Server

USERS = ("a", "b", "c")
OPEN: tuple[Kind, ...] = ("member", "guest", "bot")

users = st.sampled_from(USERS)
kinds = st.sampled_from([None, None, "hidden", "hidden", "member", "guest", "bot"])
ages = st.sampled_from([None, None, None, None, None, 1, 1000, 299_999, 1_000_000])
marks = st.fixed_dictionaries(
    {"name": users, "kind": kinds, "session": sessions, "away": aways, "info": infos, "age": ages}
)


def shown(counts: herenow.Counts) -> herenow.Counts:
    return replace(counts, hidden=0)


IN_PARTS = {"counts", "room_counts", "rooms", "snapshot", "explain", "history"}
"""Reads that give more than outsiders may compare: the number of the hidden, ids, who has swept."""


def asked(there: herenow.Presence, now: float) -> dict[str, Any]:
    """All that an outsider may ask of a room, but for what tells who has swept."""
    snapshot = there.snapshot(2)
    found: dict[str, Any] = {  # first every read there is, so that a new one is compared too
        title: read.call(there, **({"user": "a"} if read.takes("user") else {}))
        for title, read in READS.items()
        if read.name not in IN_PARTS
    }
    found |= {
        "lookup": there.lookup(USERS),
        "count": [there.count_online_users(kind=kind) for kind in (*OPEN, "hidden")],
        "counts": shown(there.counts()),
        "snapshot": (shown(snapshot.counts), snapshot.users, snapshot.next_page),
        "room_counts": {name: shown(one) for name, one in there.room_counts(["site"]).items()},
        "rooms": [(one.name, shown(one.counts)) for one in there.rooms()],
        "peak": [there.peak(kind) for kind in (*OPEN, None)],
        "peaks": Port(there).room_peaks(["site"]),
        "uniques": [there.unique_users(days) for days in (1, 7)],
        "uniques of kinds": [there.unique_users(kind=kind) for kind in ("guest", "bot")],
    }
    for window in (None, 1, 100):
        found[f"list {window}"] = [there.get_online_users(window, kind) for kind in OPEN]
        found[f"pages {window}"] = [pages(there, window, kind) for kind in OPEN]
    for seconds in (1, 400, RETENTION / 1000):
        found[f"active {seconds}"] = (
            there.count_active_users(seconds),
            there.get_active_users(seconds),
        )
    for user in USERS:
        why = there.explain(user)
        events = in_order([replace(one, id="") for one in why.events])
        found[f"online {user}"] = there.is_online(user), there.get_user_last_activity(user)
        found[f"why {user}"] = why.presence, why.left_at, events
        found[f"reason {user}"] = why.reason
    end = datetime.fromtimestamp(now + 1, UTC)
    for step in ("minute", "hour", "day"):
        samples = there.history(datetime.fromtimestamp(0, UTC), end, step)
        found[f"history {step}"] = [(one.at, shown(one.counts), one.gap) for one in samples]
    return found


class Watcher:
    """A watch of a room that is read when it is pulled."""

    def __init__(
        self,
        there: herenow.Presence,
        after: str | None = None,
        users: Any = None,
        *,
        hidden: bool = False,
    ) -> None:
        self.there = there
        self.hub = Hub(there._outbox.rooms, own_clock=True, clock=there._outbox.now)
        self.watch = Watch(there._scope, after, users, include_hidden=hidden)
        self.events: list[herenow.Event] = []
        self.hub.attach(self.watch)
        self.pull()

    def pull(self) -> list[herenow.Event]:
        """Read on; all that it told."""
        self.hub.ring(self.there._scope.keys[EVENTS])
        while feeds := self.hub.due():
            self.there._engine.run(self.hub.look(feeds))
        while batch := self.watch.take():
            self.events += batch
        return self.events


class Numbers:
    """What is told with a number, from the first event of the room on."""

    def __init__(self) -> None:
        self.first: int | None = None

    def place(self, event_id: str | Place) -> tuple[int, int, str]:
        place = Place.parse(str(event_id))
        assert place.shown is None
        if self.first is None and place.number:
            self.first = place.number - 1
        return place.number and place.number - (self.first or 0), place.moment, place.history

    def event(self, event: herenow.Event) -> herenow.Event:
        return replace(event, id=str(self.place(event.id)), snapshot=None)


def pages(there: herenow.Presence, window: float | None, kind: Any) -> list[herenow.Page]:
    found: list[herenow.Page] = []
    while not found or found[-1].cursor is not None:
        cursor = found[-1].cursor if found else None
        found.append(there.page_online_users(1, cursor, window, kind))
    return found


class Machine(RuleBasedStateMachine):
    """The two rooms, written through two Presences of one clock."""

    clean: Callable[[], None]
    open: Callable[[str, Clock], herenow.Presence]
    events: Callable[[str], Any]
    compared = 0

    @initialize()
    def begin(self) -> None:
        type(self).clean()
        self.clock = Clock(START / 1000)
        self.hides, self.left = (type(self).open(one, self.clock) for one in ("hides:", "left:"))
        self.outsiders = Outsiders(Oracle(300_000, RETENTION))
        self.numbers = {self.hides: Numbers(), self.left: Numbers()}
        self.watchers = [
            [Watcher(there, users=whom) for there in (self.hides, self.left)]
            for whom in (None, ["a"], ["b", "c"])
        ]
        self.late = False
        self.insider = Watcher(self.hides, hidden=True)

    @property
    def now(self) -> int:
        return round(self.clock.now * 1000)

    # what happens

    @rule(said=marks, replaces=st.none() | st.none() | users)
    def mark(self, said: dict[str, Any], replaces: str | None) -> None:
        said = {**said, "replaces": None if replaces == said["name"] else replaces}
        if said["kind"] == "hidden" or said["replaces"]:
            said["age"] = None  # a leave is of now
        if said["age"] and said["age"] > 300_000 and said["kind"] in ("guest", "bot"):
            said["kind"] = None
        self.late |= said["age"] is not None
        self.do(said)
        self.compare()

    @rule(many=st.lists(marks.map(lambda one: {**one, "replaces": None}), min_size=2, max_size=5))
    def mark_many(self, many: list[dict[str, Any]]) -> None:
        many = [{**one, "kind": None if one["age"] else one["kind"]} for one in many]
        self.late |= any(one["age"] is not None for one in many)
        now, told = self.now, copy.deepcopy(self.outsiders)
        told.room.begin(now)
        done = [(one, told.mark(now, **one)) for one in many]
        if any(as_left not in ([], [("mark", one)]) for one, as_left in done):
            for one in many:  # who hides or shows themselves does so alone
                self.do(one)
        else:
            self.outsiders = told
            self.hides.mark_online_many([sighting(**one) for one in many])
            self.left.mark_online_many([sighting(**one) for one, as_left in done if as_left])
        self.compare()

    def do(self, said: dict[str, Any]) -> None:
        self.outsiders.room.begin(self.now)
        self.apply(self.hides, "mark", said)
        for method, arguments in self.outsiders.mark(self.now, **said):
            self.apply(self.left, method, arguments)

    @rule(name=users, session=st.none() | sessions)
    def leave(self, name: str, session: str | None) -> None:
        self.outsiders.room.begin(self.now)
        self.hides.mark_offline(name, session)
        for method, arguments in self.outsiders.leave(self.now, name, session):
            self.apply(self.left, method, arguments)
        self.compare()

    @rule(name=users)
    def hide(self, name: str) -> None:
        self.mark(
            {
                "name": name,
                "kind": "hidden",
                "session": "",
                "away": None,
                "info": None,
                "age": None,
            },
            None,
        )

    @staticmethod
    def apply(there: herenow.Presence, method: str, said: dict[str, Any]) -> None:
        if method == "leave":
            there.mark_offline(said["name"], said.get("session"))
        elif said["age"] is None:
            there.mark_online(
                said["name"],
                said["kind"],
                said["session"],
                said["away"],
                said["info"],
                said["replaces"],
            )
        else:
            there.mark_online_many([sighting(**said)])

    @rule(ms=st.sampled_from([1, 1000, 30_000, 150_000, 299_999, 300_000, 700_000]))
    def later(self, ms: int) -> None:
        self.clock.now = (self.now + ms) / 1000
        self.compare()

    # what must hold

    def compare(self) -> None:
        hides, left = asked(self.hides, self.clock.now), asked(self.left, self.clock.now)
        for question, answer in self.sure(left):
            swept = question.startswith(
                ("why", "reason")
            )  # a leave by timeout is told, or is to be
            assert swept or hides[question] == answer, (question, hides[question], answer)
            type(self).compared += size(answer)
        self.hides.sweep()
        self.left.sweep()
        self.outsiders.room.begin(self.now)
        self.outsiders.room.sweep(self.now)
        hides, left = asked(self.hides, self.clock.now), asked(self.left, self.clock.now)
        for question, answer in self.sure(left):
            assert hides[question] == answer, (question, hides[question], answer)
            type(self).compared += size(answer)
        assert self.told("hides:") == self.told("left:")
        type(self).compared += 1
        self.compare_watchers()

    @rule(whom=st.none() | st.lists(users, min_size=1))
    def watch(self, whom: list[str] | None) -> None:
        if len(self.watchers) < 8:
            starts = [(one, one.snapshot().event_id) for one in (self.hides, self.left)]
            self.watchers.append([Watcher(one, after, whom) for one, after in starts])
            self.compare_watchers()

    @rule(place=st.integers(0, 50))
    def resume(self, place: int) -> None:
        there, insider = self.watchers[0], self.insider
        if there[0].events:
            place %= len(there[0].events)
            again = [Watcher(one.there, one.events[place].id) for one in there]
            for one, before in zip(again, there, strict=True):
                assert one.events == before.events[place + 1 :]
                type(self).compared += 1
        if insider.events:
            place %= len(insider.events)
            again_inside = Watcher(self.hides, insider.events[place].id, hidden=True)
            assert again_inside.events == insider.events[place + 1 :]
            from_inside = Watcher(self.hides, insider.events[place].id)
            told = there[0].events
            assert from_inside.events == told[len(told) - len(from_inside.events) :]

    def compare_watchers(self) -> None:
        hides, left = self.numbers[self.hides], self.numbers[self.left]
        for one, other in self.watchers:
            seen = [list(map(hides.event, one.pull())), list(map(left.event, other.pull()))]
            assert seen[0] == seen[1]
            assert [self.place_of(one, hides)] == [self.place_of(other, left)]
            type(self).compared += 2
        snapshots = (
            hides.place(self.hides.snapshot().event_id),
            left.place(self.left.snapshot().event_id),
        )
        assert snapshots[0] == snapshots[1]
        type(self).compared += 1
        entries = type(self).events("hides:")
        stored = [one.event.user for entry in entries for one in read_entry(entry, "")]
        assert [one.user for one in self.insider.pull()] == stored[-len(self.insider.events) :]

    @staticmethod
    def place_of(watcher: Watcher, numbers: Numbers) -> Any:
        return watcher.watch.place and numbers.place(watcher.watch.place)

    def sure(self, answers: dict[str, Any]) -> list[tuple[str, Any]]:
        """The answers to be compared: late sightings count from the last write on, of the hidden too."""
        return [
            one
            for one in answers.items()
            if not (self.late and one[0].startswith(("peak", "history")))
        ]

    def told(self, prefix: str) -> list[herenow.Event]:
        since = self.now - 86_400_000  # older ones are deleted now or then
        fresh = [entry for entry in type(self).events(prefix) if int(entry[1][1]) > since]
        stored = [one for entry in fresh for one in read_entry(entry, "")]
        shown = [replace(one, id="") for one in map(as_outsider, stored) if one is not None]
        return in_order(shown)


def in_order(events: list[herenow.Event]) -> list[herenow.Event]:
    """Those of different users in one batch have no order."""
    return sorted(events, key=lambda one: (one.at, one.user))


def size(answer: Any) -> int:
    """How many answers are compared: of each user, kind, page, sample."""
    return max(1, len(answer)) if isinstance(answer, list | tuple | dict) else 1


def sighting(
    name: str, kind: Any, session: str, away: bool | None, info: Any, age: int | None, replaces: Any
) -> herenow.Sighting:
    return herenow.Sighting(name, kind, session, away, info, (age or 0) / 1000, replaces)


RAW = "return redis.call('XRANGE', KEYS[1], '-', '+')"


def machine_for(server: Server, client: Any) -> type[Machine]:
    """Make the machine for one server."""

    class Bound(Machine):
        @staticmethod
        def clean() -> None:
            server.control.flushall()

        @staticmethod
        def open(prefix: str, clock: Clock) -> herenow.Presence:
            return herenow.Presence(
                client, retention=RETENTION / 1000, resolution=0, clock=clock, prefix=prefix
            )

        @staticmethod
        def events(prefix: str) -> Any:
            return server.control.eval(RAW, 1, room_keys(prefix, "site")[9])

    return Bound
