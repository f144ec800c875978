"""One server a directory, up with its first user and gone with its last, whoever is killed when."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from herenow.embedded.supervisor import ask
from tests.conftest import LONG
from tests.embedded.conftest import (
    User,
    alive,
    counted,
    on,
    opening,
    processes,
    server_pid,
    servers,
    supervisors,
    until,
)

Start = Callable[..., User]
Opened = Callable[..., tuple[User, str]]


def stored(socket: str) -> int:
    with on(socket) as client:
        return int(client.get("n") or 0)


def test_two_processes_share_one_server(opened: Opened) -> None:
    _, first = opened()
    _, second = opened()
    assert server_pid(first) == server_pid(second)
    assert [counted(first), counted(second)] == [1, 2]


def test_eight_processes_that_start_at_once_get_one_server(start: Start, directory: Path) -> None:
    users = [start() for _ in range(8)]
    for user in users:
        user.do("import herenow.embedded")
    for user in users:
        user.send(opening(directory))
    sockets = [user.receive()["answer"] for user in users]
    assert len({server_pid(socket) for socket in sockets}) == 1
    assert len(supervisors(directory)) == len(servers(directory)) == 1


@pytest.mark.parametrize("way", ["close", "leave", "kill"])
def test_the_server_goes_with_its_last_user_and_the_data_stay(
    opened: Opened, directory: Path, way: str
) -> None:
    first, socket = opened()
    second, _ = opened()
    pid = server_pid(socket)
    counted(socket)
    first.leave()
    assert counted(socket) == 2
    if way == "close":
        second.do("server.close(); server.close()")
    else:
        getattr(second, way)()
    until(lambda: not processes(directory))
    assert not alive(pid)
    assert not Path(socket).exists()  # it was stopped, not killed: it has tidied up
    _, socket = opened()
    assert stored(socket) == 2


def test_a_killed_supervisor_is_followed_by_another_that_adopts_the_server(
    opened: Opened, directory: Path
) -> None:
    first, socket = opened()
    pid = server_pid(socket)
    counted(socket)
    (supervisor,) = supervisors(directory)
    supervisor.kill()
    until(lambda: not supervisors(directory))
    assert counted(socket) == 2
    second, _ = opened()
    assert server_pid(socket) == pid
    assert len(supervisors(directory)) == 1
    first.leave()
    assert counted(socket) == 3
    second.kill()
    until(lambda: not processes(directory))
    _, socket = opened()
    assert stored(socket) == 3


@pytest.mark.parametrize("age", [0.0, 1.2])  # the supervisor replaces only what had been well
def test_a_killed_server_is_back_after_ensure(opened: Opened, directory: Path, age: float) -> None:
    user, socket = opened()
    other, _ = opened()
    time.sleep(age)
    pid = server_pid(socket)
    counted(socket)
    psutil.Process(pid).kill()
    until(lambda: not alive(pid))
    user.do("server.ensure()")
    assert server_pid(socket) != pid
    assert counted(socket) == 2
    other.do("server.ensure()")
    assert len(servers(directory)) == len(supervisors(directory)) == 1


@pytest.mark.parametrize("unsupervised", [False, True])
def test_a_suspended_server_is_not_taken_for_an_absent_one(
    start: Start, opened: Opened, directory: Path, unsupervised: bool
) -> None:
    _, socket = opened()
    counted(socket)
    pid = server_pid(socket)
    if unsupervised:
        supervisors(directory)[0].kill()
    psutil.Process(pid).suspend()
    second = start()
    error, message = second.fail(opening(directory, start_timeout=1.5))
    assert error == "StoreUnavailable"
    assert "is not ready within 1.5 s: timed out" in message
    assert [process.pid for process in servers(directory)] == [pid]
    psutil.Process(pid).resume()
    second.do(opening(directory))
    assert server_pid(socket) == pid
    assert counted(socket) == 2


def test_who_comes_while_the_server_is_stopped_waits_and_gets_a_new_one(
    start: Start, opened: Opened, directory: Path
) -> None:
    first, socket = opened()
    counted(socket)
    pid = server_pid(socket)
    psutil.Process(pid).suspend()
    first.leave()
    second = start()
    until(lambda: "being stopped" in second.fail(opening(directory, start_timeout=0.3))[1])
    second.send(opening(directory))
    psutil.Process(pid).resume()
    assert second.receive()["answer"] == socket
    assert server_pid(socket) != pid
    assert counted(socket) == 2


def test_a_user_killed_during_the_start_leaves_nothing_behind(
    start: Start, directory: Path
) -> None:
    for moment in range(12):
        user = start()
        user.do("import herenow.embedded")
        user.send(opening(directory))
        time.sleep(moment / 100)
        user.kill()
        until(lambda: not processes(directory))


def test_a_supervisor_killed_while_it_stops_the_server_harms_nobody(
    start: Start, opened: Opened, directory: Path
) -> None:
    first, socket = opened()
    counted(socket)
    pid = server_pid(socket)
    psutil.Process(pid).suspend()
    first.leave()
    second = start()
    until(lambda: "being stopped" in second.fail(opening(directory, start_timeout=0.3))[1])
    supervisors(directory)[0].kill()  # the server has its SIGTERM, and will go
    second.send(opening(directory))
    until(lambda: supervisors(directory))
    psutil.Process(pid).resume()
    second.receive()
    until(lambda: not alive(pid))
    second.do("server.ensure()")
    assert counted(socket) == 2


def test_a_server_that_is_loading_is_waited_for(
    start: Start, opened: Opened, directory: Path
) -> None:
    first, socket = opened()
    with on(socket) as client:
        client.eval("for i = 1, 700000 do redis.call('SET', 'key' .. i, i) end", 0)
    first.leave()
    until(lambda: not processes(directory))
    second = start()
    at_once = (
        "\nfrom herenow.embedded.supervisor import ask\nanswer = ask(server.socket, 'PING', 1.0)"
    )
    second.send(opening(directory, start_timeout=60) + at_once)
    answers = set()
    while "+PONG" not in answers:
        answers.add(ask(socket, "PING", 1.0))
    assert second.receive() == {"answer": "+PONG"}
    assert any(answer.startswith("-LOADING") for answer in answers)
    with on(socket) as client:
        keys = client.dbsize()
    assert keys == 700000


def test_leaving_and_coming_race_to_no_harm(start: Start, directory: Path) -> None:
    rounds = 200 if LONG else 20
    line = opening(directory) + (
        "\nimport random, redis, time\n"
        f"for _ in range({rounds}):\n"
        "    with redis.Redis(unix_socket_path=server.socket) as client:\n"
        "        client.incr('n')\n"
        "    server.close()\n"
        "    time.sleep(random.uniform(0, 0.1))\n"
        "    server = open_server(server.directory)\n"
    )
    users = [start(), start()]
    for user in users:
        user.send(line)
    for user in users:
        assert "error" not in user.receive()
    assert stored(str(directory / "server.sock")) == 2 * rounds


def test_nothing_acknowledged_is_lost_whoever_is_killed(
    start: Start, opened: Opened, directory: Path
) -> None:
    dice = random.Random(7)
    line = (
        "\nimport redis\n"
        "answer = 0\n"
        "while answer < 20:\n"
        "    try:\n"
        "        with redis.Redis(unix_socket_path=server.socket, retry=None) as client:\n"
        "            client.incr('n')\n"
        "            answer += 1\n"
        "    except redis.RedisError:\n"
        "        server.ensure()\n"
    )
    acknowledged = 0
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        user = start()
        user.send(opening(directory) + line)
        for process in processes(directory):
            if dice.random() < 0.5:
                process.kill()
        said = user.receive()
        assert "error" not in said
        acknowledged += said["answer"]
        assert len(servers(directory)) <= 1
        dice.choice([user.leave, user.kill])()
    _, socket = opened()
    assert stored(socket) >= acknowledged > 20


@pytest.mark.parametrize("way", ["close", "leave", "kill"])
def test_a_temporary_store_is_removed_with_its_last_user(
    start: Start, place: Path, way: str
) -> None:
    user = start(TMPDIR=str(place))
    socket = user.do(opening(None, temporary=True))
    other = user.do("other = open_server(temporary=True); other.close(); answer = other.socket")
    assert other != socket
    assert Path(socket).parent.parent == place
    with on(socket) as client:
        client.incr("n")
        assert client.config_get("appendonly") == {"appendonly": "no"}
    if way == "close":
        user.do("server.close()")
    else:
        getattr(user, way)()
    until(lambda: not list(place.iterdir()))


def test_a_removed_directory_is_made_anew_by_ensure(opened: Opened, directory: Path) -> None:
    user, socket = opened()
    pid = server_pid(socket)
    user.do("import shutil; shutil.rmtree(server.directory); server.ensure()")
    assert counted(socket) == 1
    until(lambda: not alive(pid))
