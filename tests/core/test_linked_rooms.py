"""Linked rooms: what a user is there is what they are in the other one; one call leaves them all."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from herenow import Counts, Presence, StoreError
from herenow.outbox.deferred import Deferred
from herenow.outbox.port import Port
from tests.conftest import SERVER, Clock
from tests.core.sides import SIDES, Side, opened
from tests.servers import Cluster, Server, binary, start_server
from tests.waiting import once_back


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    """Which facade."""
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["at once", "buffered"])
def side(request: pytest.FixtureRequest, name: str, server: Server, clock: Clock) -> Iterator[Side]:
    """A facade by the test's clock, that sends every mark."""
    settings = {"resolution": 0, "clock": clock, "buffered": request.param, "timeout": 5}
    with opened(name, server.unix_url, **settings) as made:
        yield made


@pytest.mark.parametrize("kind", ["member", "hidden", "guest", "bot"])
def test_a_user_is_in_a_linked_room_what_they_are_in_the_other(side: Side, kind: str) -> None:
    side.mark_online("alice", kind)
    side.link("alice", "thread")
    assert side.room("thread").counts() == Counts(**{kind: 1})
    assert side.counts() == Counts(**{kind: 1})


def test_who_is_not_here_is_not_there(side: Side, clock: Clock) -> None:
    side.link("alice", "thread")
    side.mark_online("bob")
    side.mark_offline("bob")
    side.link("bob", "thread")
    side.mark_online("carol")
    clock.now += 301
    side.link("carol", "thread")
    assert side.room("thread").counts() == Counts()
    side.mark_online("carol")
    side.link("carol", "thread")
    assert side.room("thread").get_online_users() == ["carol"]


def test_a_room_linked_to_itself_marks_nobody(side: Side) -> None:
    side.link("alice", "site")
    assert side.counts() == Counts()


def test_any_room_may_be_linked_to(side: Side) -> None:
    shop = side.room("shop")
    side.mark_online("alice")
    shop.mark_online("alice", "hidden")
    shop.link("alice", "shelf")
    side.link("alice", "thread")
    assert side.room("shelf").counts() == Counts(hidden=1)
    assert side.room("thread").counts() == Counts(member=1)
    assert shop.port.leave_rooms("alice") == 3
    assert [shop.counts(), side.counts()] == [Counts(hidden=1), Counts()]


def test_who_takes_a_place_takes_it_in_the_linked_room(side: Side) -> None:
    side.mark_online("guest-1", "guest")
    side.link("guest-1", "thread")
    side.flush()
    side.mark_online("alice", replaces="guest-1")
    side.link("alice", "thread", replaces="guest-1")
    assert side.room("thread").counts() == Counts(member=1)


def test_leaving_every_room_among_many(side: Side) -> None:
    for i in range(230):
        side.room(f"room {i}").mark_online_many(["bob", "carol"])
    for i in (3, 120, 229):
        side.room(f"room {i}").mark_online("alice", "hidden" if i == 120 else None)
    side.mark_online("alice")
    assert side.port.leave_rooms("alice") == 3
    assert side.port.leave_rooms("alice") == 0
    assert side.is_online("alice")
    assert (
        sum(one.people for one in side.room_counts(f"room {i}" for i in range(230)).values()) == 460
    )


def test_leaving_rooms_by_a_session(side: Side) -> None:
    for room in ("a", "b"):
        side.room(room).mark_online("alice")
    side.room("a").mark_online("alice", session="tab")
    assert side.port.leave_rooms("alice", session="") == 1
    assert [side.room(one).is_online("alice") for one in "ab"] == [True, False]


def test_bad_arguments_are_told_at_once(side: Side) -> None:
    for bad in ("", None, "x" * 257):
        with pytest.raises(ValueError, match="a user"):
            side.link(bad, "thread")
        with pytest.raises(ValueError, match="a user"):
            side.port.leave_rooms(bad)
    with pytest.raises(ValueError, match="a room"):
        side.link("alice", "")
    with pytest.raises(ValueError, match="replace themselves"):
        side.link("alice", "thread", replaces="alice")
    with pytest.raises(ValueError, match="a session"):
        side.port.leave_rooms("alice", session="x" * 129)


# what changes in the linked room meanwhile


