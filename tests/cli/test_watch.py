"""``herenow watch``, as a process: events as lines, as JSON, and as a screen."""

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import herenow
from tests.cli.conftest import Done, environment
from tests.servers import Server
from tests.waiting import poll


@pytest.mark.parametrize("form", ["lines", "json"])
def test_events_a_line(form: str, server: Server, presence: herenow.Presence, place: Path) -> None:
    more = ["--json"] if form == "json" else []
    presence.mark_online("zoe")
    start = presence.snapshot().event_id
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "herenow",
            "watch",
            "--url",
            server.unix_url,
            "--after",
            start,  # it listens a moment before it knows where it begins
            "--events",
            "3",
            *more,
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=place,
        env=environment(),
    ) as program:
        poll(lambda: bool(server.control.client_list(_type="pubsub")), "the watch")
        presence.mark_online("alice", info={"page": "/"})
        presence.mark_online("gus", kind="guest")
        presence.mark_offline("alice")
        out, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    if form == "json":
        told = [json.loads(line) for line in out.splitlines()]
        assert [(one["type"], one["user"]) for one in told] == [
            ("join", "alice"),
            ("join", "gus"),
            ("leave", "alice"),
        ]
        assert told[0]["info"] == {"page": "/"}
    else:
        rows = [line.split("\t") for line in out.splitlines()]
        assert [row[1:5] for row in rows] == [
            ["join", "member", "alice", "-"],
            ["join", "guest", "gus", "-"],
            ["leave", "member", "alice", "left"],
        ]


def test_it_goes_on_after_an_id(ask: Callable[..., Done], presence: herenow.Presence) -> None:
    start = presence.snapshot().event_id
    presence.mark_online("alice")
    presence.mark_online("bob")
    done = ask("watch", "--after", start, "--user", "bob", "--events", "1")
    assert [line.split("\t")[3] for line in done.lines] == ["bob"]
    assert ask("watch", "--after", "yesterday").code == 2


def test_the_screen(server: Server, presence: herenow.Presence, place: Path) -> None:
    presence.mark_online("alice")
    terminal, screen = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        try:
            while True:
                seen.append(os.read(terminal, 65536))
        except OSError:
            pass  # closed by the program's end

    reader = threading.Thread(target=read)
    with subprocess.Popen(
        [sys.executable, "-m", "herenow", "watch", "--url", server.unix_url, "--events", "1"],
        stdout=screen,
        cwd=place,
        env=environment(TERM="xterm", COLUMNS="100"),
    ) as program:
        os.close(screen)
        reader.start()
        poll(lambda: b"1 member" in b"".join(seen), "the counts")
        presence.mark_online("gus", kind="guest")
        assert program.wait(30) == 0
    reader.join(60)
    os.close(terminal)
    shown = b"".join(seen).decode()
    assert "site: 1 member, 0 guests, 0 bots" in shown
    assert "alice" in shown
    assert "join   gus (guest)" in shown


def test_a_store_that_is_away_is_said_to_be_waited_for(place: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "herenow", "watch", "--url", "redis://localhost:1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        env=environment(),
    ) as program:
        assert program.stderr is not None
        assert program.stderr.readline() == "herenow: the store is not available; waiting for it\n"
        program.kill()
