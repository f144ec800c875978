"""A buffer in real processes: forks, greenlets, loops, a prefork server, every way to end."""

import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import herenow
from tests.core.programs import PATH, run
from tests.servers import Server, unwatch, watch
from tests.waiting import poll


@pytest.fixture
def outside(server: Server) -> Iterator[herenow.Presence]:
    """How another process sees it."""
    with herenow.Presence(server.unix_url, resolution=0, timeout=5) as made:
        yield made


# the end of a process

TERMINATED = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
presence.mark_online("alice")
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(9)
"""
LATER = """
def later():
    time.sleep(0.2)
    presence.mark_online("alice")
threading.Thread(target=later).start()
"""
ENDS: dict[str, tuple[str, int | None]] = {
    "falls off its end": ("presence.mark_online('alice')", 0),
    "sys.exit": ("presence.mark_online('alice'); sys.exit(3)", 3),
    "an exception": ("presence.mark_online('alice'); raise KeyError", 1),
    "Ctrl-C": ("presence.mark_online('alice'); signal.raise_signal(signal.SIGINT)", None),
    "a SIGTERM that is handled": (TERMINATED, 4),
    "in a room": ("presence.room('doc').mark_online('alice'); presence.mark_online('alice')", 0),
    "in a function that is over": (
        "def main():\n    herenow.Presence(URL, buffered=True).mark_online('alice')\nmain()",
        0,
    ),
    "in a thread that outlives main": (LATER, 0),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_waits_when_a_process_ends_is_sent(
    server: Server, outside: herenow.Presence, name: str
) -> None:
    text, status = ENDS[name]
    run(server.unix_url, f"presence = herenow.Presence(URL, buffered=True)\n{text}", status=status)
    assert outside.is_online("alice")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_waits_in_a_multiprocessing_child_is_sent(
    server: Server, outside: herenow.Presence, tmp_path: Path, method: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, sys\n"
        "import herenow\n"
        "presence = herenow.Presence(sys.argv[1], buffered=True)\n"
        "def work():\n"
        "    presence.mark_online('alice')\n"
        "if __name__ == '__main__':\n"
        f"    child = multiprocessing.get_context({method!r}).Process(target=work)\n"
        "    child.start(); child.join(); assert child.exitcode == 0\n"
    )
    run(server.unix_url, f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')")
    assert outside.is_online("alice")


def test_a_store_that_is_away_at_the_end_delays_it_little(server: Server) -> None:
    text = (
        "presence = herenow.Presence('unix:///nowhere/s', buffered=True)\n"
        "import atexit; started = []\n"
        "atexit.register(lambda: print(time.monotonic() - started[0]))\n"
        "herenow.Presence(URL, buffered=True).mark_online('alice')\n"
        "presence.mark_online('alice'); started.append(time.monotonic())"
    )
    printed, errors = run(server.unix_url, text)
    assert float(printed) < 2
    assert "Traceback" not in errors


# clocks

LIBRARIES = [
    Path(f"/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1")
    for machine in ("x86_64", "aarch64")
]


def wrong_clock() -> str:
    """Find the library that lies about the wall clock; installed at the first call."""
    lock = Path(tempfile.gettempdir()) / f"herenow-apt-{os.getuid()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # one xdist worker installs, the others wait
        found = [path for path in LIBRARIES if path.exists()]
        if not found:
            root = [] if os.getuid() == 0 else ["sudo", "-n"]
            for words in (["update"], ["install", "-y", "libfaketime"]):
                subprocess.run([*root, "apt-get", *words], check=True, capture_output=True)
        return str(next(path for path in LIBRARIES if path.exists()))


@pytest.mark.parametrize("offset", ["-1h", "+1h"])
def test_a_process_whose_clock_is_an_hour_off_marks_right(
    server: Server, outside: herenow.Presence, offset: str
) -> None:
    text = (
        "presence = herenow.Presence(URL, buffered=True)\n"
        "presence.mark_online('alice')\n"
        "begun = time.monotonic()\n"
        "while time.monotonic() < begun + 0.1: pass  # the library breaks time.sleep\n"
        "presence.flush(); print(time.time())\n"
    )
    environment = {
        "LD_PRELOAD": wrong_clock(),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    printed, _ = run(server.unix_url, text, environment=environment)
    seconds, _ = server.control.time()
    assert abs(abs(float(printed) - seconds) - 3600) < 60  # the lie was believed
    explained = outside.explain("alice")
    assert explained.presence.last_seen
    assert 0.1 <= (explained.now - explained.presence.last_seen).total_seconds() < 30


# forks

FORK = """
presence = herenow.Presence(URL, buffered=True, resolution=0, timeout=10)
def child(work):
    pid = os.fork()
    if not pid:
        signal.alarm(10)  # whoever deadlocks dies of it
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def test_a_child_sends_its_own_marks_and_not_its_parents(
    server: Server, outside: herenow.Presence
) -> None:
    text = (
        "presence.mark_online('first'); presence.flush()\n"
        "presence.mark_online('parent')\n"
        "def work():\n"
        "    other = herenow.Presence(URL)\n"
        "    assert not presence._outbox.buffer\n"
        "    presence.mark_online('reads'); assert presence.is_online('reads')\n"
        "    presence.mark_online('waits'); time.sleep(1)\n"
        "    assert other.is_online('waits')\n"
        "    presence.mark_online('ends'); presence.close()\n"
        "assert child(work) == 0\n"
        "assert presence.is_online('parent')\n"
    )
    run(server.unix_url, FORK + text)
    assert sorted(outside.get_online_users()) == ["ends", "first", "parent", "reads", "waits"]