def test_what_failed_is_sent_as_what_the_user_is_by_then(
    name: str, server: Server, presence: Presence
) -> None:
    with opened(name, server.unix_url, buffered=True, resolution=0, timeout=5) as side:
        side.room("thread").mark_online("first")
        side.mark_online_many(["alice", "bob", "carol"])
        side.flush()
        server.control.set("herenow:{thread}:left", "no sorted set", px=60_000)
        for user in ("alice", "bob", "carol"):
            side.link(user, "thread")
        side.flush()  # who they are was found out, and then they were refused
        presence.mark_online("alice", kind="hidden")
        presence.mark_offline("bob")
        server.control.delete("herenow:{thread}:left")
        side.flush()
        assert presence.room("thread").counts() == Counts(member=2, hidden=1)
        assert presence.room("thread").is_online("carol")


CHANGES: dict[str, Callable[[Presence], object]] = {
    "hides": lambda p: p.mark_online("alice", kind="hidden"),
    "leaves": lambda p: p.mark_offline("alice"),
    "shows themselves": lambda p: p.mark_online("bob", kind="member"),
    "leaves hidden": lambda p: p.mark_offline("bob"),
}


WHO_CHANGES = {
    "hides": "alice",
    "leaves": "alice",
    "shows themselves": "bob",
    "leaves hidden": "bob",
}


@pytest.mark.parametrize("buffered", [False, True], ids=["at once", "buffered"])
@pytest.mark.parametrize("change", CHANGES)
def test_whoever_changes_while_it_is_sent_is_there_what_they_became(
    server: Server, change: str, buffered: bool
) -> None:
    """Before each round trip of it, but for those after the last look: then another one tells."""
    with (
        Presence(server.unix_url, buffered=buffered, resolution=0, timeout=5) as here,
        Presence(server.unix_url, resolution=0, timeout=5) as elsewhere,
    ):
        there, core, engine = elsewhere.room("thread"), here._outbox, here._engine
        there.mark_online("first")
        marked = ["alice", "bob"] if buffered else [WHO_CHANGES[change]]
        for at in itertools.count():
            elsewhere.mark_online("alice", kind="member")
            elsewhere.mark_online("bob", kind="hidden")
            for user in ("alice", "bob"):
                there.mark_offline(user)
            time.sleep(0.01)
            flight = None
            if buffered:
                for user in ("alice", "bob"):
                    Port(here).defer(Deferred(user, linked_to="site"), "thread")
                assert core.buffer is not None
                flight = core.buffer.begin()
                assert flight is not None
                plan: Any = core.flush(flight)
            else:
                scope = core.scopes.room("thread")
                plan = core.defer(scope, Deferred(WHO_CHANGES[change], linked_to="site"))
            trips, operations, looked = 0, next(plan), False
            with contextlib.suppress(StopIteration):
                while True:
                    if trips == at:
                        CHANGES[change](elsewhere)
                    looked |= trips >= at and any(one.script.name == "lookup" for one in operations)
                    trips += 1
                    operations = plan.send(engine.batch(operations))
            if flight is not None:
                core.buffer.end(flight)  # type: ignore[union-attr]
                assert not core.buffer
            if not looked:
                assert at >= 2
                return
            for user, one in elsewhere.lookup(marked, include_hidden=True).items():
                found = there.lookup([user], include_hidden=True)[user]
                state = (found.online, found.online and found.kind)
                assert state == (one.online, one.online and one.kind), (user, at)


@pytest.fixture
def own() -> Iterator[Server]:
    """A store to be ill-treated."""
    with start_server(binary(SERVER)) as server:
        yield server


def test_marks_of_linked_rooms_wait_for_a_store_that_is_unavailable(name: str, own: Server) -> None:
    with opened(name, own.url, buffered=True, resolution=0) as side:
        side.mark_online("alice", "hidden")
        side.link("alice", "thread")
        own.kill()
        for _ in range(3):
            with pytest.raises(StoreError):
                side.room("thread").counts()
        own.restart()
        assert once_back(side.room("thread").counts) == Counts(hidden=1)
        assert once_back(side.counts) == Counts(hidden=1)


def test_on_a_cluster(name: str, cluster: Cluster) -> None:
    with opened(name, cluster.url, resolution=0, buffered=True, timeout=5) as side:
        side.mark_online_many(["alice", "bob"])
        side.mark_online("carol", "hidden")
        for i in range(20):
            for one in ("alice", "bob", "carol"):
                side.link(one, f"thread {i}")
        side.flush()
        rooms = [f"thread {i}" for i in range(20)]
        assert {*side.room_counts(rooms).values()} == {Counts(member=2, hidden=1)}
        assert side.port.leave_rooms("alice") == 20
        assert {*side.room_counts(rooms).values()} == {Counts(member=1, hidden=1)}
