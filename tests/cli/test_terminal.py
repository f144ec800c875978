"""On a terminal: the curve of ``history``, and how far ``replay`` is; into a pipe neither."""

import json
import time
from pathlib import Path

import pytest

import herenow
from tests.accesslog import oracle
from tests.cli.conftest import Call
from tests.cli.terminals import start_on_terminal
from tests.conftest import Clock
from tests.servers import Server

BRAILLE = {chr(one) for one in range(0x2801, 0x2900)}


@pytest.fixture
def log(place: Path) -> Path:
    """A log of two hours."""
    path = place / "access.log"
    lines = [
        f"10.0.{i % 7}.{i % 90} - - [03/Jan/2026:{16 + i // 1500}:{i // 25 % 60:02}:{i % 60:02} +0000] "
        '"GET / HTTP/1.1" 200 512\n'
        for i in range(3_000)
    ]
    path.write_text("".join(lines))
    return path


def test_history_is_a_curve_on_a_terminal(server: Server, place: Path) -> None:
    clock = Clock(time.time() - 7200)
    with herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as presence:
        for i in range(40):
            clock.now += 150
            presence.mark_online(f"user {i}")
    code, shown, errors = start_on_terminal(
        ["history", "--url", server.unix_url, "--last", "3h"], place=place, err=False
    )
    assert (code, errors) == (0, "")
    assert len(BRAILLE & {*shown}) > 2
    assert "most here   2 at " in shown
    assert "most ever   2 at " in shown


def test_replay_tells_how_far_it_is_on_a_terminal(log: Path, place: Path) -> None:
    code, shown, out = start_on_terminal(["replay", str(log), "--json"], place=place, out=False)
    assert code == 0
    expected = oracle.figures(log.read_bytes(), 300)
    assert json.loads(out)["series"] == expected["series"]
    for what in ("read", "replayed"):
        frames = [one for one in shown.replace("\r", "\n").split("\n") if what in one]
        assert any("100%" in one and "lines/s" in one for one in frames), what
    last = shown.rstrip().splitlines()[-1]
    assert "3,000 lines in " in last
    assert last.endswith("a second")


def test_replay_draws_the_curve_on_a_terminal_and_in_a_pipe_without_colours(
    log: Path, place: Path, call: Call
) -> None:
    code, shown, _ = start_on_terminal(["replay", str(log)], place=place, err=False)
    assert code == 0
    assert len(BRAILLE & {*shown}) > 2
    piped = call("replay", str(log))
    assert "\x1b" not in piped.out + piped.err
    assert len(BRAILLE & {*piped.out}) > 2
