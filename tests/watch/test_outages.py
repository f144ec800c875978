"""Outages: the minutes in which the store was away are gaps, and no others, whoever watched.

Fake clocks make minutes short where nothing but the clock is waited for; two tests of the whole matrix
wait for real ones.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

import herenow
from herenow.watching import contact
from herenow.watching.contact import Contact
from tests.conftest import SERVER, Clock
from tests.core.programs import start
from tests.core.sides import SIDES
from tests.servers import Server, binary, start_server
from tests.waiting import poll
from tests.watch.readers import Reader, watching
from tests.watch.test_trouble import insist

HALF_PAST = 1_000_050.0
"""Half a minute after minute 16,667 began."""
KEPT = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def lasting() -> Iterator[Server]:
    """A server that knows after a restart what it knew."""
    with start_server(binary(SERVER), *KEPT) as server:
        yield server


def gaps(presence: herenow.Presence) -> list[int]:
    """The minutes that are gaps, counted from the 16,667th."""
    first = datetime.fromtimestamp(0, UTC)
    samples = presence.history(first, first + timedelta(days=30))
    assert {one.gap for one in samples} <= {0, 1}
    return [round(one.at.timestamp()) // 60 - 16_667 for one in samples if one.gap]


def wait(reader: Reader, done: Callable[[], bool], what: str) -> None:
    """Have an async watch run while something is waited for."""

    def asked() -> bool:
        reader.batch(0.05)
        return done()

    poll(asked, what)


def away(reader: Reader) -> bool:
    """Whether the watch knows that the store is away."""
    hub = reader.events._watchers.hub
    return all(feed.contact._since is not None for feed in hub._feeds.values())


@pytest.mark.parametrize("first", ["watcher", "writer"])
@pytest.mark.parametrize("how", ["killed", "hung"])
@pytest.mark.parametrize("name", SIDES)
def test_the_minutes_in_which_the_store_was_away_are_gaps(
    name: str, how: str, first: str, lasting: Server
) -> None:
    clock = Clock(HALF_PAST)
    with (
        herenow.Presence(lasting.unix_url, resolution=0, clock=clock) as presence,
        watching(name, lasting.unix_url, clock=clock) as watcher,
    ):
        presence.mark_online("alice")
        events = watcher.watch()
        if how == "killed":
            lasting.kill()
        else:
            lasting.pause()
        wait(events, lambda: away(events), "the watcher to notice")
        clock.now += 330
        if how == "killed":
            lasting.restart()
        else:
            lasting.resume()
        if first == "writer":
            insist(presence, "bob")
        wait(events, lambda: gaps(presence) != [], "the gaps")
        assert gaps(presence) == [1, 2, 3, 4, 5]
        insist(presence, "carol")
        clock.now += 600
        insist(presence, "carol")
        assert gaps(presence) == [1, 2, 3, 4, 5], "zeros are none"
        hour = datetime.fromtimestamp(HALF_PAST, UTC).replace(minute=0, second=0)
        [sample] = presence.history(hour, hour + timedelta(hours=1), "hour")
        assert sample.gap == 5


@pytest.mark.parametrize("name", SIDES)
def test_an_outage_within_two_minutes_is_no_gap(name: str, lasting: Server) -> None:
    clock = Clock(HALF_PAST)
    with (
        herenow.Presence(lasting.unix_url, resolution=0, clock=clock) as presence,
        watching(name, lasting.unix_url, clock=clock) as watcher,
    ):
        presence.mark_online("alice")
        events = watcher.watch()
        lasting.kill()
        wait(events, lambda: away(events), "the watcher to notice")
        clock.now += 80
        lasting.restart()
        wait(events, lambda: not away(events), "the store to come back")
        clock.now += 600
        insist(presence, "bob")
        assert gaps(presence) == []


@pytest.mark.parametrize("name", SIDES)
def test_what_others_wrote_is_known_to_a_watcher_that_was_cut_off(
    name: str, server: Server
) -> None:
    clock = Clock(HALF_PAST)
    user = ("ACL", "SETUSER", "watcher")
    server.control.execute_command(*user, "on", ">secret", "~*", "&*", "+@all")
    try:
        with (
            herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as presence,
            watching(name, f"unix://watcher:secret@{server.socket}", clock=clock) as watcher,
        ):
            presence.mark_online("alice")
            events = watcher.watch()
            server.control.execute_command(*user, "off")
            server.control.execute_command("CLIENT", "KILL", "USER", "watcher")
            wait(events, lambda: away(events), "the watcher to notice")
            for seconds in (60, 120, 120):  # minutes 1, 3 and 5
                clock.now += seconds
                presence.mark_online("alice")
            clock.now += 120
            server.control.execute_command(*user, "on")
            wait(events, lambda: gaps(presence) != [], "the gaps")
            assert gaps(presence) == [2, 4, 6]
    finally:
        server.control.acl_deluser("watcher")


@pytest.mark.parametrize("name", SIDES)
def test_who_may_not_write_watches_on_and_records_nothing(name: str, lasting: Server) -> None:
    clock = Clock(HALF_PAST)
    who = ("ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@all", "-hset", "-zadd")
    lasting.control.execute_command(*who)
    with (
        herenow.Presence(lasting.unix_url, resolution=0, clock=clock) as presence,
        watching(name, f"unix://reader:secret@{lasting.socket}", clock=clock) as watcher,
    ):
        presence.mark_online("alice")
        events = watcher.watch()
        lasting.pause()
        wait(events, lambda: away(events), "the watcher to notice")
        clock.now += 200
        lasting.resume()
        insist(presence, "bob")
        told = events.take(1)
        assert [one.user for one in told] == ["bob"]
        assert gaps(presence) == []


@pytest.mark.parametrize("name", SIDES)
def test_rooms_without_a_history_and_empty_ones_get_none(name: str, lasting: Server) -> None:
    clock = Clock(HALF_PAST)
    with (
        herenow.Presence(lasting.unix_url, resolution=0, clock=clock) as presence,
        watching(name, lasting.unix_url, clock=clock) as watcher,
    ):
        kept = presence.room("kept", history=True)
        for room in (presence, presence.room("silent"), kept):
            room.mark_online("alice")
        readers = [watcher.watch(room=room) for room in ("site", "silent", "kept", "empty")]
        lasting.kill()
        wait(readers[0], lambda: away(readers[0]), "the watcher to notice")
        clock.now += 150
        lasting.restart()
        wait(readers[0], lambda: gaps(presence) == [1, 2] == gaps(kept), "the gaps")
        rooms = {key.partition(b"}")[0] for key in lasting.control.scan_iter() if b"samples" in key}
        assert rooms == {b"herenow:{site", b"herenow:{kept"}


def test_a_process_that_slept_saw_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = Clock(1000.0), [0.0]
    monkeypatch.setattr(contact, "steady", lambda: clock.now + slept[0])
    monkeypatch.setattr(contact, "_monotonic", lambda: clock.now)
    one = Contact(clock)
    assert one.met(5_000_000) is None
    clock.now += (
        600  # suspended, and its line is dead: what was before is not known to be an outage
    )
    one.missed()
    clock.now += 1
    assert one.met(5_601_000) == (5_585_000, 5_601_000)
    one.missed(heard=clock.now)
    clock.now += 20
    one.missed()
    clock.now += 600  # the store came back at some time of these
    assert one.met(6_221_000) == (5_601_000, 5_621_000)
    one.missed(heard=clock.now)
    slept[0] += 600  # the machine slept
    one.missed()
    clock.now += 2
    assert one.met(6_823_000) == (6_821_000, 6_823_000)
    assert one.met(6_824_000) is None


# ------------------------------------------------------------ real minutes


def real_gaps(presence: herenow.Presence) -> list[datetime]:
    now = datetime.now(UTC)
    samples = presence.history(now - timedelta(hours=1), now + timedelta(minutes=1))
    return [one.at for one in samples if one.gap]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_real_outage_of_a_real_minute(lasting: Server) -> None:
    with ExitStack() as stack:
        presence = stack.enter_context(herenow.Presence(lasting.unix_url, resolution=0))
        readers = [
            stack.enter_context(watching(name, lasting.unix_url)).watch()
            for name in (*SIDES, "sync")
        ]
        presence.mark_online("alice")
        time.sleep(56 - time.time() % 60 + (60 if time.time() % 60 > 50 else 0))
        killed = datetime.now(UTC).replace(second=0, microsecond=0)
        lasting.kill()
        until = time.monotonic() + 70
        while time.monotonic() < until:
            readers[1].batch(0.5)
        lasting.restart()
        wait(readers[1], lambda: real_gaps(presence) != [], "the gap")
        assert real_gaps(presence) == [killed + timedelta(minutes=1)]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_watcher_that_was_stopped_saw_no_outage(server: Server) -> None:
    watcher = start(
        server.unix_url,
        """
presence = herenow.Presence(URL)
events = presence.watch()
print("ready", flush=True)
for event in events:
    print(event.user, flush=True)
""",
    )
    with watcher, herenow.Presence(server.unix_url, resolution=0, timeout=5) as presence:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        presence.mark_online("alice")
        assert watcher.stdout.readline() == "alice\n"
        watcher.send_signal(signal.SIGSTOP)
        server.control.client_kill_filter(_type="pubsub")
        time.sleep(135)
        server.control.client_kill_filter(skipme=True, _type="normal")
        watcher.send_signal(signal.SIGCONT)
        time.sleep(5)
        presence.mark_online("bob")
        assert watcher.stdout.readline() == "bob\n"
        watcher.kill()
        assert real_gaps(presence) == []
