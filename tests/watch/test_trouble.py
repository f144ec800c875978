"""Watches through trouble: restarts, failovers, lost scripts, lost lines, slots that move, forks."""

import asyncio
import time
from typing import Any

import pytest

import herenow
from herenow.store import breaker
from herenow.watching import hub
from tests.conftest import SERVER
from tests.core.programs import run
from tests.core.sides import SIDES
from tests.servers import (
    Cluster,
    Server,
    binary,
    start_cluster,
    start_replica,
    start_sentinels,
    start_server,
)
from tests.waiting import once_back, poll
from tests.watch.readers import Reader, apply, watching

pytestmark = pytest.mark.parametrize("name", SIDES)


def until(reader: Reader, user: str, seconds: float = 60) -> list[herenow.Event]:
    """What is told up to the event of a user, or a reset that has them."""
    told: list[herenow.Event] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told += reader.batch(1)
        for one in told:
            listed = [] if one.snapshot is None else [other.user for other in one.snapshot.users]
            if user in (one.user, *listed):
                return told
    raise AssertionError(f"{user} was not told of, but {told}")


def insist(presence: herenow.Presence, user: str) -> None:
    """Mark somebody, as soon as the store lets us."""
    once_back(lambda: presence.mark_online(user))


def test_lines_that_break_delay_and_lose_nothing(
    name: str, server: Server, presence: herenow.Presence
) -> None:
    with watching(name, server.unix_url) as watcher:
        events = watcher.watch()
        for i in range(5):
            server.control.client_kill_filter(_type="pubsub")
            presence.mark_online(f"u{i}")
            assert events.brief(1) == [("join", f"u{i}")]


def test_scripts_that_are_flushed_are_no_matter(
    name: str, server: Server, presence: herenow.Presence
) -> None:
    with watching(name, server.unix_url) as watcher:
        events = watcher.watch()
        server.control.script_flush()
        presence.mark_online("alice")
        assert events.brief(1) == [("join", "alice")]


def test_a_store_that_restarts_empty(name: str) -> None:
    with (
        start_server(binary(SERVER)) as server,
        herenow.Presence(server.unix_url, resolution=0, timeout=5) as presence,
        watching(name, server.unix_url) as watcher,
    ):
        presence.mark_online("alice")
        events = watcher.watch()
        server.kill()
        assert events.batch(1) == []
        server.restart()
        insist(presence, "bob")
        told = until(events, "bob")
        assert [one.type for one in told] in (["reset"], ["reset", "join"])  # before bob, or after
        online: set[str] = set()
        apply(online, told, presence)
        assert online == {"bob"}


def test_a_store_that_is_away_at_the_beginning(name: str) -> None:
    with start_server(binary(SERVER)) as server:
        server.kill()
        with herenow.Presence(server.unix_url, resolution=0, timeout=5) as presence:
            if name == "sync":
                events = presence.watch()
                assert events.batch(0.5) == []
                server.restart()
                poll(lambda: events._watch.started, "the beginning")
                insist(presence, "alice")
                assert [one.user for one in events.batch(60)] == ["alice"]
                return

            async def begin() -> list[str | None]:
                async with herenow.AsyncPresence(server.unix_url, timeout=5) as watcher:
                    events = watcher.watch()
                    assert await events.batch(0.5) == []
                    await asyncio.to_thread(server.restart)
                    async with asyncio.timeout(60), events:
                        insist(presence, "alice")
                        return [one.user for one in await events.batch(60)]

            assert asyncio.run(begin()) == ["alice"]


def test_a_store_that_hangs(name: str, server: Server, presence: herenow.Presence) -> None:
    with watching(name, server.unix_url) as watcher:
        events = watcher.watch()
        server.pause()
        try:
            assert events.batch(1.5) == []
        finally:
            server.resume()
        insist(presence, "alice")
        assert [one.user for one in until(events, "alice")] == ["alice"]


def test_what_happens_after_a_hang_is_told_at_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # by the bell alone: the next look, and the breaker's next try, are far away
    monkeypatch.setattr(hub, "PATIENCE", (300.0, 300.0))
    for constant in ("FIRST", "MOST", "OVERDUE"):
        monkeypatch.setattr(breaker, constant, 300.0)
    with (
        start_server(binary(SERVER)) as server,
        watching(name, server.unix_url) as watcher,
        herenow.Presence(server.unix_url, resolution=0, timeout=9) as presence,
    ):
        events = watcher.watch()
        presence.mark_online("alice")
        assert events.brief(1) == [("join", "alice")]
        server.pause()
        try:
            for _ in range(4):
                with pytest.raises(herenow.StoreError):
                    watcher.side.counts()
            events.events._watchers.hub.ring(b"herenow:{site}:events")  # a look, which fails
            assert events.batch(1) == []
        finally:
            server.resume()
        presence.mark_online("bob")
        assert [one.user for one in until(events, "bob", 30)] == ["bob"]


