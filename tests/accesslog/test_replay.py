"""`herenow replay`, the whole of it, against the oracle: logs with every oddity, and made-up ones."""

import gzip
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import herenow
from herenow.accesslog import Log, Naming, Summary, replay, text_parser
from herenow.accesslog.sorting import Sorter
from herenow.cli.logstore import open_store
from herenow.cli.report import document, minutes
from herenow.store.calls import Call
from tests.accesslog import oracle
from tests.cli.conftest import run as program
from tests.servers import Server

LOGS = Path(__file__).parent / "logs"
OURS = ("uniques_estimated", "skipped", "bots", "silences")


def run(*args: str, stdin: bytes = b"", code: int = 0) -> dict[str, Any]:
    done = program("replay", "--json", *args, stdin=stdin)
    assert done.code == code, done.err
    return {name: value for name, value in done.json.items() if name not in OURS}


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.log")), ids=lambda path: path.stem)
def test_a_log_with_oddities_gives_the_oracles_figures(path: Path) -> None:
    assert run(str(path)) == oracle.figures(path.read_bytes(), 300)


def test_plain_gzip_and_standard_input_are_read_alike_in_any_order(tmp_path: Path) -> None:
    data = (LOGS / "common.log").read_bytes()
    lines = data.splitlines(keepends=True)
    half = len(lines) // 2
    packed = tmp_path / "older"  # no name ending tells
    packed.write_bytes(gzip.compress(b"".join(lines[:half])) + gzip.compress(b""))
    rest = b"".join(lines[half:])
    found = run("-", str(packed), "--window", "60", stdin=rest)
    assert found == oracle.figures(data, 60)
    assert run("-", "--window", "1m", stdin=gzip.compress(data)) == oracle.figures(data, 60)


def test_a_log_of_nothing_is_no_error_and_says_so_by_its_exit_code(tmp_path: Path) -> None:
    assert run("-", code=1) == oracle.figures(b"", 300)
    assert run("-", stdin=b"\n\n \nnothing here", code=1) == oracle.figures(b"\n\n \nx", 300)


@pytest.fixture
def check(server: Server) -> Iterator[Callable[..., str]]:
    """Replay bytes into a fresh room of a server, and compare all with the oracle; its prefix."""
    number = iter(range(10_000))

    def go(data: bytes, window: float, run_length: int = 500_000) -> str:
        lines, prefix = data.split(b"\n"), f"test{next(number)}:"
        log = Log(Sorter(run_length))
        with log.sorter, open_store(server.unix_url, prefix, "site", window, 30) as store:
            for i in range(0, len(lines), 7):
                some = [one + b"\n" for one in lines[i : i + 7] if one]
                log.read([b"".join(some)] if some else [], text_parser())
            found = replay(log, store.core(), store.engine, Naming(None))
        compare(found, data, window)
        if found.first is not None and found.last is not None:
            end = found.last + timedelta(minutes=1)
            with herenow.Presence(
                server.unix_url, prefix=prefix, clock=found.last.timestamp
            ) as presence:
                samples = presence.history(found.first.replace(second=0), end)
            most = {f"{one.at:%Y-%m-%dT%H:%M:%S}.000Z": one.people for one in samples if one.people}
            assert most == oracle.most_of_minutes(data, window)
            assert max(most.values()) == found.exact_peak.count
        return prefix

    yield go
    server.control.flushall()


def compare(found: Summary, data: bytes, window: float) -> None:
    expected = oracle.figures(data, window)
    said = document(found)
    said["series"] = [[f"{at:%Y-%m-%dT%H:%M:%S}.000Z", count] for at, count in minutes(found)]
    assert {name: said[name] for name in expected} == expected
    estimated = found.uniques_estimated
    assert estimated is None or abs(estimated - found.uniques) <= 2 + found.uniques // 20


EPOCH = datetime(1999, 12, 31, 23, 50, tzinfo=UTC)
sightings = st.lists(
    st.tuples(
        st.integers(0, 1500),  # seconds after the start
        st.sampled_from(["a", "b", "c", "d", "e.example", "f"]),
        st.sampled_from([0, 0, 0, -4, 5.5]),  # hours of the zone
    ),
    max_size=60,
)


def written(events: list[tuple[int, str, float]]) -> bytes:
    lines = []
    for second, host, hours in events:
        at = (EPOCH + timedelta(seconds=second)).astimezone(timezone(timedelta(hours=hours)))
        lines.append(f'{host} - - [{at:%d/%b/%Y:%H:%M:%S %z}] "GET / HTTP/1.0" 200 1\n')
    return "".join(lines).encode()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=sightings, window=st.sampled_from([1, 7, 60, 61, 119, 300, 900]))
def test_whatever_is_written_gives_the_oracles_figures(
    check: Callable[..., str], events: list[tuple[int, str, float]], window: int
) -> None:
    data = written(events)
    check(data, window, run_length=11)


def test_a_busy_log_gives_the_oracles_figures_and_events(
    check: Callable[..., str], server: Server
) -> None:
    dice = random.Random(7)
    events = []
    for visit in range(700):
        at, host = dice.randrange(1400), f"host{dice.randrange(300)}"
        for _ in range(dice.randrange(1, 8)):
            events.append((at, host, 0.0))
            at += int(dice.expovariate(1 / (30 if visit % 2 else 150)))
    dice.shuffle(events)
    data = written(events)
    for window in (30, 300):
        prefix = check(data, window)
        # nobody left by the store's books who was there all along
        entries: Any = server.control.xrange(f"{prefix}{{site}}:events")
        told = [one for _, entry in entries for one in entry[b"events"].split(b"\n")]
        assert sum(one.startswith(b"j") for one in told) == comings(events, window)


def spread(lines: int, seconds: int) -> bytes:
    """A line each so many seconds."""
    return written([(seconds * i, f"host{i % 40}", 0.0) for i in range(lines)])


def test_the_books_of_a_whole_day_are_right(check: Callable[..., str]) -> None:
    check(spread(1_000, 95), 300)


@pytest.mark.parametrize("lines, seconds, most", [(8_000, 95, 20), (1_500, 36_000, 80)])
def test_a_store_that_is_far_away_is_seldom_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, lines: int, seconds: int, most: int
) -> None:
    """What follows a round trip goes along with the next one, and hours are filed many at once."""
    trips: list[object] = []
    enter = Call.__enter__

    def counted(call: Call) -> Call:
        trips.append(call)
        return enter(call)

    log = Log()
    with log.sorter, open_store(server.unix_url, None, "site", 300, 30) as store:
        log.read([spread(lines, seconds)], text_parser())  # nine busy days, or two years
        monkeypatch.setattr(Call, "__enter__", counted)
        replay(log, store.core(10**9), store.engine, Naming(None))
    assert len(trips) <= most, len(trips)
    server.control.flushall()


def comings(events: list[tuple[int, str, float]], window: int) -> int:
    """How often somebody came who was not online."""
    seen: dict[str, int] = {}
    came = 0
    for at, host, _ in sorted(events):
        came += host not in seen or at - seen[host] >= window
        seen[host] = at
    return came