def test_a_fork_while_threads_mark_read_and_flush_never_deadlocks(
    server: Server, outside: herenow.Presence
) -> None:
    text = (
        "stop = threading.Event()\n"
        "def busy(number):\n"
        "    while not stop.is_set():\n"
        "        presence.mark_online(f'parent-{number}')\n"
        "        [presence.flush, presence.count_online_users, bool][number % 3]()\n"
        "threads = [threading.Thread(target=busy, args=(i,)) for i in range(4)]\n"
        "for one in threads: one.start()\n"
        "def work():\n"
        "    presence.mark_online(f'child-{os.getpid()}')\n"
        "    assert presence.is_online(f'child-{os.getpid()}')\n"
        "try:\n"
        "    statuses = [child(work) for _ in range(100)]\n"
        "finally:\n"
        "    stop.set()\n"
        "for one in threads: one.join()\n"
        "assert statuses == [0] * 100, statuses\n"
    )
    run(server.unix_url, FORK + text)
    assert outside.count_online_users() == 104


def test_a_fork_while_a_thread_opens_the_connection_never_deadlocks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody answers
        text = (
            "presence = herenow.Presence(URL, timeout=0.7)\n"
            "def read():\n"
            "    try: presence.counts()\n"
            "    except herenow.StoreError: return\n"
            "    raise AssertionError('nobody should have answered')\n"
            "thread = threading.Thread(target=read); thread.start()\n"
            "time.sleep(0.4); assert thread.is_alive()\n"
            "assert child(read) == 0\n"
        )
        run(f"redis+cluster://127.0.0.1:{silent.getsockname()[1]}", FORK + text)


@pytest.mark.parametrize("over", ["unix", "tcp"])
def test_nothing_is_imported_by_the_first_command(server: Server, over: str) -> None:
    # a thread's import that a fork comes into never ends in the child: what opens keeps forks out
    text = (
        "presence = herenow.Presence(URL)\n"
        "presence.client\n"
        "before = set(sys.modules)\n"
        "presence.mark_online('alice'); presence.counts(); presence.lookup(['alice'])\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    printed, _ = run(server.unix_url if over == "unix" else server.url, text)
    assert printed.split() == []


# threads of a process that has just started


def test_the_first_reads_of_many_threads_wait_for_the_connection_not_against_it(
    server: Server, outside: herenow.Presence
) -> None:
    text = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "presence = herenow.Presence(URL, buffered=True)\n"
        "gate = threading.Barrier(8)\n"
        "def work(number):\n"
        "    gate.wait(); presence.mark_online(f'u{number}')\n"
        "    return presence.is_online(f'u{number}')\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    assert all(pool.map(work, range(8)))\n"  # redis-py alone takes 0.3 s to import
    )
    run(server.unix_url, text)
    assert outside.count_online_users() == 8


