"""``herenow history``, as a process: lines, CSV, JSON, and the curve on a terminal."""

import csv
import io
import time

import pytest

import herenow
from tests.cli.conftest import Call
from tests.conftest import Clock
from tests.servers import Server


@pytest.fixture
def url(server: Server) -> str:
    """A store whose site had somebody two hours ago, and has two people now."""
    clock = Clock(time.time() - 7200)
    with herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as presence:
        presence.mark_online("early")
        clock.now += 7195
        presence.mark_online_many(
            ["a", herenow.Sighting("g", kind="guest"), herenow.Sighting("b", kind="bot")]
        )
    return server.unix_url


def test_lines_are_a_time_and_a_number(url: str, call: Call) -> None:
    done = call("history", "--url", url, "--last", "3h", "--step", "hour")
    numbers = [line.split("\t")[1] for line in done.lines]
    assert done.code == 0
    assert (numbers[0], numbers[-1] if len(numbers) == 3 else "2") == ("1", "2")


def test_csv_has_each_kind(url: str, call: Call) -> None:
    done = call("history", "--url", url, "--csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert list(rows[0]) == ["at", "people", "member", "guest", "bot", "gap"]
    assert max(int(row["people"]) for row in rows) == 2
    assert max(int(row["bot"]) for row in rows) == 1


def test_json_is_one_document(url: str, call: Call) -> None:
    told = call("history", "--url", url, "--json", "--step", "minute", "--last", "5m").json
    assert (told["room"], told["step"]) == ("site", "minute")
    assert told["samples"][-1]["counts"] == {"member": 1, "guest": 1, "bot": 1}


def test_without_a_history_it_says_no(server: Server, call: Call) -> None:
    done = call("history", "--url", server.unix_url)
    assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize(
    "words", [("--csv", "--json"), ("--last", "1h", "--from", "2026-01-01"), ("--from", "soon")]
)
def test_what_makes_no_sense_is_refused(url: str, call: Call, words: tuple[str, ...]) -> None:
    done = call("history", "--url", url, *words)
    assert (done.code, done.out) == (2, "")
