"""`herenow tail`: a log written, rotated and truncated under it, and itself killed at any moment."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import herenow
from herenow.accesslog.following import Follower
from tests.conftest import SERVER
from tests.servers import Server, binary, start_server
from tests.waiting import once_back, poll


def line(host: str, at: float | None = None) -> bytes:
    moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return f'{host} - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "GET / HTTP/1.1" 200 5\n'.encode()


@contextmanager
def tailing(
    log: Path, url: str, *more: str, hosts: str = "--raw-hosts"
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "herenow", "tail", str(log), "--url", url]
    if hosts == "--raw-hosts":  # hashed is the default
        command.append(hosts)
    running = subprocess.Popen([*command, *more], stderr=subprocess.PIPE)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def add(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def sees(presence: herenow.Presence) -> Callable[..., None]:
    """Wait until exactly these are online."""

    def wait(*hosts: str) -> None:
        poll(lambda: sorted(presence.get_online_users()) == sorted(hosts), "them online")

    return wait


def test_it_marks_each_line_at_its_own_moment(
    log: Path, server: Server, presence: herenow.Presence, sees: Callable[..., None]
) -> None:
    now = time.time()
    log.write_bytes(line("old", now - 4000) + line("late", now - 200) + b"nonsense\n")
    with tailing(log, server.unix_url) as running:
        sees("late")
        old, late = presence.lookup(["old", "late"]).values()
        assert old.last_seen is not None
        assert abs(old.last_seen.timestamp() - int(now - 4000)) < 2
        assert late.last_seen is not None
        assert abs(late.last_seen.timestamp() - int(now - 200)) < 2
        half = line("half")
        add(log, half[:30])
        time.sleep(0.6)
        assert not presence.is_online("half")
        add(log, half[30:] + line("next"))
        sees("late", "half", "next")
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
        assert running.stderr is not None
        assert b"5 lines, 1 of them malformed" in running.stderr.read()


def test_it_waits_for_a_log_and_follows_it_through_every_rotation(
    log: Path, server: Server, sees: Callable[..., None]
) -> None:
    rotated = log.with_name("access.log.1")
    with tailing(log, server.unix_url):
        time.sleep(0.5)
        log.write_bytes(line("a"))
        sees("a")
        log.rename(rotated)
        add(rotated, line("b"))  # the writer has not noticed yet
        sees("a", "b")
        log.write_bytes(line("c"))
        add(rotated, line("d"))
        sees("a", "b", "c", "d")
        copy = log.with_name("access.log-20240229")
        add(log, line("e"))
        copy.write_bytes(
            log.read_bytes() + line("f")
        )  # f came before the truncation, and is in the copy
        os.truncate(log, 0)
        add(log, line("g") * 9)  # longer than what was read
        sees(*"abcdefg")
        log.unlink()
        time.sleep(0.5)
        log.write_bytes(line("h"))
        sees(*"abcdefgh")


def test_at_first_it_may_skip_what_is_there(
    log: Path, server: Server, sees: Callable[..., None]
) -> None:
    log.write_bytes(line("a") + line("half")[:20])
    with tailing(log, server.unix_url, "--from-end") as running:
        assert running.stderr is not None
        assert b"following" in running.stderr.readline()
        add(log, line("half")[20:] + line("b"))
        sees("half", "b")


@pytest.mark.parametrize("hosts", ["--raw-hosts", "--hashed-hosts"])
def test_a_store_that_is_unavailable_is_waited_for(log: Path, hosts: str) -> None:
    log.write_bytes(line("a"))
    with start_server(binary(SERVER)) as own:
        own.kill()
        with tailing(log, own.url, hosts=hosts) as running:
            assert running.stderr is not None
            assert b"waiting for the store" in running.stderr.readline()
            assert running.poll() is None
            own.restart()
            with herenow.Presence(own.url, timeout=5) as presence:
                poll(lambda: once_back(presence.count_online_users) == 1, "the mark")
                assert presence.is_online("a") is (hosts == "--raw-hosts")
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0
            assert b"Traceback" not in running.stderr.read()


@pytest.mark.parametrize("down", [20.0, 130.0, 400.0])
def test_the_minutes_of_which_it_reads_late_are_gaps_in_the_history(
    log: Path, server: Server, presence: herenow.Presence, sees: Callable[..., None], down: float
) -> None:
    log.write_bytes(line("before"))
    with tailing(log, server.unix_url) as running:
        sees("before")
        running.kill()
    # as if that had been longer ago: what the room knows of when, and when all was recorded
    meta, kept = "herenow:{site}:meta", "herenow:{site}:logs"
    now = time.time()
    server.control.hset(
        meta, mapping={"since": int((now - 900) * 1000), "minute": int(now - 600) // 60}
    )
    [(name, stored)] = server.control.hgetall(kept).items()
    places = json.loads(stored)
    server.control.hset(kept, name, json.dumps(places | {"at": int((now - down - 5) * 1e9)}))
    missed = [now - down + i * down / 40 for i in range(40)]
    add(log, b"".join(line(f"m{i}", at) for i, at in enumerate(missed)))
    with tailing(log, server.unix_url):
        poll(lambda: presence.is_online("m39"), "the last line")
        start = datetime.fromtimestamp(now - 800, UTC)
        late = set(range(int(missed[0]) // 60, int(now) // 60 + 1))

        def known() -> set[int]:
            samples = presence.history(start, datetime.now(UTC) + timedelta(minutes=1))
            return {int(one.at.timestamp()) // 60 for one in samples if not one.gap}

        # the gaps are recorded right after the marks
        poll(lambda: not known() & late, "the gaps")
        assert known() >= set(range(int(now - 800) // 60 + 1, int(missed[0]) // 60))


def test_lines_that_come_in_time_make_no_gaps(
    log: Path, server: Server, presence: herenow.Presence, sees: Callable[..., None]
) -> None:
    log.write_bytes(line("old", time.time() - 100))  # nobody has read it before
    with tailing(log, server.unix_url) as running:
        sees("old")
        add(
            log, line("new") + line("slow", time.time() - 30)
        )  # a time stamp may be of the beginning
        sees("old", "new", "slow")
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    with tailing(log, server.unix_url):
        add(log, line("next"))
        sees("old", "new", "slow", "next")
    now = datetime.now(UTC)
    samples = presence.history(now - timedelta(minutes=5), now + timedelta(minutes=1))
    assert samples
    assert not any(one.gap for one in samples)


def test_what_was_counted_is_not_counted_again(
    log: Path, server: Server, presence: herenow.Presence, sees: Callable[..., None]
) -> None:
    log.write_bytes(line("a") + line("b"))
    with tailing(log, server.unix_url):
        sees("a", "b")
    presence.forget("a")
    with tailing(log, server.unix_url):
        add(log, line("c"))
        sees("b", "c")


def hosts_read(follower: Follower) -> list[str]:
    return [one.split()[0].decode() for part in follower.poll() for one in part]


@pytest.mark.parametrize("seed", range(16))
def test_whatever_happens_to_a_log_every_line_is_read_once(log: Path, seed: int) -> None:  # noqa: C901
    """Rotations of every sort, restarts from the places kept last, and writes cut anywhere."""
    dice, read, written, number = random.Random(seed), list[str](), list[str](), 0
    log.write_bytes(b"")
    follower, kept, since = Follower(log), None, list[str]()
    rotations = 0

    def name() -> Path:
        return log.with_name(f"access.log.{rotations}")

    def unread() -> bool:
        return follower._current is not None and follower._current.offset == 0

    for _ in range(60):
        act = dice.choice(["write"] * 6 + ["poll"] * 3 + ["keep", "keep", "kill", "rename", "copy"])
        if act == "write":
            many = [f"host{number + i}" for i in range(dice.randrange(1, 6))]
            number += len(many)
            written += many
            data = b"".join(line(one, 1_000_000_000 + number) for one in many)
            cut = dice.randrange(len(data))
            add(log, data[:cut])
            since += hosts_read(follower)
            add(log, data[cut:])
        elif act == "poll":
            since += hosts_read(follower)
        elif act == "keep":
            read += since
            kept, since = follower.places(), []
        elif act == "kill":
            follower.close()
            since = []
            follower = Follower(log, kept)
            since += hosts_read(follower)
        elif act == "rename":
            rotations += 1
            log.rename(name())
            log.write_bytes(b"")
            if kept is None:
                read += [*since, *hosts_read(follower)]
                kept, since = follower.places(), []
        else:
            rotations += 1
            if kept is None:
                read += [*since, *hosts_read(follower)]
                kept, since = follower.places(), []
            # of what was never read in the file, a truncation leaves no trace
            since += hosts_read(follower) if unread() else []
            name().write_bytes(log.read_bytes())
            os.truncate(log, 0)
            time.sleep(0.002)
    for _ in range(3):
        since += hosts_read(follower)
    follower.close()
    assert sorted(read + since) == sorted(written)


def state(presence: herenow.Presence, hosts: list[str]) -> dict[str, int]:
    found = presence.lookup(hosts)
    return {
        host: round(one.last_seen.timestamp()) if one.last_seen else 0
        for host, one in found.items()
    }


def test_killed_at_random_across_rotations_it_ends_as_if_it_had_read_it_all_at_once(
    log: Path, server: Server, presence: herenow.Presence, tmp_path: Path
) -> None:
    dice = random.Random(3)
    whole, moments = b"", dict[str, int]()
    log.write_bytes(b"")
    running = ExitStack()
    with tailing(log, server.unix_url):
        # of a log that was rotated before it was followed at all, the old file is not read
        whole += line("host0")
        moments["host0"] = int(time.time())
        add(log, whole)
        poll(lambda: presence.is_online("host0"), "the first line told")
    for step in range(14):
        if step % 2 == 0:
            running.enter_context(tailing(log, server.unix_url, "--linger", "5"))
        for _ in range(30):
            host, at = f"host{dice.randrange(60)}", int(time.time()) - dice.randrange(200)
            data = line(host, at)
            whole += data
            moments[host] = max(at, moments.get(host, 0))
            cut = dice.randrange(len(data))
            add(log, data[:cut])
            if not dice.randrange(40):
                time.sleep(0.3)
            add(log, data[cut:])
        time.sleep(dice.random() * 0.5)
        if step % 2:
            running.close()  # kill -9
        if step % 3 == 0:
            log.rename(log.with_name(f"access.log.{step}"))
            log.write_bytes(b"")
    running.close()
    with tailing(log, server.unix_url):
        hosts = sorted(moments)

        def right() -> bool:
            found = state(presence, hosts)
            return all(abs(found[host] - at) <= 1 for host, at in moments.items())

        poll(right, "every line told")
        assert sorted(presence.get_online_users()) == hosts
    once = tmp_path / "once.log"
    once.write_bytes(whole)
    command = [sys.executable, "-m", "herenow", "replay", str(once), "--json", "--raw-hosts"]
    options = ["--url", server.unix_url, "--room", "once"]
    done = subprocess.run([*command, *options], capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["uniques"] == len(hosts)
    replayed, tailed = state(presence.room("once"), hosts), state(presence, hosts)
    assert replayed == moments
    assert all(abs(tailed[host] - at) <= 1 for host, at in replayed.items())
