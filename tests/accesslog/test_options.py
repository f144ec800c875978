"""The options of `herenow replay`: what is left out, where it stays, what it looks like."""

import json
from pathlib import Path

import pytest

import herenow
from tests.cli.conftest import Done, run
from tests.servers import Server

COMBINED = str(Path(__file__).parent / "logs" / "combined.log")


def replay(*args: str, code: int = 0) -> Done:
    done = run("replay", *args)
    assert done.code == code, done.err
    return done


def test_bots_and_paths_may_be_left_out() -> None:
    def uniques(*args: str) -> tuple[int, int, int]:
        found = json.loads(replay("--json", COMBINED, *args).out)
        return found["uniques"], found["bots"], found["skipped"]

    assert uniques() == (6, 0, 0)
    assert uniques("--bots", "without") == (3, 0, 3)
    assert uniques("--bots", "apart") == (3, 3, 0)
    assert uniques("--exclude", "/static", "--exclude", "*.png") == (5, 0, 3)
    assert uniques("--exclude", "/stat") == (6, 0, 0)


def test_the_estimate_is_of_the_same_visitors_and_none_where_there_is_none(tmp_path: Path) -> None:
    day = tmp_path / "day.log"
    bot = '"GET / HTTP/1.1" 200 5 "-" "Googlebot/2.1"'
    day.write_text(
        "".join(
            f"10.0.0.{i} - - [03/Jan/2026:16:{i % 60:02}:00 +0000] {bot if i % 4 else ''}\n"
            for i in range(100)
        )
    )
    for kind in ("member", "guest"):
        found = json.loads(replay("--json", str(day), "--kind", kind, "--bots", "apart").out)
        assert (found["uniques"], found["bots"]) == (25, 75), kind
        # an estimate: two of 25 hosts, hashed by a key of this run, fall together one time in fifty
        assert abs(found["uniques_estimated"] - 25) <= 2, kind
    found = json.loads(replay("--json", COMBINED, "--kind", "guest").out)
    assert (found["uniques"], found["uniques_estimated"]) == (6, None), "guests are known for a day"
    assert abs(json.loads(replay("--json", COMBINED).out)["uniques_estimated"] - 6) <= 1


def test_with_a_url_it_stays_in_a_room_that_has_to_be_new(server: Server) -> None:
    where = ("--url", server.unix_url, "--room", "march")
    replay(COMBINED, *where, "--raw-hosts", "--window", "60")
    with herenow.Presence(server.unix_url, timeout=5) as presence:
        room = presence.room("march")
        assert room.peak().count == 3
        assert [one.name for one in presence.rooms()] == []  # nobody is there any more
    refused = replay(COMBINED, *where, code=2)
    assert "march" in refused.err
    assert "--room" in refused.err


def test_hosts_are_hashed_unless_asked_for(server: Server) -> None:
    replay(COMBINED, "--url", server.unix_url)
    assert not [key for key in server.control.scan_iter() if b"192.0.2" in dump(server, key)]
    replay(COMBINED, "--url", server.unix_url, "--room", "raw", "--raw-hosts")
    assert [key for key in server.control.scan_iter() if b"192.0.2" in dump(server, key)]


def dump(server: Server, key: bytes) -> bytes:
    kind = server.control.type(key)
    if kind == b"zset":
        return repr(server.control.zrange(key, 0, -1)).encode()
    if kind == b"stream":
        return repr(server.control.xrange(key)).encode()
    return b""


def test_the_report_is_one_page_that_asks_for_nothing(tmp_path: Path) -> None:
    log = tmp_path / "<b>&.log"
    log.write_bytes(Path(COMBINED).read_bytes())
    page = tmp_path / "report.html"
    shown = replay(str(log), "--html", str(page)).out
    assert "exact peak" in shown
    assert "2024-02-29" in shown
    html = page.read_text()
    assert "<b>" not in html
    assert "&lt;b&gt;&amp;.log" in html
    assert "<svg" in html
    assert "2024-03-01" in html
    assert "prefers-color-scheme: dark" in html
    assert "http" not in html.replace("http-equiv", "")


def test_a_wrong_call_says_so_in_a_line(tmp_path: Path) -> None:
    for args in (
        [str(tmp_path / "none.log")],
        [COMBINED, "--format", "%h"],
        [COMBINED, "--json-fields", "host"],
        [COMBINED, "--json-fields", "host=a,time=b", "--format", "%h %t"],
        [COMBINED, "--window", "0"],
        [],
    ):
        assert "Traceback" not in replay(*args, code=2).err


@pytest.mark.parametrize("hosts", [(), ("--raw-hosts",)])
def test_a_store_that_is_unavailable_is_a_message(hosts: tuple[str, ...]) -> None:
    done = replay(COMBINED, "--url", "redis://127.0.0.1:1/0", *hosts, code=3)
    assert "the store is not available" in done.err
    assert "Traceback" not in done.err