# greenlets

GEVENT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent, herenow
URL = sys.argv[1]
"""


def test_greenlets_lose_nothing_and_read_their_own(
    server: Server, outside: herenow.Presence
) -> None:
    text = (
        "presence = herenow.Presence(URL, buffered=True)\n"
        "other = herenow.Presence(URL)\n"
        "def work(number):\n"
        "    for i in range(20):\n"
        "        presence.mark_online(f'{number}-{i}'); gevent.sleep(0)\n"
        "    assert presence.is_online(f'{number}-19')\n"
        "gevent.joinall([gevent.spawn(work, i) for i in range(50)], raise_error=True)\n"
        "presence.mark_online('flushed')\n"
        "with gevent.Timeout(5):\n"
        "    while not other.is_online('flushed'): gevent.sleep(0.05)\n"
        "presence.mark_online('at exit')\n"
    )
    _, errors = run(server.unix_url, text, begin=GEVENT)
    assert errors == ""
    assert outside.count_online_users() == 1002


# loops

LOOPS = """
import asyncio, sys, herenow
presence = herenow.AsyncPresence(sys.argv[1], buffered=True)
other = herenow.Presence(sys.argv[1])
async def mark(user):
    assert await presence.mark_online(user) is None
async def read(user):
    await presence.mark_online(user)
    return await presence.is_online(user)
async def flushed(user):
    await presence.mark_online(user)
    for _ in range(50):
        await asyncio.sleep(0.1)
        if await asyncio.to_thread(other.is_online, user): return True
    return False
async def last():
    await presence.aclose()
"""
LOOP_ENDS = {
    "without aclose": "asyncio.run(mark('alice'))",
    "by an exception": (
        "async def fail():\n    await mark('alice'); raise KeyError\n"
        "try: asyncio.run(fail())\nexcept KeyError: pass"
    ),
    "after a read": "assert asyncio.run(read('alice'))",
    "after the task has flushed": "assert asyncio.run(flushed('alice'))",
    "and another begins": (
        "assert asyncio.run(read('first'))\n"
        "asyncio.run(mark('second')); assert other.is_online('second')\n"
        "assert asyncio.run(flushed('third'))\n"
        "assert asyncio.run(read('alice'))\n"
        "asyncio.run(last())"
    ),
    "with aclose": "async def both():\n    await mark('alice'); await last()\nasyncio.run(both())",
}


@pytest.mark.parametrize("name", LOOP_ENDS)
def test_what_waits_when_a_loop_ends_is_sent(
    server: Server, outside: herenow.Presence, name: str
) -> None:
    _, errors = run(server.unix_url, LOOP_ENDS[name], begin=LOOPS)
    assert outside.is_online("alice")
    assert errors == ""


# a prefork server

APP = """
import os, herenow
presence = herenow.Presence(os.environ["STORE"], buffered=True)
presence.mark_online("master")  # so that there is a thread, and something waits, before the fork
def application(environ, start_response):
    presence.mark_online(environ["PATH_INFO"][1:])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.host)


def get(path: str, what: str) -> str:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", f"/{what}", headers={"Host": "localhost"})
        response = connection.getresponse()
        assert response.status == 200
        return response.read().decode()
    finally:
        connection.close()


def test_a_prefork_server_sends_what_each_worker_was_told(
    server: Server, outside: herenow.Presence
) -> None:
    with tempfile.TemporaryDirectory(prefix="hn-") as directory:
        Path(directory, "site_app.py").write_text(APP)
        path = f"{directory}/s"
        command = ["-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"unix:{path}"]
        process = subprocess.Popen(
            [sys.executable, *command, "--no-control-socket", "site_app:application"],
            env={**os.environ, "PYTHONPATH": f"{PATH}:{directory}", "STORE": server.unix_url},
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
        )
        watch(process.pid)
        try:
            poll(lambda: process.poll() is not None or os.path.exists(path), "gunicorn")  # noqa: PTH110
            workers, marked = set[str](), 0
            while len(workers) < 2 or marked < 200:
                workers.add(get(path, f"u{marked}"))
                marked += 1
                assert marked < 5000
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        finally:
            unwatch(process.pid)
            process.kill()
            process.wait()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert outside.count_online_users() == marked + 1
