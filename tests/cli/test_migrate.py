"""``herenow migrate``: a site by the recipe comes into herenow, while it goes on writing."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import psutil
import pytest

import herenow
from bench.opponents import Recipe
from herenow.cli.logstore import open_store
from herenow.cli.source import open_source
from herenow.recipe import Layout, Moved, Mover
from tests.cli.conftest import Call, environment
from tests.cli.reading import only_read
from tests.cli.test_audit import write
from tests.servers import Cluster, Server, binary, start_server
from tests.waiting import poll

LAG = 2.5
"""Seconds within which what the old site wrote has come over: twice a second, on a busy machine."""


def test_all_come_with_their_last_activity_and_a_second_run_changes_nothing(
    server: Server, call: Call
) -> None:
    seen = write(server.control, 1500)
    server.control.set("user-activity/long-gone", int(time.time()) - 86_400, ex=300)
    server.control.set("user-activity/too-long-gone", int(time.time()) - 86_400 * 40, ex=300)
    done = call("migrate", "--from", server.url, "--url", server.url, "--json")
    assert (done.code, done.err) == (0, "")
    with herenow.Presence(server.url, timeout=5) as presence:
        known = presence.lookup([*seen])
        now = time.time()
        for user, at in seen.items():
            last = known[user].last_seen
            assert last is not None
            assert abs(last.timestamp() - at) < 0.3
            if abs(now - at - 300) > 1:
                assert known[user].online is (now - at < 300)
        gone = presence.get_user_last_activity("long-gone")
        assert gone is not None
        assert abs(gone.timestamp() - time.time() + 86_400) < 5
        assert presence.get_user_last_activity("too-long-gone") is None
    moved = done.json
    assert (moved["marked"], moved["known"], moved["too_old"]) == (len(seen) + 1, 0, 1)
    with only_read(server):
        again = call("migrate", "--from", server.url, "--url", server.url, "--json").json
    assert (again["marked"], again["known"]) == (0, len(seen) + 1)


def test_the_source_is_only_read_and_what_is_refused_is_named(
    server: Server, servers: Callable[[str], Server], call: Call
) -> None:
    source = servers("redis-6.2")
    source.control.flushall()
    now = int(time.time())
    for user in (b"alice", b"\xff", b"x" * 300, b"tab\there"):
        source.control.set(b"user-activity/" + user, now, ex=300)
    source.control.set("user-activity/bob", "yesterday", ex=300)
    with only_read(source):
        done = call("migrate", "--from", source.url, "--url", server.url)
    assert done.code == 0
    assert done.lines == [
        "1 sighting marked: 1 online, 0 last seen; 0 known already; 3 refused; 1 without a Unix time"
    ]
    assert r"refused '\xff': a user is UTF-8" in done.err
    assert r"refused 'tab\there': a user has no control character" in done.err
    assert "a user has at most 256 UTF-8 bytes; this has 300" in done.err
    with herenow.Presence(server.url, timeout=5) as presence:
        assert presence.get_online_users() == ["alice"]


@pytest.mark.parametrize("times", [0, 1, 3])
def test_each_is_counted_once_however_often_it_is_looked(server: Server, times: int) -> None:
    now, minute = int(time.time()), int(time.time()) // 60
    users = [f"user {i}" for i in range(500)]
    for user in (*users, "tab\there", "vague"):
        server.control.set(f"user-activity/{user}", "x" if user == "vague" else now, ex=300)
        for at in (minute - 1, minute):  # whoever goes on reading is in both
            server.control.sadd(f"online-users/{at}", user)
    for at in (minute - 1, minute):
        server.control.expire(f"online-users/{at}", 300)

    def bring() -> Moved:
        with (
            open_store(server.url) as target,
            open_source(server.url, Layout()) as source,
        ):
            mover = Mover(source, target.engine, target.core(), 86_400)
            list(mover.everybody())
            for _ in range(times):
                list(mover.recent())
            return mover.moved

    for told, known in ((500, 0), (0, 500)):
        moved = bring()
        assert (moved.marked, moved.known, moved.read) == (told, known, 502)
        assert (moved.refused, moved.unreadable) == (1, 1)


def test_into_a_room_as_guests_with_the_sites_minutes(server: Server, call: Call) -> None:
    now = int(time.time())
    server.control.set("user-activity/1.2.3.4", now - 400, ex=300)
    server.control.set("user-activity/::1", now - 1000, ex=300)
    words = ("--from", server.url, "--url", server.url, "--room", "old", "--kind", "guest")
    done = call("migrate", *words, "--minutes", "10", "--json")
    assert (done.code, done.json["marked"], done.json["too_old"]) == (0, 1, 1)
    with herenow.Presence(server.url, timeout=5) as presence:
        assert presence.room("old").get_online_users(kind="guest") == ["1.2.3.4"]
        assert presence.room("old").explain("1.2.3.4").window == 600
        assert presence.count_online_users(kind="guest") == 0


def test_the_new_sites_settings_hold(server: Server, call: Call) -> None:
    server.control.set("user-activity/alice", int(time.time()) - 100, ex=300)
    words = ("--from", server.url, "--url", server.url)
    done = call("migrate", *words, HERENOW_WINDOW="30", HERENOW_HISTORY="false")
    assert done.code == 0
    with herenow.Presence(server.url, timeout=5) as presence:
        explained = presence.explain("alice")
        assert (explained.window, explained.presence.online) == (30, False)
        assert presence.get_user_last_activity("alice") is not None
        now = datetime.now(UTC)
        assert presence.history(now - timedelta(hours=1), now) == []


def test_whoever_left_or_was_seen_since_stays_so(server: Server, call: Call) -> None:
    now = int(time.time())
    for user in ("alice", "bob"):
        server.control.set(f"user-activity/{user}", now - 10, ex=300)
    with herenow.Presence(server.url, resolution=0, timeout=5) as presence:
        presence.mark_online_many(["alice", "bob"])
        presence.mark_offline("bob")
        before = presence.get_user_last_activity("alice")
        assert call("migrate", "--from", server.url, "--url", server.url).code == 0
        assert presence.get_online_users() == ["alice"]
        assert presence.get_user_last_activity("alice") == before


def test_nobody_there_exits_1_and_a_source_that_is_away_3(server: Server, call: Call) -> None:
    assert call("migrate", "--from", server.url, "--url", server.url).code == 1
    assert call("migrate", "--from", "redis://localhost:1", "--url", server.url).code == 3
    assert call("migrate", "--from", server.url, "--url", "redis://localhost:1").code in (1, 3)
    assert call("migrate", "--url", server.url).code == 2


def test_from_a_cluster_into_it(cluster: Cluster, call: Call) -> None:
    client = cluster.client()
    try:
        seen = write(client, 200)
    finally:
        client.close()
    done = call("migrate", "--from", cluster.url, "--url", cluster.url, "--json")
    assert (done.code, done.json["marked"]) == (0, len(seen))
    with herenow.Presence(cluster.url, timeout=5) as presence:
        assert sum(one.last_seen is not None for one in presence.lookup([*seen]).values()) == len(
            seen
        )


@contextmanager
def following(
    place: Path, source: str, target: str, *, ready: bool = True, **more: str
) -> Iterator["Following"]:
    """Run ``migrate --follow``, and wait until the first pass is over."""
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "herenow", "migrate", "--from", source),
            *("--url", target, "--follow"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        env=environment(**more),
    ) as process:
        assert process.stderr is not None
        try:
            if ready:
                assert "following" in process.stderr.readline()
            yield Following(process, process.stderr)
        finally:
            process.kill()


class Following:
    """A ``migrate --follow`` that runs."""

    def __init__(self, process: "subprocess.Popen[str]", stderr: IO[str]) -> None:
        self.process, self.stderr = process, stderr

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """End it; its exit code, and what it said."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


