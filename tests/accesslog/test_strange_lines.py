"""Lines that are led by blanks, user names that look like stamps, years that are far off."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from herenow.accesslog import Log, Parser, json_parser, text_parser
from herenow.accesslog.summary import Series
from tests.accesslog import oracle
from tests.cli.conftest import run as program

LOGS = Path(__file__).parent / "logs"
AT = "[29/Feb/2024:23:58:30 +0000]"
MS = 1709251110000
FORGED = "[01/Jan/2099:00:00:00 +0000]"
NGINX = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'
PARSERS = {
    "usual": text_parser(),
    "apache": text_parser('%h %l %u %t "%r" %>s %b %D'),
    "nginx": text_parser(NGINX),
    "vhost": text_parser("vhost_combined"),
}
USERS = [
    *(f"x {FORGED}", f"{FORGED}", f"x{FORGED}", f"x {FORGED} y {FORGED}", f"{FORGED} -"),
    *(
        f'x {FORGED} \\"',
        f"x {FORGED} \\x22GET /",
        f'x\\" {FORGED}',
        f"[ {FORGED}",
        f"] {FORGED} [",
    ),
    *("x", "-", "a b", "[x]", "[", "x [01/Jan/2099:00:00:00", "\\\\"),
]


def moments(parser: Parser, line: str) -> set[int]:
    """Read a line in each of the ways there are; which moments it has."""
    data = line.encode()
    found = [parser.whole(data), parser.split(data)]
    stamps = {one[1] for one in found if one}
    read = {moment.ms for one in stamps if (moment := parser.read_time(one))}
    log = Log()
    log.read([data + b"\n"], parser)
    return read | {int(one[:15]) for one in log.sorter}


@pytest.mark.parametrize("form", PARSERS)
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    "request_", ["GET / HTTP/1.1", f"GET /{FORGED} HTTP/1.1", f'GET /\\" {FORGED} \\"', ""]
)
def test_a_lines_own_stamp_is_its_moment(form: str, user: str, request_: str) -> None:
    host = "www.example:443 192.0.2.7" if form == "vhost" else "192.0.2.7"
    line = f'{host} - {user} {AT} "{request_}" 200 5'
    if form in ("apache", "vhost"):
        line += ' 7 "-"'
    assert moments(PARSERS[form], line) == {MS}
    if form == "usual":
        assert [one[0] for one in oracle.read(line.encode())[1]] == [MS // 1000]


@pytest.mark.parametrize("blanks", [" ", "   ", "\t", " \t ", "\0\0", "\0 ", "\r", "\x0b\x0c"])
@pytest.mark.parametrize("form", [*PARSERS, "json"])
def test_the_host_is_the_first_that_is_not_blank(form: str, blanks: str) -> None:
    if form == "json":
        parser, line = json_parser({"host": "h", "time": "t"}), json.dumps({"h": "a", "t": MS})
        blanks = blanks.replace("\x0b\x0c", " ")
    else:
        parser = PARSERS[form]
        line = ("www:80 " if form == "vhost" else "") + f'a - - {AT} "GET / HTTP/1.1" 200 5'
    found = parser.read((blanks + line).encode())
    assert found is not None
    assert (found[0].host, found[1].ms) == (b"a", MS)
    assert moments(parser, blanks + line) == {MS}


def test_a_log_led_by_blanks_is_the_same_log() -> None:
    data = (LOGS / "common.log").read_bytes()
    dice = random.Random(3)
    led = b"\n".join(b" " * dice.randrange(4) + line for line in data.split(b"\n"))
    found, plain = run("-", stdin=led), run("-", stdin=data)
    for name in ("first", "last", "peak", "uniques", "series", "exact_peak"):
        assert found[0][name] == plain[0][name]
    assert found[0]["malformed"] == oracle.figures(led, 300)["malformed"]


def run(*args: str, stdin: bytes = b"", code: int = 0) -> tuple[dict[str, Any], str]:
    done = program("replay", "--json", *args, stdin=stdin)
    assert done.code == code, done.err
    assert len(done.out) < 5_000_000
    return done.json, done.err


def line(stamp: str) -> bytes:
    return f'a - - [{stamp} +0000] "GET / HTTP/1.1" 200 5\n'.encode()


NOW = line("29/Feb/2024:23:58:30") + line("29/Feb/2024:23:59:30")


@pytest.mark.parametrize(
    "year", ["01/Jan/1970:00:00:01", "01/Jan/2099:00:00:00", "30/Dec/9999:23:59:59"]
)
def test_a_stray_year_ends_soon_and_is_said(year: str) -> None:
    found, said = run("-", stdin=NOW + line(year))
    assert found["lines"] == 3
    assert found["malformed"] == 0
    [(since, until)] = found["silences"]
    assert f"nobody from {since} to {until}: longer than --silence" in said
    at = [one for one, count in found["series"] if count]
    assert any(one.startswith("2024-03-01") for one in at)
    assert any(one[:4] == year[7:11] for one in at)
    assert len(found["series"]) < 50
    assert found["mean"] == sum(count for _, count in found["series"]) / len(found["series"])


def test_the_longest_silence_is_a_setting() -> None:
    log = line("01/Jan/2024:00:00:00") + line("01/Jan/2024:06:00:00")
    whole, said = run("-", stdin=log)
    assert whole["series"] == oracle.figures(log, 300)["series"]
    assert (whole["silences"], "--silence" in said) == ([], False)
    cut, said = run("-", "--silence", "1h", stdin=log)
    assert cut["silences"] == [["2024-01-01T00:05:00.000Z", "2024-01-01T06:00:00.000Z"]]
    assert cut["series"] == [*whole["series"][:5], whole["series"][-1]]
    assert "--silence" in said


def test_most_lines_malformed_is_said() -> None:
    broken = b"nonsense\n" * 20
    assert "20 of 32 lines have no host and time" in run("-", stdin=broken + NOW * 6)[1]
    assert "have no host and time" not in run("-", stdin=broken + NOW * 11)[1]
    assert "20 of 20 lines" in run("-", stdin=broken, code=1)[1]


def test_a_series_takes_by_its_sightings() -> None:
    day = 86_400_000
    parts = [(at * day, [1, 2]) for at in range(0, 3000, 30)]
    series = Series(0, 2971 * day, parts, 31 * day)
    assert len(series) == 2971 * 1440
    expected = [count for _, count in series]
    assert len(expected) == len(series)
    assert sum(expected) == 300
    assert series.peak == (2, 1, 60_000)
    assert series.moment(30 * 1440 + 1) == 30 * day + 60_000
    assert len(series.buckets(100)) <= 100
    assert max(series.buckets(100)) == 2
