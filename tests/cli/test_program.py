"""The program around the commands: quick to start, one line an error, an exit code for scripts."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

import herenow
from herenow.cli import COMMANDS
from herenow.flask import HereNow
from tests.cli.conftest import ROOT, Call, environment
from tests.cli.terminals import start_on_terminal
from tests.servers import Server

SLOW = ("redis", "valkey", "rich", "flask", "django", "starlette", "uvicorn", "humanize", "asyncio")
WATCHED = """
import sys
from herenow.cli import program
code = program.run(sys.argv[1:])
slow = [name for name in {slow} if name in sys.modules]
assert not slow, slow
sys.exit(code)
"""


def test_no_command_is_imported_for_help() -> None:
    done = watched(["--help"], *SLOW, *(f"herenow.cli.{name}" for name in COMMANDS))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_imports_nothing_slow(command: str) -> None:
    done = watched([command, "--help"], *SLOW)
    assert done.returncode == 0, done.stderr
    assert f"herenow {command}" in done.stdout


def watched(arguments: list[str], *slow: str) -> subprocess.CompletedProcess[str]:
    """Run the program, and fail where it imported one of these."""
    return subprocess.run(
        [sys.executable, "-c", WATCHED.format(slow=slow), *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )


def test_help_lists_every_command_with_what_it_does(start: Call) -> None:
    done = start("--help")
    for name, entry in COMMANDS.items():
        assert any(line.split() == [name, *entry.summary.split()] for line in done.lines), name
    assert "Exit codes" in done.out
    assert max(map(len, done.lines)) <= 80


def test_the_readme_lists_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    section = text.partition("## The command line")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1].split()[0] for row in rows] == list(COMMANDS)


def test_no_command_at_all_shows_the_help_and_is_a_usage_error(start: Call) -> None:
    done = start()
    assert (done.code, done.out) == (2, "")
    assert "Usage: herenow" in done.err


def test_the_version(start: Call) -> None:
    assert start("--version").out == f"herenow {herenow.__version__}\n"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["onlin"], "no command 'onlin'; did you mean online? (see herenow --help)"),
        (["online", "--url", "http://x"], "--url"),
        (["online", "--colour"], "--colour"),
        (["online", "--limit", "0"], "--limit"),
        (["online", "--window", "soon"], "a duration is seconds"),
        (["online", "--room", "a\nb"], "a room has no control character"),
        (["online", "--prefix", "{x}"], "a prefix is a printable str without braces"),
    ],
)
def test_a_wrong_call_is_one_line_and_exits_2(start: Call, arguments: list[str], said: str) -> None:
    done = start(*arguments)
    assert done.code == 2
    assert done.out == ""
    [line] = done.err.splitlines()
    assert line.startswith("herenow: ")
    assert said in line


def test_a_wrong_setting_names_it(start: Call) -> None:
    done = start("online", HERENOW_WINDOW="soon", HERENOW_URL="redis://localhost:1")
    assert done.code == 2
    assert done.err.startswith("herenow: HERENOW_WINDOW, in the environment: ")


def test_a_store_that_is_away_is_one_line_and_exits_3(start: Call) -> None:
    done = start("online", HERENOW_URL="redis://localhost:1")
    assert (done.code, done.out) == (3, "")
    [line] = done.err.splitlines()
    assert line.startswith("herenow: the store is not available: ")


def test_a_store_that_hangs_exits_3_after_the_timeout(
    start: Call, servers: Callable[[str], Server]
) -> None:
    hanging = servers("valkey-8.1")
    hanging.pause()
    try:
        done = start("online", HERENOW_URL=hanging.url, HERENOW_TIMEOUT="0.3")
    finally:
        hanging.resume()
    assert done.code == 3
    assert done.err.startswith("herenow: the store did not answer in time")


def test_without_click_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('no', name='click')")
    done = subprocess.run(
        [sys.executable, "-m", "herenow", "online"],
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])),
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == 'herenow: the command line needs click: pip install "herenow[cli]"\n'


def test_what_else_a_command_lacks_is_named_with_its_extra(place: Path, server: Server) -> None:
    (place / "humanize.py").write_text("raise ModuleNotFoundError('no', name='humanize')")
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.mark_online("alice")
    path = os.pathsep.join([str(place), environment()["PYTHONPATH"]])
    code, said, _ = start_on_terminal(["online", "--url", server.url], PYTHONPATH=path)
    assert code == 2
    assert 'herenow: online needs humanize: pip install "herenow[cli]"' in said


def test_the_embedded_store_is_the_default_and_told_on_stderr(start: Call, place: Path) -> None:
    done = start("online")
    assert (done.code, done.out) == (1, "")
    [line] = done.err.splitlines()
    assert line.startswith(f"herenow: using the embedded store in {place}/state/herenow/")


def test_a_flask_projects_own_store_comes_first(start: Call, place: Path) -> None:
    app = Flask("site", root_path=str(place), instance_path=str(place / "instance"))
    app.testing = True
    HereNow(app, identify=lambda _: "alice", buffered=False)
    app.add_url_rule("/", view_func=lambda: "hello")
    (place / "instance" / "herenow").mkdir(parents=True)
    assert start("online").err.startswith(f"herenow: using the embedded store in {place}/state/")
    app.test_client().get("/")
    done = start("online")
    assert (done.code, done.out) == (0, "alice\n")
    assert done.err == (
        f"herenow: using the embedded store in {place}/instance/herenow (--url names another)\n"
    )


def test_a_pipe_that_closes_ends_it_quietly(server: Server) -> None:
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.mark_online_many([f"user-{i:05}-{'x' * 200}" for i in range(2000)])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m herenow online | head -1"],
        capture_output=True,
        text=True,
        env=environment(HERENOW_URL=server.url),
        timeout=60,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert (done.returncode, done.stderr) == (141, "")


def test_a_name_that_the_locale_cannot_say_is_escaped(start: Call, server: Server) -> None:
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.mark_online("zoë☺")
    assert start("online", HERENOW_URL=server.url).out == "zoë☺\n"
    strict = start("online", HERENOW_URL=server.url, PYTHONIOENCODING="ascii:strict")
    assert strict.out == "zo\\xeb\\u263a\n"
