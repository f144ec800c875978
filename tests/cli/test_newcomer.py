"""What a newcomer reads: help and curves in 80 columns, one form of times, errors that say what to do."""

import re
import socket
import time
from pathlib import Path

import pytest

import herenow
from herenow.cli import COMMANDS
from tests.cli.conftest import Call
from tests.cli.terminals import on_terminal
from tests.conftest import Clock
from tests.servers import Server

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_into_80_columns_and_speaks_english(command: str, call: Call) -> None:
    done = call(command, "--help", COLUMNS="200")
    assert max(map(len, done.lines)) <= 80
    for cryptic in ("<=", "INTEGER", "TEXT", "(site)", "2147483648"):
        assert cryptic not in done.out


@pytest.mark.parametrize(
    "arguments, came, what_to_do",
    [
        (["history", "--from", "yesterday"], "'yesterday'", "such as 2026-01-03T16:00"),
        (["history", "--last", "1x"], "'1x'", "5m or 30d"),
        (["online", "--limit", "0"], "'0'", "at least 1"),
        (["serve", "--port", "70000"], "'70000'", "0 to 65535"),
        (["online", "--url", "redis://localhost/x"], "database", "redis://localhost:6379/0"),
        (["doctor", "--url", "redis://localhost:1"], "localhost:1", "start it, or name another"),
    ],
)
def test_an_error_says_what_came_and_what_to_do(
    arguments: list[str], came: str, what_to_do: str, call: Call
) -> None:
    done = call(*arguments)
    assert done.code == (3 if arguments[0] == "doctor" else 2)
    assert came in done.err
    assert what_to_do in done.err


def test_a_database_that_the_server_does_not_have_is_named(server: Server, call: Call) -> None:
    done = call("online", "--url", f"redis://localhost:{server.port}/9999")
    assert done.code == 3
    assert "database" in done.err


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_taken_port_is_a_usage_error_that_says_so(
    command: str, server: Server, start: Call
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start(command, "--port", str(port), "--url", server.url)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(
        f"herenow: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port, "
        "or 0 for a free one\n"
    )


def test_a_room_without_a_history_says_so(server: Server, call: Call) -> None:
    with herenow.Presence(server.url) as presence:
        presence.room("doc").mark_online("alice")
    done = call("history", "--room", "doc", "--url", server.url)
    assert (done.code, done.out) == (1, "")
    assert "no history of room 'doc'" in done.err
    assert "history=True" in done.err


def test_history_counts_the_hidden_only_where_asked(server: Server, call: Call) -> None:
    with herenow.Presence(server.url) as presence:
        presence.mark_online_many(["alice", herenow.Sighting("carol", kind="hidden")])
    asked = ("history", "--url", server.url, "--last", "5m", "--step", "minute")
    for form in ((), ("--csv",), ("--json",)):
        plain, all_of_them = (call(*asked, *form, *more) for more in ((), ("--include-hidden",)))
        assert "hidden" not in plain.out
        assert plain.out != all_of_them.out
    assert {line.split("\t")[1] for line in call(*asked).lines} == {"1"}
    assert {line.split("\t")[1] for line in call(*asked, "--include-hidden").lines} == {"2"}


def test_times_have_one_form_and_durations_are_written_as_people_do(
    server: Server, call: Call
) -> None:
    with herenow.Presence(server.url) as presence:
        presence.mark_online("alice", session="tab")
    why = call("why", "alice", "--url", server.url)
    assert re.match(
        rf"alice in site: online as a member: last seen {TIME} in 'tab', until {TIME}", why.out
    )
    assert re.search(rf"^now {TIME}\nwindow 5 minutes, retention 30 days$", why.out, re.MULTILINE)
    for form in ((), ("--csv",), ("--json",)):
        history = call("history", "--url", server.url, *form)
        assert re.search(TIME, history.out)


@pytest.fixture
def log(place: Path) -> Path:
    """A log of two minutes."""
    path = place / "access.log"
    path.write_text(
        "".join(f"10.0.0.{i % 4} - - [03/Jan/2026:16:0{i // 40}:00 +0000] x\n" for i in range(80))
    )
    return path


def test_a_curve_fits_into_80_columns_and_repeats_no_label(
    server: Server, call: Call, log: Path
) -> None:
    clock = Clock(time.time() - 1200)
    with herenow.Presence(server.url, resolution=0, clock=clock) as presence:
        for i in range(20):
            clock.now += 50
            presence.mark_online(f"user {i % 3}")
    shown = on_terminal(["history", "--last", "30m"], HERENOW_URL=server.url)[1]
    for curve in (shown, call("replay", str(log)).out):
        lines = [line.rstrip() for line in curve.splitlines()]
        assert max(map(len, lines)) <= 80
        counts = [found[1] for line in lines if (found := re.match(r" *(\d+) \|", line))]
        assert len(counts) == len(set(counts)) > 1
        [axis] = [i for i, line in enumerate(lines) if line.startswith("-----------|")]
        moments = re.findall(r"\d\d \d\d:\d\d", lines[axis + 1])
        assert len(moments) == len(set(moments)) > 0