class OldSite(threading.Thread):
    """Marks users by the recipe, a hundred a second, and remembers when."""

    def __init__(self, server: Server, seen: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self._recipe = Recipe(server.client())
        self.written = [(0.0, user, at) for user, at in seen.items()]
        self._over = threading.Event()

    def run(self) -> None:
        dice = random.Random(7)
        while not self._over.wait(0.01):
            user = f"user-{dice.randrange(900):07}"
            before = int(time.time())
            self._recipe.mark_online(user)
            self.written.append((time.time(), user, before))

    def stop(self) -> None:
        self._over.set()
        self.join()


@pytest.mark.parametrize("target", ["redis-8.2", pytest.param("the same", marks=pytest.mark.long)])
def test_no_count_dips_while_the_old_site_writes_and_the_new_one_takes_over(
    target: str, server: Server, servers: Callable[[str], Server], place: Path
) -> None:
    new = server if target == "the same" else servers(target)
    if new is not server:
        new.control.flushall()
    seen, recipe = write(server.control, 600), Recipe(server.control)
    for i in range(20):  # whose time ends while it runs
        recipe.now = time.time() - 285 - i / 2
        recipe.mark_online(f"ending-{i}")
        seen[f"ending-{i}"] = int(recipe.now)
    old = OldSite(server, seen)
    samples: list[tuple[float, float, set[str]]] = []
    old.start()
    with (
        herenow.Presence(new.url, resolution=0) as presence,
        following(place, server.url, new.url) as process,
    ):
        began = time.time()
        taken_over = 0.0
        while time.time() < began + 9:
            if not taken_over and time.time() > began + 6:
                old.stop()
                taken_over = time.time()
                process.process.send_signal(signal.SIGTERM)
            if taken_over:
                presence.mark_online("new-user")
            before = time.time()
            online = set(presence.get_online_users())
            assert presence.count_online_users() > 0
            samples.append((before, time.time(), online))
            time.sleep(0.05)
        out, _ = process.process.communicate(timeout=60)
    assert process.process.returncode == 0
    assert "sightings marked" in out
    assert len(samples) > 60
    ended = joined = 0
    for before, after, online in samples:
        latest: dict[str, int] = {}
        surely: dict[str, int] = {}
        for when, user, at in old.written:
            if when <= after:
                latest[user] = max(at, latest.get(user, 0))
            if when <= before - LAG:
                surely[user] = max(at, surely.get(user, 0))
        must = {user for user, at in surely.items() if at + 300 > after + 0.1}
        may = {user for user, at in latest.items() if at + 301 > before - 0.1}
        assert must <= online
        assert online - {"new-user"} <= may
        ended = max(ended, len(surely) - len(must))
        joined = max(joined, len(online))
    assert ended > 0
    assert joined > len(samples[0][2])
    assert "new-user" in samples[-1][2]


def test_a_source_that_hangs_is_waited_for(
    server: Server, servers: Callable[[str], Server], place: Path
) -> None:
    source = servers("valkey-8.1")
    source.control.flushall()
    recipe = Recipe(source.control)
    recipe.mark_online("alice")
    with (
        herenow.Presence(server.url, timeout=5) as presence,
        following(place, source.url, server.url, HERENOW_TIMEOUT="0.3") as process,
    ):
        source.pause()
        try:
            assert "waiting for the store" in process.stderr.readline()
        finally:
            source.resume()
        recipe.mark_online("bob")
        poll(lambda: presence.is_online("bob"), "him, told")
        recipe.mark_online("carol")
        assert process.end(signal.SIGINT)[0] == 0
        assert presence.is_online("carol")  # the last pass is after the end was asked for


def test_an_old_store_that_is_gone_at_the_end_is_told(server: Server, place: Path) -> None:
    with start_server(binary("valkey-9.1")) as source:
        Recipe(source.control).mark_online("alice")
        with following(place, source.url, server.url) as process:
            source.kill()
            assert "waiting for the store" in process.stderr.readline()
            process.process.send_signal(signal.SIGTERM)
            out, err = process.process.communicate(timeout=60)
    assert process.process.returncode == 3
    assert "what the old site wrote last is not imported" in err
    assert out.startswith("1 sighting marked")


def test_what_is_interrupted_in_its_first_pass_says_so(
    server: Server, servers: Callable[[str], Server], place: Path
) -> None:
    source = servers("valkey-8.1")
    source.control.flushall()
    write(source.control, 1500)
    source.control.config_resetstat()
    source.pause()
    with following(place, source.url, server.url, ready=False, HERENOW_TIMEOUT="20") as process:
        try:
            asking = psutil.Process(process.process.pid).net_connections
            poll(lambda: any(one.raddr[1:] == (source.port,) for one in asking()), "its question")
            process.process.send_signal(signal.SIGINT)
        finally:
            source.resume()
        out, _ = process.process.communicate(timeout=60)
    assert process.process.returncode == 130
    assert int(out.split()[0].replace(",", "")) < 1000


def test_a_pass_tells_only_what_is_new(server: Server) -> None:
    recipe = Recipe(server.control)
    for i in range(50):
        recipe.mark_online(f"user-{i}")
    layout = Layout()
    with (
        open_store(server.url, window=300) as target,
        open_source(server.url, layout) as source,
    ):
        mover = Mover(source, target.engine, target.core(), 86_400)

        def done(steps: Iterable[object]) -> tuple[int, int, int]:
            for _ in steps:
                pass
            return mover.moved.read, mover.moved.marked, mover.moved.known

        assert done(mover.everybody()) == (50, 50, 0)
        with only_read(server) as sent:
            assert done(mover.recent()) == (50, 50, 0)  # nobody is looked up again
        assert sent.isdisjoint({"evalsha", "eval", "zmscore", "zadd"})
        recipe.now = time.time() + 1  # the next second: a string tells whole ones
        recipe.mark_online("user-7")
        recipe.mark_online("new")
        assert done(mover.recent()) == (52, 52, 0)
        assert done(mover.recent()) == (52, 52, 0)
