"""Hostile text in all that is foreign: on no way out of the program does any of it steer a terminal."""

import json
import logging
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import herenow
from herenow.cli import COMMANDS
from herenow.web.escapes import json_text, printable
from tests.cli.conftest import Call, environment
from tests.cli.terminals import on_terminal
from tests.servers import Server

CONTROLS = "\x1b]0;owned\x07\x1b[2J\x9b2J\x85\r\nonline\tforged"
TURNED = "\u202egnp.exe\u2066\u061c\u200b\u2028\u2029\ufeff\U000e0041"
INFO = CONTROLS + TURNED
EVE = "eve" + TURNED
ROOM = "room" + TURNED
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0041]"
)
LIVE = re.compile(r"\x1b\[[0-9;?]*[A-KSThlm]|\r(?=\n)|\r(?=\x1b)")
"""What rich writes: it moves the cursor, and clears lines; 2J is not among it."""


@pytest.fixture
def hostile(server: Server) -> Server:
    """A store in which everything is hostile, also what no API lets in."""
    with herenow.Presence(server.url, resolution=0, timeout=5) as presence:
        for where in (presence, presence.room(ROOM)):
            where.mark_online(EVE, session="tab" + TURNED, info={INFO: INFO, "page": INFO})
            where.mark_online("gone" + TURNED)
            where.mark_offline("gone" + TURNED)
    raw = ("raw" + INFO).encode()
    server.control.zadd("herenow:{site}:online:member", {raw: int(time.time() * 1000)})
    minute = int(time.time()) // 60
    server.control.sadd(f"online-users/{minute}", raw, b"\xff\x9b2J", "mia" + TURNED)
    server.control.expire(f"online-users/{minute}", 600)
    server.control.set(b"user-activity/" + raw, f"{int(time.time())}", ex=600)
    server.control.set(f"user-activity/mia{TURNED}", INFO, ex=600)
    return server


def safe(text: str) -> bool:
    return UNSAFE.search(text) is None


