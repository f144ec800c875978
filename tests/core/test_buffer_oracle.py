"""Hypothesis interleaves two buffered presences and one that is not, on one room, with the oracle.

A mark of a buffered one takes effect when its buffer is sent, with the age that it then has: at a
flush, a read or a leave of the same presence.
"""

from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import herenow
from herenow.operations.marking import clean
from herenow.outbox.buffer import ages
from tests.conftest import LONG, Clock, assert_ttls
from tests.core.machine import Machine as Whole
from tests.oracle import Oracle
from tests.servers import Server

KINDS = ("member", "hidden", "guest", "bot")
USERS = ("a", "b", "c")
RETENTION = 2_000_000

users = st.sampled_from(USERS)
which = st.sampled_from(["one", "two", "plain"])
sightings = st.fixed_dictionaries(
    {
        "user": users,
        "kind": st.none() | st.sampled_from(KINDS),
        "session": st.sampled_from(["", "", "t1", "t2"]),
        "away": st.sampled_from([None, None, True, False]),
        "info": st.none() | st.sampled_from([{}, {"page": "/a"}]),
        "age": st.sampled_from([0, 0, 0, 1, 60, 400]),
        "replaces": st.none() | users,
    }
)


class Machine(RuleBasedStateMachine):
    """Three presences of one room; ``waiting`` is what the buffered ones have yet to send."""

    server: ClassVar[Server]

    @initialize()
    def begin(self) -> None:
        self.server.control.flushall()
        self.server.control.script_flush()
        self.clock = Clock(1_000_000.0)
        self.oracle = Oracle(300_000, RETENTION)
        self.presences = {
            name: herenow.Presence(
                self.server.unix_url,
                buffered=name != "plain",
                resolution=0,
                retention=RETENTION // 1000,
                clock=self.clock,
                timeout=5,
            )
            for name in ("one", "two", "plain")
        }
        self.waiting: dict[str, dict[herenow.Sighting, int]] = {"one": {}, "two": {}}

    @property
    def now(self) -> int:
        return round(self.clock.now * 1000)

    def sent(self, name: str) -> None:
        """What waits in a buffer takes effect."""
        waiting = self.waiting.get(name)
        if not waiting:
            return
        self.oracle.begin(self.now)
        for key, moment in waiting.items():
            self.take_effect(key, self.told(key, moment))
        self.oracle.came_late(self.now)
        self.oracle.record(self.now)
        waiting.clear()

    def told(self, key: herenow.Sighting, moment: int) -> int:
        """The age that is told: that it had, and what it waited, to two milliseconds."""
        scope = self.presences["one"]._scope
        [age] = ages(scope, [clean(key)], [moment / 1000], self.clock.now)
        waited = round(key.age * 1000) + self.now - moment
        assert abs(age - waited) <= 2
        return age

    def take_effect(self, key: herenow.Sighting, age: int) -> bool:
        said = dict(key.info) if key.info is not None else None
        came = self.oracle.mark(
            self.now,
            str(key.user),
            key.kind,
            key.session,
            key.away,
            said,
            age or None,
            None if key.replaces is None else str(key.replaces),
        )
        assert came is not None
        return came

    @rule(name=which, said=sightings)
    def mark(self, name: str, said: dict[str, Any]) -> None:
        said = {**said, "replaces": None if said["replaces"] == said["user"] else said["replaces"]}
        sighting = herenow.Sighting(**said)
        came = self.presences[name].mark_online_many([sighting])
        if name == "plain":
            self.oracle.begin(self.now)
            assert came == self.take_effect(sighting, round(sighting.age * 1000))
            self.oracle.came_late(self.now)
            self.oracle.record(self.now)
            return
        assert came is None
        key = Frozen.of(sighting)  # one that says the same takes the place of an earlier one
        self.waiting[name].pop(key, None)
        self.waiting[name][key] = self.now

    @rule(name=which, user=users, session=st.sampled_from([None, None, "", "t1", "t2"]))
    def leave(self, name: str, user: str, session: str | None) -> None:
        self.sent(name)
        self.oracle.begin(self.now)
        left = self.presences[name].mark_offline(user, session)
        assert left == self.oracle.leave(self.now, user, session)

    @rule(name=which)
    def flush(self, name: str) -> None:
        self.sent(name)
        self.presences[name].flush()

    @rule(name=which, hidden=st.booleans())
    def read(self, name: str, *, hidden: bool) -> None:
        self.sent(name)
        found = self.presences[name].lookup(USERS, include_hidden=hidden)
        for user in USERS:
            expected = self.oracle.look(self.now, user, hidden=hidden)
            assert Whole.seen(found[user]) == expected, user

    @rule(name=which)
    def count(self, name: str) -> None:
        self.sent(name)
        counts = self.presences[name].counts()
        assert [getattr(counts, kind) for kind in KINDS] == [
            self.oracle.count(self.now, kind) for kind in KINDS
        ]

    @rule(ms=st.sampled_from([1, 2, 5, 500, 10_000, 150_000, 299_999, 300_000]))
    def later(self, ms: int) -> None:
        self.clock.now = (self.now + ms) / 1000

    @invariant()
    def who_is_not_buffered_sees_what_was_sent(self) -> None:
        if hasattr(self, "oracle"):
            listed = self.presences["plain"].get_online_users()
            assert listed == self.oracle.online(self.now, "member")
            peak = self.presences["plain"].peak(include_hidden=True)
            assert peak.count == self.oracle.peaks.get("people", (0, None))[0]

    def teardown(self) -> None:
        if hasattr(self, "oracle"):
            for name, presence in self.presences.items():
                self.sent(name)
                presence.close()
            with herenow.Presence(self.server.unix_url, clock=self.clock) as last:
                assert last.get_online_users() == self.oracle.online(self.now, "member")
            assert_ttls(self.server.control)


class Frozen(herenow.Sighting):
    """A sighting that can be a key, its info too."""

    __slots__ = ()

    @classmethod
    def of(cls, said: herenow.Sighting) -> herenow.Sighting:
        return cls(
            said.user, said.kind, said.session, said.away, said.info, said.age, said.replaces
        )

    def __hash__(self) -> int:
        return hash((self.user, self.kind, self.session, self.away, self.age, self.replaces))


def test_buffered_presences_agree_with_the_oracle(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nothing is sent but by a rule
    monkeypatch.setattr("herenow.outbox.outbox.Outbox.flush_after", lambda _: 3600)

    class Bound(Machine):
        pass

    Bound.server = server
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=600 if LONG else 60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
        ),
    )
