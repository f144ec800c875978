"""Hypothesis' machine that drives a store and the oracle side by side, and what is tried with it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import herenow
import herenow.lua
from herenow.operations.events import read_entry
from tests.conftest import LONG, PHASES, Clock, assert_ttls
from tests.oracle import Oracle

STEPS = 30
KINDS = ("member", "hidden", "guest", "bot")
USERS = ("a", "b", "c", "ü", "{d}")
START = 1_000_000_000
RETENTION = 2_000_000

users = st.sampled_from(USERS)
kinds = st.none() | st.sampled_from(KINDS)
sessions = st.sampled_from(["", "", "t1", "t2", "t3"])
infos = st.none() | st.sampled_from([{}, {"page": "/a"}, {"x": 'ta\tb "ü"\n'}])
aways = st.sampled_from([None, None, True, False])
ages = st.none() | st.sampled_from([1, 100, 299_999, 300_000, 1_000_000, 2_500_000])
sightings = st.fixed_dictionaries(
    {"name": users, "kind": kinds, "session": sessions, "away": aways, "info": infos, "age": ages}
)


def when(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


class Blocking:
    """An AsyncPresence for a machine that blocks."""

    def __init__(self, presence: herenow.AsyncPresence, loop: asyncio.AbstractEventLoop) -> None:
        self.presence, self.loop = presence, loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.loop.run_until_complete(getattr(self.presence, name)(*args, **kwargs))

        return call


class Machine(RuleBasedStateMachine):
    """One room, written through a Presence that may name another window at any time."""

    opener: Callable[[float | None, Clock], Any]
    control: Any
    clean: Callable[[], None]

    @initialize()
    def begin(self) -> None:
        self.clean()
        self.clock = Clock(START / 1000)
        self.presence = type(self).opener(None, self.clock)
        self.oracle = Oracle(300_000, RETENTION)
        self.touched = self.forgot = False

    @property
    def now(self) -> int:
        return round(self.clock.now * 1000)

    # writes

    @rule(name=users)
    def mark_plain(self, name: str) -> None:
        self.oracle.begin(self.now)
        came = self.presence.mark_online(name)
        assert came == self.oracle.mark(self.now, name)
        self.written(joined=came)

    @rule(said=sightings, replaces=st.none() | users)
    def mark(self, said: dict[str, Any], replaces: str | None) -> None:
        said = {**said, "age": None}
        replaces = None if replaces == said["name"] else replaces
        self.oracle.begin(self.now)
        came = self.presence.mark_online(
            said["name"], said["kind"], said["session"], said["away"], said["info"], replaces
        )
        assert came == self.oracle.mark(self.now, **said, replaces=replaces)
        self.written(joined=True)

    @rule(many=st.lists(users | sightings, max_size=6))
    def mark_many(self, many: list[Any]) -> None:
        if many:
            self.oracle.begin(self.now)
        came = self.presence.mark_online_many(
            [
                one
                if isinstance(one, str)
                else herenow.Sighting(
                    one["name"],
                    one["kind"],
                    one["session"],
                    one["away"],
                    one["info"],
                    (one["age"] or 0) / 1000,
                )
                for one in many
            ]
        )
        marks = [{"name": one} if isinstance(one, str) else one for one in many]
        assert came == sum(bool(self.oracle.mark(self.now, **one)) for one in marks)
        if many:
            self.written(joined=True)

    @rule(name=users, session=st.none() | sessions)
    def leave(self, name: str, session: str | None) -> None:
        self.oracle.begin(self.now)
        left = self.presence.mark_offline(name, session)
        assert left == self.oracle.leave(self.now, name, session)
        self.written(joined=False)

    @precondition(lambda self: self.touched)
    @rule()
    def sweep(self) -> None:
        gone = self.oracle.begin(self.now)
        assert self.presence.sweep() >= gone  # a plain repeat leaves whoever is due to it
        self.oracle.sweep(self.now)

    @rule(name=users)
    def forget(self, name: str) -> None:
        self.forgot = True  # its holes are for watchers: what is told no longer alternates
        self.presence.forget(name)
        if self.touched:
            self.oracle.put_right(self.now)
            self.oracle.sample(self.now)
        self.oracle.forget(name)

    @rule(seconds=st.sampled_from([30, 60, 300, 600]))
    def name_a_window(self, seconds: int) -> None:
        self.presence = type(self).opener(seconds, self.clock)
        self.oracle.naming = None if seconds * 1000 == self.oracle.window else seconds * 1000
        if not self.touched:
            self.oracle.window, self.oracle.naming = seconds * 1000, None

    def written(self, *, joined: bool) -> None:
        self.touched = True
        self.oracle.came_late(self.now)
        if joined:
            self.oracle.record(self.now)

    # time

    @rule(ms=st.sampled_from([1, 5, 1000, 29_999, 30_000, 150_000, 299_999, 300_000, 700_000]))
    def later(self, ms: int) -> None:
        self.clock.now = (self.now + ms) / 1000

    @precondition(lambda self: self.touched)
    @rule(ms=st.sampled_from([1, 1000, 200_000, 400_000]))
    def set_the_clock_back(self, ms: int) -> None:
        self.sweep()
        self.clock.now = (self.now - ms) / 1000

    # what must hold

    @invariant()
    def same_counts_and_lists(self) -> None:
        if not hasattr(self, "oracle"):
            return
        now, oracle, presence = self.now, self.oracle, self.presence
        counts = presence.counts()
        assert [getattr(counts, kind) for kind in KINDS] == [
            oracle.count(now, kind) for kind in KINDS
        ]
        for kind in KINDS:
            shown = [] if kind == "hidden" else oracle.online(now, kind)
            assert presence.get_online_users(kind=kind) == shown
            assert presence.count_online_users(kind=kind) == len(shown)
        assert presence.get_online_users(kind="hidden", include_hidden=True) == oracle.online(
            now, "hidden"
        )
        assert presence.get_online_users(window=10) == oracle.online(now, "member", 10_000)

    @invariant()
    def same_people(self) -> None:
        if not hasattr(self, "oracle"):
            return
        now, oracle = self.now, self.oracle
        for hidden in (False, True):
            found = self.presence.lookup(USERS, include_hidden=hidden)
            for name in USERS:
                assert self.seen(found[name]) == oracle.look(now, name, hidden=hidden), name
            active = oracle.active(now, 1_500_000, hidden=hidden)
            assert self.presence.get_active_users(1500, include_hidden=hidden) == active
            assert self.presence.count_active_users(1500, include_hidden=hidden) == len(active)
            snapshot = self.presence.snapshot(limit=50, include_hidden=hidden)
            people = [one.user for one in snapshot.users]
            assert people == self.presence.get_online_users(include_hidden=hidden)
            assert people == self.pages(hidden=hidden)
        name = USERS[now % len(USERS)]
        assert self.presence.explain(name).presence == self.presence.lookup([name])[name]

    def pages(self, *, hidden: bool) -> list[str]:
        names: list[str] = []
        cursor = None
        while True:
            page = self.presence.page_online_users(1, cursor, include_hidden=hidden)
            names += [one.user for one in page.users]
            cursor = page.cursor
            if cursor is None:
                return names

    @staticmethod
    def seen(user: herenow.UserPresence) -> tuple[Any, ...]:
        def ms(moment: Any) -> int | None:
            return None if moment is None else round(moment.timestamp() * 1000)

        tabs = {one.name: (ms(one.last_seen), one.away, one.info) for one in user.sessions}
        return user.online, user.kind, user.away, ms(user.last_seen), tabs

    @invariant()
    def same_peaks(self) -> None:
        if not hasattr(self, "oracle"):
            return
        for kind in ("people", "shown", *KINDS):
            count, at = self.oracle.peaks.get(kind, (0, None))
            peak = self.presence.peak(
                None if kind in ("people", "shown") else kind, include_hidden=kind == "people"
            )
            assert peak.count == count
            assert (peak.at and round(peak.at.timestamp() * 1000)) == at

    @invariant()
    def same_history(self) -> None:
        if not hasattr(self, "oracle") or not self.touched:
            return
        now, oracle = self.now, self.oracle
        first, this = oracle.since // 60_000, now // 60_000
        if this < first or this < (oracle.minute or 0):
            return  # the clock was set back, and nobody has written since
        counted = {  # nobody has written since
            minute: oracle.counts(minute * 60_000, now)
            for minute in range((oracle.minute or 0) + 1, this + 1)
        }
        nothing = dict.fromkeys((*KINDS, "people"), 0)
        found = self.presence.history(when(0), when(now + 1), include_hidden=True)
        assert [one.at for one in found] == [when(m * 60_000) for m in range(first, this + 1)]
        for one in found:
            minute = round(one.at.timestamp()) // 60
            most = {kind: getattr(one.counts, kind) for kind in KINDS} | {"people": one.people}
            told = (counted.get(minute, nothing), oracle.minutes.get(minute, nothing))
            assert most == {what: max(one[what] for one in told) for what in nothing}, minute
        back = max(oracle.minutes, default=0) > this  # minutes to come are told with their hour
        for step, size in () if back else (("hour", 60), ("day", 1440)):
            wider = self.presence.history(when(0), when(now + 1), step, include_hidden=True)
            assert [one.people for one in wider] == [
                max(one.people for one in found if round(one.at.timestamp()) // 60 // size == at)
                for at in range(first // size, this // size + 1)
            ]
        for kind in KINDS:
            ours = self.presence.unique_users(kind=kind, include_hidden=kind == "hidden")
            assert ours == len(oracle.seen_on.get((now // 86_400_000, kind), ())), kind

    def teardown(self) -> None:
        if not hasattr(self, "oracle"):
            return
        if self.touched:
            self.sweep()  # so that all who are over are told of
        if not self.forgot:
            self.check_who_is_away()
        stored = [one for entry in self.stream() for one in read_entry(entry, "site")]
        ids = [one.number for one in stored]
        assert ids == sorted(set(ids))
        state: dict[str, bool] = {}
        for one in stored:
            name, what = str(one.event.user), one.event.type
            if what in ("join", "leave"):
                assert self.forgot or state.get(name, False) is (what == "leave"), name
                state[name] = what == "join"
        if not self.forgot:
            online = {name for name, user in self.oracle.users.items() if user.kind}
            known = set(self.oracle.users)
            assert {name for name, there in state.items() if there and name in known} == online
        self.check_ttls()

    def check_who_is_away(self) -> None:
        """Who is away by the events is away, as soon as a write has anything to do with them."""
        online = [one for one in USERS if self.presence.is_online(one, include_hidden=True)]
        for name in online:
            self.presence.mark_online(name)
        told: dict[str, bool] = {}
        for entry in self.stream():
            for one in read_entry(entry, "site"):
                told[str(one.event.user)] = bool(one.event.away)
        for name in online:
            found = self.presence.lookup([name], include_hidden=True)[name]
            assert told[name] == found.away, name

    stream: Callable[[], Any]
    check_ttls: Callable[[], None]


def run(machine: type[Machine], examples: int, steps: int = 0) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=-(-steps // STEPS) or examples * (20 if LONG else 1),
            stateful_step_count=STEPS,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
        ),
    )


def machine_for(opener: Any, nodes: list[Any], client: Any) -> type[Machine]:
    class Bound(Machine):
        def clean(self) -> None:
            for node in nodes:
                node.flushall()

        def stream(self) -> Any:
            return raw_stream(client)

        def check_ttls(self) -> None:
            for node in nodes:
                assert_ttls(node)

    Bound.opener = staticmethod(opener)
    return Bound


def raw_stream(client: Any) -> Any:
    """The stream as a script reads it: redis-py would make a dict of an entry."""
    return client.eval("return redis.call('XRANGE', KEYS[1], '-', '+')", 1, "herenow:{site}:events")
