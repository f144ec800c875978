"""Forks, threads, greenlets: who is a user, and what supervisor and server inherit of him."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.embedded.conftest import (
    User,
    counted,
    opening,
    processes,
    server_pid,
    servers,
    supervisors,
    until,
)

Start = Callable[..., User]
Opened = Callable[..., tuple[User, str]]


def test_a_fork_is_a_user_of_its_own(opened: Opened, directory: Path) -> None:
    parent, socket = opened()
    pid = server_pid(socket)
    child = parent.do("import os, signal\nanswer = os.fork()\nif not answer:\n    signal.pause()\n")
    parent.leave()
    time.sleep(1.0)
    assert server_pid(socket) == pid
    psutil.Process(child).kill()
    until(lambda: not processes(directory))


def test_a_close_in_the_child_does_not_let_go_for_the_parent(
    opened: Opened, directory: Path
) -> None:
    parent, socket = opened()
    pid = server_pid(socket)
    parent.do(
        "import os\n"
        "child = os.fork()\n"
        "if not child:\n    server.close(); os._exit(0)\n"
        "os.waitpid(child, 0)"
    )
    time.sleep(1.0)
    assert counted(socket) == 1
    assert server_pid(socket) == pid
    parent.do("server.close()")
    until(lambda: not processes(directory))


def test_a_child_that_executes_another_program_is_no_user(opened: Opened, directory: Path) -> None:
    parent, _ = opened()
    child = parent.do(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " close_fds=False)\nanswer = child.pid"
    )
    parent.kill()
    until(lambda: not processes(directory))
    psutil.Process(child).kill()


def test_a_fork_during_a_start_does_not_inherit_the_boot_lock(
    start: Start, directory: Path
) -> None:
    user = start()
    user.do("import threading, os, time, signal\n" + opening(directory))
    children = user.do(
        "def restart():\n"
        "    for _ in range(12):\n"
        "        server.close()\n"
        "        globals()['server'] = open_server(server.directory)\n"
        "thread = threading.Thread(target=restart)\n"
        "thread.start()\n"
        "answer = []\n"
        "while thread.is_alive():\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        try:\n"
        "            os.close(server._users)\n"  # whatever else it inherited, it keeps
        "        except Exception:\n"
        "            pass\n"
        "        signal.pause()\n"
        "    answer.append(child)\n"
        "    time.sleep(0.02)\n"
        "thread.join()"
    )
    try:
        for process in [*supervisors(directory), *servers(directory)]:
            process.kill()
        user.do("server.ensure(5)")
        assert len(supervisors(directory)) == 1
    finally:
        for child in children:
            psutil.Process(child).kill()
    until(lambda: len(processes(directory)) == 2)


def test_threads_of_one_process_share_the_server(opened: Opened, directory: Path) -> None:
    user, socket = opened()
    user.do(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "server.close()\n"
        "with ThreadPoolExecutor(16) as pool:\n"
        "    opened = list(pool.map(open_server, [server.directory] * 16))\n"
        "    list(pool.map(lambda each: each.ensure(), opened * 2))\n"
        "for each in opened[1:]: each.close()"
    )
    assert counted(socket) == 1
    assert len(servers(directory)) == 1
    user.do("opened[0].close()")
    until(lambda: not processes(directory))


def test_greenlets_share_the_server_even_if_patched_late(start: Start, directory: Path) -> None:
    user = start()
    user.do(
        "import herenow.embedded\n"
        "from gevent import monkey\n"
        "monkey.patch_all()\n"
        "import gevent, time\n"
        "ticks = 0\n"
        "def tick():\n"
        "    global ticks\n"
        "    while True: time.sleep(0.001); ticks += 1\n"
        "gevent.spawn(tick)\n"
    )
    ticks = user.do(
        f"jobs = [gevent.spawn(herenow.embedded.open_server, {str(directory)!r})"
        " for _ in range(5)]\n"
        "gevent.joinall(jobs, raise_error=True)\n"
        "answer = ticks"
    )
    assert ticks > 5  # the others went on meanwhile
    assert len(servers(directory)) == 1


def test_the_supervisor_is_detached_and_holds_nothing_of_the_users(
    start: Start, directory: Path, place: Path
) -> None:
    user = start()
    user.do(
        f"import os\nfile = open({str(place / 'mine')!r}, 'w')\n"
        "os.set_inheritable(file.fileno(), True)"
    )
    user.do(opening(directory))
    (supervisor,), (server,) = supervisors(directory), servers(directory)
    assert supervisor.ppid() not in {user.process.pid, 0}
    for process in (supervisor, server):
        files = {Path(file.path).name for file in process.open_files()}
        assert "mine" not in files
        assert "server.log" in files
        assert user.do(f"answer = os.getsid({process.pid})") != user.do("answer = os.getsid(0)")
    assert "users.lock" not in {Path(file.path).name for file in server.open_files()}
    assert not psutil.Process(user.process.pid).children()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        supervisor.send_signal(number)
    time.sleep(1.0)
    assert supervisor.is_running()
    user.leave()
    until(lambda: not processes(directory))


def test_signals_blocked_or_ignored_by_the_user_reach_the_server(
    start: Start, directory: Path
) -> None:
    user = start()
    user.do(
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "for number in (signal.SIGTERM, signal.SIGCHLD): signal.signal(number, signal.SIG_IGN)\n"
    )
    user.do(opening(directory))
    user.leave()
    until(lambda: not processes(directory))