AFTER = ("--after", "AFTER", "--events", "2")
CALLS: dict[str, list[list[str]]] = {
    "demo": [["--url", "redis://" + INFO]],
    "online": [[], ["--json"], ["--count"], ["--room", ROOM], ["--room", ROOM, "--json"]],
    "seen": [[EVE, "gone" + TURNED], [EVE, "--json"], ["eve" + CONTROLS]],
    "why": [[EVE], [EVE, "--json"], [EVE, "--room", ROOM], ["nobody" + TURNED]],
    "rooms": [[], ["--json"]],
    "history": [[], ["--csv"], ["--json"], ["--csv", "--room", ROOM], ["--from", INFO]],
    "watch": [[*AFTER], [*AFTER, "--json"], ["--after", INFO]],
    "replay": [["LOG", "--raw-hosts"], ["LOG", "--json"], ["none" + INFO], ["LOG", "--format", INFO]],
    "tail": [["LOG", "--json-fields", INFO], ["LOG", "--kind", INFO]],
    "serve": [["--url", "redis://" + INFO]],
    "token": [["user" + TURNED], ["user" + CONTROLS], ["x", "--service", "https://x/" + INFO]],
    "forget": [["x" + TURNED], ["x" + CONTROLS, "--yes"], [EVE, "--yes", "--json"]],
    "doctor": [[], ["--json"], ["--prefix", INFO]],
    "acl": [["--user", INFO], ["--prefix", INFO]],
    "audit": [["URL"], ["URL", "--json"], ["URL", "--minute-keys", INFO, "--activity-keys", INFO]],
    "migrate": [["--from", "URL", "--room", "new"], ["--from", "URL", "--room", "other", "--json"]],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_foreign_steers_a_terminal(
    command: str, hostile: Server, ask: Call, place: Path
) -> None:
    with herenow.Presence(hostile.url, timeout=5) as presence:
        after = herenow_id(presence)
        presence.mark_online("mia" + TURNED, info={"page": INFO})
        presence.mark_online("dan", info={INFO: INFO})
    log = place / f"access{TURNED}.log"
    log.write_bytes(
        f"{INFO} - - [03/Jan/2026:16:00:01 +0000] x\n{EVE} - - [03/Jan/2026:16:00:02 +0000]\n".encode()
    )
    named = {"AFTER": after, "LOG": str(log), "URL": hostile.url}
    for arguments in CALLS[command]:
        call = [command, *(named.get(one, one) for one in arguments)]
        done = ask(*call, HERENOW_SECRET="s" * 32)
        assert done.out or done.err, call
        assert safe(done.out + done.err), (call, done)
        # nothing that is said takes a line of its own: none is forged
        assert not re.search(r"(?m)^online\tforged", done.out + done.err), (call, done)
        if "--json" in call and command != "watch":
            json.loads(done.out)
        terminal = ["online", "seen", "why", "rooms", "history", "watch", "doctor", "audit"]
        if command in terminal and "--json" not in call:
            _, shown = on_terminal(call, HERENOW_URL=hostile.url, NO_COLOR="1")
            assert shown, call
            assert safe(LIVE.sub("", shown)), (call, shown)
            assert "2J" not in LIVE.sub("", shown).replace("\\x1b[2J", "").replace("\\x9b2J", "")


def herenow_id(presence: herenow.Presence) -> str:
    return presence.snapshot().event_id


def test_json_is_escaped_and_says_the_same(hostile: Server, ask: Call) -> None:
    [user] = ask("online", "--room", ROOM, "--json").json["users"]
    assert (user["user"], user["info"]) == (EVE, {INFO: INFO, "page": INFO})
    for text in (INFO, EVE, "\U000e0041\ufeff\x7f", "plain", "zoë ☺ \U0001f469‍\U0001f469 می‌روم"):
        shown = json_text(json.dumps({text: text}, ensure_ascii=False))
        assert safe(shown)
        assert json.loads(shown) == {text: text}


def test_what_is_no_danger_stays_as_it_is() -> None:
    for text in ("zoë", "DOMAIN\\user", "☺", "سارا", "می‌روم", "\U0001f469‍\U0001f469", "日本 語"):
        assert (
            printable(text).encode("ascii", "backslashreplace")
            == text.encode("ascii", "backslashreplace")
            or "‌" in text
        )
    assert printable("a\x1b\x9b\u202e\n\udc9b") == "a\\x1b\\x9b\\u202e\\n\\udc9b"
    assert printable("a\tb\n", keep="\t") == "a\tb\\n"


def test_a_log_that_is_followed_and_its_name(hostile: Server, place: Path) -> None:
    log = place / f"access{TURNED}.log"
    with subprocess.Popen(
        [sys.executable, "-m", "herenow", "tail", str(log), "--raw-hosts", "--url", hostile.url],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as program:
        assert program.stderr is not None
        first = program.stderr.readline()
        program.send_signal(signal.SIGTERM)
        rest = program.stderr.read()
    assert "following" in first
    assert safe(first + rest), first + rest


def test_csv_has_nothing_foreign_in_it_and_no_formula(hostile: Server, ask: Call) -> None:
    with herenow.Presence(hostile.url, timeout=5) as presence:
        presence.room("=1+1", history=True).mark_online('=HYPERLINK("x")')
    for arguments in (["--csv"], ["--csv", "--room", "=1+1"]):
        header, *rows = ask("history", *arguments).lines
        assert rows
        assert re.fullmatch(r"[a-z,]+", header)
        for row in rows:
            assert re.fullmatch(r"[\dT:Z.-]+(,\d+)+", row)


def test_the_report_of_a_replay(place: Path, call: Call) -> None:
    log = place / f"a{TURNED}<b>.log"
    log.write_bytes(b"h - - [03/Jan/2026:16:00:01 +0000] x\n")
    page = place / "page.html"
    call("replay", str(log), "--html", str(page))
    html = page.read_text()
    assert safe(html)
    assert "<bdi>" in html
    assert "<b>" not in html


def test_logs_escape_what_they_repeat(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("herenow")
    log.warning("%s: %s, %d", INFO, ValueError(INFO), 7)
    log.warning("%(a)s", {"a": INFO})
    try:
        raise ValueError(INFO)
    except ValueError:
        log.exception("it failed")
    assert len(caplog.records) == 3
    assert safe(caplog.text), caplog.text
    assert "owned" in caplog.text