def test_a_line_that_is_heard_while_calls_fail_makes_no_storm(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        start_server(binary(SERVER), password="first") as server,
        herenow.Presence(server.unix_url, resolution=0, timeout=9) as presence,
        watching(name, server.unix_url, timeout=1) as watcher,
    ):
        presence.mark_online("first")
        spared = {one["id"] for one in server.control.client_list()}
        events = watcher.watch()
        presence.mark_online("alice")
        assert events.brief(1) == [("join", "alice")]
        server.control.config_set("requirepass", "second")
        for one in server.control.client_list():  # all but the line, and those who speak here
            if one["cmd"].startswith("eval") and one["id"] not in spared:
                server.control.client_kill_filter(_id=one["id"])
        before = server.control.info("stats")["total_connections_received"]
        end, rung = time.monotonic() + 4, 0
        while time.monotonic() < end:
            events.batch(0.02)
            presence.mark_online(f"u{rung}")
            rung += 1
        assert rung > 20
        tries = server.control.info("stats")["total_connections_received"] - before
        assert tries < 60, "each bell is a try"
        shut = [one for one in caplog.messages if "does not let us in" in one]
        assert len(shut) <= 1


def test_a_failover_by_sentinels_makes_it_start_over(name: str) -> None:
    with (
        start_server(binary(SERVER)) as master,
        start_replica(master) as replica,
        start_sentinels(master) as sentinels,
        herenow.Presence(sentinels.url, resolution=0) as presence,
        watching(name, sentinels.url) as watcher,
    ):
        presence.mark_online("alice")
        events = watcher.watch()
        presence.mark_online("bob")
        [event] = events.take(1)
        assert event.user == "bob"
        poll(
            lambda: replica.control.zcount("herenow:{site}:online:member", 0, 4e15) == 2,
            "the replica",
        )
        master.kill()
        poll(lambda: sentinels.master_port() == replica.port, "the failover")
        insist(presence, "carol")
        told = until(events, "carol")
        assert told[0].type == "reset"
        online: set[str] = set()
        apply(online, told, presence)
        assert online == {"alice", "bob", "carol"}
        # and whoever slept through it
        [reset] = watcher.watch(after=event.id).take(1)
        assert reset.type == "reset"


def test_a_failover_in_a_cluster_makes_it_start_over(name: str) -> None:
    with (
        start_cluster(binary(SERVER), replicas=1) as cluster,
        herenow.Presence(cluster.url, resolution=0, timeout=5) as presence,
        watching(name, cluster.url) as watcher,
    ):
        rooms = [f"doc:{i}" for i in range(12)]
        for room in rooms:
            presence.room(room).mark_online("alice")
        readers = {room: watcher.watch(room=room) for room in rooms}
        time.sleep(0.2)
        master = cluster.node_of("herenow:{doc%3A1}:meta")
        master.kill()
        for room in rooms:
            insist(presence.room(room), "bob")
        failed_over = 0
        for reader in readers.values():
            told = until(reader, "bob")
            online = {"alice"}
            apply(online, told, presence)
            assert online == {"alice", "bob"}
            failed_over += told[0].type == "reset"
        assert 0 < failed_over < len(rooms)


def test_a_slot_that_moves(name: str, cluster: Cluster) -> None:
    room = f"moving {name}"
    key = f"herenow:{{moving%20{name}}}:meta"
    with (
        herenow.Presence(cluster.url, resolution=0, timeout=5) as presence,
        watching(name, cluster.url) as watcher,
    ):
        presence.room(room).mark_online("alice")
        events = watcher.watch(room=room)
        for i in range(3):
            source = cluster.node_of(key)
            to = next(node for node in cluster.nodes if node is not source)
            cluster.move_slot(key, to)
            presence.room(room).mark_online(f"u{i}")
            told = until(events, f"u{i}")
            online = {"alice", *(f"u{j}" for j in range(i))}
            apply(online, told, presence)
            assert online == {"alice", *(f"u{j}" for j in range(i + 1))}


@pytest.mark.parametrize("version", ["redis-6.2", "redis-7.0", "redis-8.2", "valkey-8.1"])
def test_every_server(name: str, version: str, servers: Any) -> None:
    server = servers(version)
    server.control.flushall()
    with (
        herenow.Presence(server.url, resolution=0, timeout=5) as presence,
        watching(name, server.url) as watcher,
    ):
        events = watcher.watch()
        for i in range(3):
            presence.mark_online(f"u{i}")
            assert events.brief(1, 2) == [("join", f"u{i}")]


def test_who_may_not_hear_the_bells_looks_every_second(
    name: str, server: Server, presence: herenow.Presence, caplog: pytest.LogCaptureFixture
) -> None:
    server.control.execute_command(
        "ACL", "SETUSER", "deaf", "on", ">secret", "~*", "resetchannels", "+@all"
    )
    try:
        url = f"unix://deaf:secret@{server.socket}"
        with watching(name, url) as watcher, herenow.Presence(url, resolution=0) as dumb:
            events = watcher.watch()
            events.batch(0.3)
            presence.mark_online("alice")
            dumb.mark_online("bob")
            assert events.brief(2, 5) == [("join", "alice"), ("join", "bob")]
        assert "no permission to hear the doorbells" in caplog.text
    finally:
        server.control.acl_deluser("deaf")


def test_a_forked_child_watches_on(name: str, server: Server) -> None:
    if name == "async":  # a loop is not forked
        return
    program = """
presence = herenow.Presence(URL, resolution=0)
events = presence.watch()
presence.mark_online("alice")
assert next(events).user == "alice"
pid = os.fork()
if not pid:
    presence.mark_online("bob")
    assert next(events).user == "bob"
    events.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert next(events).user == "bob"
presence.mark_online("carol")
assert next(events).user == "carol"
"""
    run(server.unix_url, program)
