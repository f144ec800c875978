"""`with presence.session(...)`: kept fresh on a real clock, ended on the way out, whatever happens."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

import herenow
from tests.conftest import SERVER, Clock
from tests.core.sides import SIDES, opened
from tests.servers import Server, binary, start_server
from tests.waiting import once_back, poll


@pytest.fixture
def short(server: Server) -> Iterator[herenow.Presence]:
    with herenow.Presence(server.unix_url, window=1, timeout=5) as made:
        yield made


@pytest.fixture
def frail() -> Iterator[Server]:
    """A server that the test may hang and kill."""
    with start_server(binary(SERVER)) as server:
        yield server


def beats() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "herenow-session"]


def test_it_is_kept_fresh_beyond_the_window_and_ended_on_exit(short: herenow.Presence) -> None:
    with short.session("alice", info={"page": "/"}) as held:
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            assert short.is_online("alice")
            time.sleep(0.05)
        [session] = short.lookup(["alice"])["alice"].sessions
        assert (session.name, session.info) == (held.name, {"page": "/"})
    assert not short.is_online("alice")
    assert not beats()
    events = [(event.type, event.reason) for event in short.explain("alice").events]
    assert events == [("leave", "left"), ("join", None)]


async def test_in_asyncio_it_is_kept_fresh_beyond_the_window_and_ended_on_exit(
    server: Server, short: herenow.Presence
) -> None:
    async with herenow.AsyncPresence(server.unix_url, window=1, timeout=5) as presence:
        async with presence.session("alice", info={"page": "/"}) as held:
            deadline = time.monotonic() + 2.5
            while time.monotonic() < deadline:
                assert await presence.is_online("alice")
                await asyncio.sleep(0.05)
            await held.update(away=True)
            assert (await presence.lookup(["alice"]))["alice"].away
        assert not await presence.is_online("alice")
    assert len(asyncio.all_tasks()) == 1
    assert [event.type for event in short.explain("alice").events] == ["leave", "update", "join"]


def test_update_says_what_it_shows_now(short: herenow.Presence) -> None:
    with short.session("alice", session="tab", info={"page": "/a"}) as held:
        held.update(away=True)
        alice = short.lookup(["alice"])["alice"]
        assert (alice.away, alice.info) == (True, {"page": "/a"})
        held.update(away=False, info={"page": "/b"})
        alice = short.lookup(["alice"])["alice"]
        assert (alice.away, alice.info) == (False, {"page": "/b"})


def test_it_ends_on_an_exception(short: herenow.Presence) -> None:
    with pytest.raises(KeyError), short.session("alice"):
        raise KeyError
    assert not short.is_online("alice")
    assert not beats()


async def test_it_ends_when_its_task_is_cancelled(server: Server) -> None:
    async with herenow.AsyncPresence(server.unix_url, timeout=5) as presence:
        inside = asyncio.Event()

        async def hold() -> None:
            async with presence.session("alice"):
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(hold())
        await inside.wait()
        assert await presence.is_online("alice")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await presence.is_online("alice")


def test_two_of_one_user_hold_them_until_the_last_ends(short: herenow.Presence) -> None:
    with short.session("alice") as one, short.session("alice") as other:
        assert one.name != other.name
        assert len(short.lookup(["alice"])["alice"].sessions) == 2
    with short.session("alice"):
        with short.session("alice"):
            pass
        assert short.is_online("alice")
    assert not short.is_online("alice")


def test_it_works_in_a_room_buffered_and_under_a_window_stored_by_another(
    server: Server,
) -> None:
    with (
        herenow.Presence(server.unix_url, timeout=5) as owner,
        herenow.Presence(server.unix_url, timeout=5, buffered=True) as presence,
    ):
        doc = owner.room("doc", window=2)
        doc.mark_online("owner")
        room = presence.room("doc")
        room.mark_online("another")
        room.flush()  # by this it learns how long the window is
        with room.session("alice"):
            poll(lambda: doc.is_online("alice"), "the flusher")
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                assert doc.is_online("alice")
                time.sleep(0.05)
        assert not doc.is_online("alice")


@pytest.mark.parametrize("buffered", [False, True], ids=["at once", "buffered"])
@pytest.mark.parametrize("name", SIDES)
def test_it_is_kept_fresh_in_a_room_whose_short_window_nobody_here_knows(
    server: Server, name: str, buffered: bool
) -> None:
    with (
        herenow.Presence(server.unix_url, timeout=5) as owner,
        opened(name, server.unix_url, timeout=5, buffered=buffered) as side,
    ):
        doc = owner.room("doc", window=2)
        doc.mark_online("owner")
        with side.room("doc").session("alice"):
            for _ in range(8):
                side.wait(asyncio.sleep(0.5)) if name == "async" else time.sleep(0.5)
                assert doc.is_online("alice")
        assert not doc.is_online("alice")


@pytest.mark.parametrize("trouble", ["sessions", "clock"])
@pytest.mark.parametrize("name", SIDES)
def test_a_beat_that_is_refused_is_told_once_and_tried_again(
    server: Server, clock: Clock, caplog: pytest.LogCaptureFixture, name: str, trouble: str
) -> None:
    broken = threading.Event()

    def moment() -> float:
        if broken.is_set():
            raise RuntimeError("no clock today")
        return clock.now

    def told() -> list[str]:
        return [one.getMessage() for one in caplog.records if "not kept fresh" in one.getMessage()]

    with (
        herenow.Presence(server.unix_url, window=1, clock=clock, timeout=5) as other,
        opened(name, server.unix_url, window=1, resolution=0, clock=moment, timeout=5) as side,
        side.session("alice", session="mine"),
    ):
        clock.now += 2  # alice has expired, the beats were late
        other.mark_online_many(herenow.Sighting("alice", session=f"tab-{i}") for i in range(32))
        if trouble == "clock":
            other.mark_offline("alice", "tab-1")
            broken.set()
        deadline = time.monotonic() + 60
        while not told():
            assert time.monotonic() < deadline
            side.wait(asyncio.sleep(0.1)) if name == "async" else time.sleep(0.1)
        side.wait(asyncio.sleep(1)) if name == "async" else time.sleep(1)
        assert len(told()) == 1
        assert "alice" in told()[0]
        if trouble == "clock":
            broken.clear()
        else:
            other.mark_offline("alice", "tab-1")
        while "mine" not in {one.name for one in other.lookup(["alice"])["alice"].sessions}:
            assert time.monotonic() < deadline
            side.wait(asyncio.sleep(0.1)) if name == "async" else time.sleep(0.1)


def test_a_store_that_is_away_meanwhile_is_tried_again(frail: Server) -> None:
    with herenow.Presence(frail.unix_url, window=1) as presence:
        with presence.session("alice"):
            assert presence.is_online("alice")
            frail.pause()
            time.sleep(1.5)
            frail.resume()

            poll(lambda: presence.is_online("alice"), "alice to be back")
        assert not once_back(lambda: presence.is_online("alice"))


def test_after_a_store_has_lost_all_they_are_back_as_they_were(frail: Server) -> None:
    with (
        herenow.Presence(frail.unix_url, window=1) as presence,
        presence.session("guest-1", kind="guest", info={"page": "/"}) as held,
    ):
        held.update(away=True)
        frail.kill()
        frail.restart()
        poll(lambda: presence.counts().people, "alice to be back")
        time.sleep(0.1)
        guest = once_back(lambda: presence.lookup(["guest-1"]))["guest-1"]
        assert (guest.kind, guest.away, guest.info) == ("guest", True, {"page": "/"})


def test_a_store_that_is_gone_at_the_end_raises_nothing(
    frail: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with herenow.Presence(frail.unix_url) as presence, presence.session("alice"):
        frail.kill()
    assert "ends by itself" in caplog.text
    assert not beats()


def test_a_store_that_is_gone_at_the_start_raises(frail: Server) -> None:
    frail.kill()
    with herenow.Presence(frail.unix_url) as presence:
        with pytest.raises(herenow.StoreUnavailable), presence.session("alice"):
            pytest.fail("never reached")
        assert not beats()
