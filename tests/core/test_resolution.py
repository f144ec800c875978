"""Resolution: a repeat that says nothing new costs no round trip, and nobody expires of it."""

import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

import herenow
from herenow.operations.marking import Mark
from herenow.outbox.throttle import Throttle
from tests.conftest import SERVER, Clock
from tests.core.relay import Relay
from tests.core.sides import SIDES, opened
from tests.servers import Server, binary, start_server
from tests.waiting import poll


class Counting:
    """A Presence, and how many round trips what it does costs."""

    def __init__(self, relay: Relay, **options: Any) -> None:
        self.relay = relay
        self.presence = herenow.Presence(relay.url, timeout=5, **options)
        self.room = self.presence.room("doc")
        for one in (self.presence, self.room):  # connected, the rooms listed, the scripts there
            one.mark_online_many(["warm", herenow.Sighting("guest", "guest")])
            one.mark_online_many(f"u{i}" for i in range(100))
            one.mark_offline("warm")

    def cost(self, method: Any, *args: Any, **kwargs: Any) -> int:
        before = self.relay.round_trips
        method(*args, **kwargs)
        return self.relay.round_trips - before


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(server.socket) as made:
        yield made


@pytest.fixture
def counting(relay: Relay, clock: Clock) -> Iterator[Counting]:
    made = Counting(relay, clock=clock)
    with made.presence:
        yield made


