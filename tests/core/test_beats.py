"""What a held session's beat says: all it shows, and its kind where its user is offline; one script."""

import asyncio
from collections.abc import Iterator

import pytest

from herenow.names import KINDS, Kind
from tests.core.sides import SIDES, Side, opened
from tests.servers import Server
from tests.waiting import poll


@pytest.fixture(params=[(side, buffered) for side in SIDES for buffered in (False, True)], ids=str)
def side(request: pytest.FixtureRequest, server: Server) -> Iterator[Side]:
    name, buffered = request.param
    with opened(name, server.unix_url, buffered=buffered, timeout=5) as made:
        made.mark_online("gus", "guest")
        flush(made)  # the window is known: no beat of the session's own comes in between
        assert made.port.beat_due == 100
        yield made


def flush(side: Side) -> None:
    """Have all recorded that waits, and nothing under way that the flusher sent as well."""
    side.flush()
    buffer = side.presence._outbox.buffer

    def landed() -> bool:
        if side.runner is not None:
            side.wait(asyncio.sleep(0.01))
        return buffer is None or not buffer.flying

    poll(landed, "the flusher")


def told(side: Side) -> list[tuple[str, str]]:
    """What was told of alice, oldest first."""
    events = side.explain("alice", include_hidden=True).events
    return [(one.type, one.kind) for one in reversed(events)]


def kind_of(side: Side) -> str | None:
    alice = side.lookup(["alice"], include_hidden=True)["alice"]
    return alice.kind if alice.online else None


def beat(side: Side, held: Side) -> None:
    side.wait(held.mark())
    flush(side)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_leave_told_elsewhere_it_comes_back_as_what_it_is(
    side: Side, kind: Kind, server: Server
) -> None:
    with side.session("alice", kind, "tab", info={"page": "/"}) as held:
        flush(side)
        with opened("sync", server.unix_url) as other:
            other.mark_offline("alice")
        beat(side, held)
        assert kind_of(side) == kind
        assert told(side) == [("join", kind), ("leave", kind), ("join", kind)]
        [session] = side.lookup(["alice"], include_hidden=True)["alice"].sessions
        assert (session.name, session.info) == ("tab", {"page": "/"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["beat", "update"])
def test_a_store_that_lost_it_has_it_back_as_what_it_is(
    side: Side, kind: Kind, how: str, server: Server
) -> None:
    with side.session("alice", kind, "tab") as held:
        flush(side)
        server.control.flushall()
        if how == "beat":
            beat(side, held)
        else:
            side.wait(held.update(away=True))
        assert told(side) == [("join", kind)]
        assert kind_of(side) == kind


@pytest.mark.parametrize("kind", KINDS)
def test_it_leaves_the_kind_that_others_gave(side: Side, kind: Kind, server: Server) -> None:
    with side.session("alice", "guest", "tab") as held:
        flush(side)
        with opened("sync", server.unix_url) as other:
            other.mark_online("alice", kind)
        beat(side, held)
        assert kind_of(side) == kind


@pytest.mark.parametrize("kind", [None, "member", "guest", "bot"])
@pytest.mark.parametrize("lost", ["left", "left, all lost", "all lost"])
def test_who_hid_elsewhere_comes_back_hidden(
    side: Side, kind: Kind | None, lost: str, server: Server
) -> None:
    with side.session("alice", kind, "tab") as held:
        flush(side)
        with opened("sync", server.unix_url) as other:
            other.mark_online("alice", "hidden")
            beat(side, held)
            assert kind_of(side) == "hidden"
            if "left" in lost:
                other.mark_offline("alice")
        if "lost" in lost:
            server.control.flushall()
        beat(side, held)
        assert kind_of(side) == "hidden"
        assert side.get_online_users() == []
        shown = side.explain("alice").events
        assert [one.type for one in reversed(shown)] in ([], ["join", "leave"])
        with opened("sync", server.unix_url) as other:
            other.mark_online("alice", "member")
        beat(side, held)
        server.control.flushall()
        beat(side, held)
        assert kind_of(side) == (kind or "member")


def test_a_beat_that_comes_late_brings_back_who_hides_hidden(server: Server) -> None:
    with (
        opened("sync", server.unix_url, window=1, resolution=0) as presence,
        presence.session("alice", "hidden", "tab"),
    ):
        name = "herenow:{site}:online:hidden"
        server.control.zadd(name, {"alice": int(server.control.time()[0]) * 1000 - 60_000})
        presence.mark_online("bob")
        assert [one.user for one in presence.snapshot().users] == ["bob"]
        presence.sweep()
        server.control.zincrby("herenow:{site}:last:hidden", -1000, "alice")
        with presence.session("alice", None, "desk"):
            assert kind_of(presence) == "hidden"