IDS = ["alice", 7, uuid.UUID(int=7), type("Name", (str,), {})("bob")]
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a kind": {"kind": "guest"},
    "a session": {"session": "tab"},
    "all": {"kind": "bot", "session": "tab", "away": True, "info": {"page": "/"}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("buffered", [False, True], ids=["at once", "buffered"])
@pytest.mark.parametrize("name", SIDES)
def test_a_repeat_is_dropped_whatever_the_type_of_the_id(
    server: Server, clock: Clock, name: str, buffered: bool, way: str
) -> None:
    with opened(name, server.unix_url, buffered=buffered, clock=clock, timeout=5) as side:
        side.mark_online_many(["warm", herenow.Sighting("guest", "guest")])  # the window is known
        for user in IDS:
            side.mark_online(user, **WAYS[way])
        side.flush()
        before = server.control.info("commandstats")
        for _ in range(3):
            for user in IDS:
                assert not side.mark_online(user, **WAYS[way])
        assert not side.presence._outbox.buffer
        side.flush()
        after = server.control.info("commandstats")
        for command in ("cmdstat_eval", "cmdstat_evalsha"):
            assert after.get(command, {}).get("calls") == before.get(command, {}).get("calls")


def test_a_repeat_costs_no_round_trip(counting: Counting) -> None:
    mark = counting.presence.mark_online
    assert counting.cost(mark, "alice") == 1
    assert counting.cost(mark, "alice") == 0
    assert mark("alice") is False
    assert counting.cost(mark, "bob") == 1
    assert counting.cost(counting.room.mark_online, "alice") == 1
    assert counting.cost(counting.presence.room("doc").mark_online, "alice") == 0


def test_it_counts_a_user_by_the_text_of_their_id(counting: Counting) -> None:
    assert counting.cost(counting.presence.mark_online, 7) == 1
    assert counting.cost(counting.presence.mark_online, "7") == 0
    assert counting.cost(counting.presence.mark_online, 7) == 0


def test_many_drop_their_repeats(counting: Counting) -> None:
    many = counting.presence.mark_online_many
    assert counting.cost(many, ["alice", "bob"]) == 1
    assert counting.cost(many, ["bob", "alice"]) == 0
    assert many(["bob", "alice"]) == 0
    assert counting.cost(many, ["alice", "carol"]) == 1
    assert counting.cost(counting.presence.mark_online, "carol") == 0


NEWS: list[dict[str, Any]] = [
    {"kind": "guest"},
    {"session": "tab"},
    {"away": True},
    {"away": False},
    {"info": {"page": "/"}},
    {"info": {}},
    {"replaces": "guest-1"},
]


@pytest.mark.parametrize("news", NEWS, ids=str)
def test_what_says_something_new_is_sent(counting: Counting, news: dict[str, Any]) -> None:
    mark = counting.presence.mark_online
    mark("alice")
    assert counting.cost(mark, "alice", **news) == 1


@pytest.mark.parametrize("news", NEWS[:-1], ids=str)
def test_what_was_sent_before_is_not_sent_again(counting: Counting, news: dict[str, Any]) -> None:
    mark = counting.presence.mark_online
    mark("alice", **news)
    assert counting.cost(mark, "alice", **news) == 0
    assert counting.cost(mark, "alice", session=news.get("session", "")) == 0


def test_going_back_is_news_again(counting: Counting) -> None:
    mark = counting.presence.mark_online
    for kind in ("guest", "member", "guest", "hidden", "member"):
        assert counting.cost(mark, "alice", kind=kind) == 1
    for away in (True, False, True):
        assert counting.cost(mark, "alice", away=away) == 1
    for page in ("/a", "/b", "/a"):
        assert counting.cost(mark, "alice", info={"page": page}) == 1
    assert counting.cost(mark, "alice", info={"page": "/a"}, away=True, kind="member") == 0


def test_the_resolution_is_a_sixtieth_of_the_window(counting: Counting, clock: Clock) -> None:
    mark = counting.presence.mark_online
    mark("alice")
    clock.now += 4.99
    assert counting.cost(mark, "alice") == 0
    clock.now += 0.02
    assert counting.cost(mark, "alice") == 1
    assert counting.cost(mark, "alice") == 0
    with herenow.Presence(counting.relay.url, resolution=0, clock=clock) as other:
        seen = other.get_user_last_activity("alice")
    assert seen
    assert seen.timestamp() == pytest.approx(clock.now, abs=0.001)


def test_a_clock_set_back_drops_nothing(counting: Counting, clock: Clock) -> None:
    mark = counting.presence.mark_online
    mark("alice")
    clock.now -= 3600
    assert counting.cost(mark, "alice") == 1
    assert counting.cost(mark, "alice") == 0


def test_zero_is_exact(relay: Relay, clock: Clock) -> None:
    exact = Counting(relay, clock=clock, resolution=0)
    with exact.presence as presence:
        for _ in range(3):
            assert exact.cost(presence.mark_online, "alice") == 1
            assert exact.cost(presence.mark_online_many, ["alice"]) == 1


def test_an_aged_sighting_is_never_dropped(counting: Counting, clock: Clock) -> None:
    many = counting.presence.mark_online_many
    counting.presence.mark_online("alice")
    for age in (0.001, 1, 299):
        assert counting.cost(many, [herenow.Sighting("alice", age=age)]) == 1
    # nor does one say that the user was seen now
    many([herenow.Sighting("bob", age=2)])
    assert counting.cost(counting.presence.mark_online, "bob") == 1
    assert counting.presence.lookup(["bob"])["bob"].last_seen


# leaves


def test_a_leave_here_resets_it_at_once(counting: Counting) -> None:
    presence = counting.presence
    presence.mark_online("alice", session="tab")
    presence.mark_offline("alice")
    assert presence.mark_online("alice", session="tab") is True
    presence.mark_offline("alice", session="tab")
    assert presence.mark_online("alice", session="tab") is True
    presence.mark_online("guest-1", kind="guest")
    presence.mark_online("alice", replaces="guest-1")
    assert presence.mark_online("guest-1") is True
    presence.forget("alice")
    assert presence.mark_online("alice") is True


def test_a_leave_elsewhere_costs_at_most_the_resolution(
    counting: Counting, server: Server, clock: Clock
) -> None:
    mark, is_online = counting.presence.mark_online, counting.presence.is_online
    mark("alice")
    with herenow.Presence(server.unix_url, clock=clock, timeout=5) as elsewhere:
        assert elsewhere.mark_offline("alice")
    mark("alice")
    assert not is_online("alice")
    clock.now += 5
    assert mark("alice") is True
    assert is_online("alice")


def test_a_leave_that_may_have_been_done_resets_it() -> None:
    with (
        start_server(binary(SERVER)) as server,
        herenow.Presence(server.unix_url) as presence,
        herenow.Presence(server.unix_url, timeout=5) as elsewhere,
    ):
        presence.mark_online("alice")
        presence.mark_offline("nobody")  # the store has the script now
        server.pause()
        try:
            with pytest.raises(herenow.StoreTimeout):
                presence.mark_offline("alice")
        finally:
            server.resume()
        poll(lambda: not elsewhere.is_online("alice"), "the leave that was under way")
        assert presence.mark_online("alice") is True


def test_a_mark_that_failed_was_not_said(counting: Counting, server: Server) -> None:
    presence = counting.presence
    for i in range(32):
        presence.mark_online("alice", session=f"tab-{i}")
    for _ in range(2):
        with pytest.raises(ValueError, match="32 sessions"):
            presence.mark_online("alice", session="one too many")
    with herenow.Presence(server.unix_url, clock=lambda: 1_000_000.0, timeout=5) as other:
        other.mark_offline("alice", session="tab-0")
    assert presence.mark_online("alice", session="one too many") is False
    sessions = presence.lookup(["alice"])["alice"].sessions
    assert "one too many" in {one.name for one in sessions}


def test_a_mark_that_races_a_leave_here_never_silences_the_next(server: Server) -> None:
    gate, interval = threading.Barrier(4), sys.getswitchinterval()
    with herenow.Presence(server.unix_url, timeout=5) as presence, ThreadPoolExecutor(4) as pool:

        def at_once(method: Any) -> None:
            gate.wait()
            method("alice")

        sys.setswitchinterval(1e-5)
        try:
            for _ in range(1000):
                list(pool.map(at_once, (*[presence.mark_online] * 3, presence.mark_offline)))
                if not presence.is_online("alice"):
                    assert presence.mark_online("alice") is True
                presence.mark_offline("alice")
        finally:
            sys.setswitchinterval(interval)


# windows


def test_the_window_stored_in_a_room_bounds_it(server: Server) -> None:
    options: list[dict[str, Any]] = [{}, {"resolution": 100}, {"buffered": True}]
    with ExitStack() as stack:
        owner = stack.enter_context(herenow.Presence(server.unix_url, resolution=0, timeout=5))
        doc = owner.room("doc", window=1)
        doc.mark_online("owner")
        sites = {
            str(one): stack.enter_context(herenow.Presence(server.unix_url, timeout=5, **one))
            for one in options
        }
        deadline = time.monotonic() + 2.5  # without a bound it would be 5 s
        while time.monotonic() < deadline:
            for user, site in sites.items():
                site.room("doc").mark_online(user)
            time.sleep(0.1)
        for user in sites:
            assert [event.type for event in doc.explain(user).events] == ["join"], user


def test_it_follows_a_window_that_is_named_later(server: Server, clock: Clock) -> None:
    with (
        herenow.Presence(server.unix_url, resolution=100, clock=clock, timeout=5) as site,
        herenow.Presence(server.unix_url, clock=clock, timeout=5) as owner,
    ):
        room = site.room("doc")
        room.mark_online("alice")
        owner.room("doc", window=4).mark_online("owner")
        room.mark_online("bob")  # by this it learns of the new window
        clock.now += 2
        room.mark_online("alice")
        clock.now += 2.5
        assert owner.room("doc").is_online("alice")


def test_a_resolution_as_long_as_the_window_is_refused() -> None:
    for resolution in (300, 301, -1, float("nan")):
        with pytest.raises(ValueError, match=r"resolution|age"):
            herenow.Presence(window=300, resolution=resolution)


# memory


SITE: Any = SimpleNamespace(room="site")


def remembered(throttle: Throttle) -> int:
    return sum(
        len(user.sessions) for part in (throttle._new, throttle._old) for user in part.values()
    )


def test_of_many_users_only_the_latest_are_remembered() -> None:
    throttle = Throttle(5.0, {"site": 300_000}, lambda: 1.0)
    for number in range(400_000):
        throttle.record("site", Mark(str(number)), 1.0)
    assert 65_536 <= remembered(throttle) <= 2 * 65_536
    assert throttle.repeats(SITE, "399999", "", None, None, None)
    assert not throttle.repeats(SITE, "0", "", None, None, None)


def test_of_one_user_who_never_stops_opening_sessions_only_the_latest_are_remembered() -> None:
    throttle = Throttle(5.0, {"site": 300_000}, lambda: 1.0)
    for number in range(300_000):
        throttle.record("site", Mark("crawler", session=f"tab-{number}"), 1.0)
    assert remembered(throttle) <= 2 * 65_536
    assert throttle.repeats(SITE, "crawler", "tab-299999", None, None, None)
