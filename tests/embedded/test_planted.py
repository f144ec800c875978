"""What somebody else may have put in the store's way: refused, left alone, and said what to do about."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from herenow.embedded import open_server
from herenow.embedded.supervisor import open_own
from tests.embedded.conftest import on, processes, until

_NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(scope="module")
def used_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's directory that was used, with data in it; nobody uses it now."""
    directory = tmp_path_factory.mktemp("hn") / "store"
    server = open_server(directory)
    with on(server.socket) as client:
        client.incr("n")
    server.close()
    until(lambda: not processes(directory))
    return directory


@pytest.fixture
def used(used_once: Path, directory: Path) -> Path:
    """The same, for one test."""
    shutil.copytree(used_once, directory)
    return directory


def refused(directory: Path) -> str:
    """Open a directory, which must be refused at once, by a message that says what to do."""
    with pytest.raises(ValueError, match=r"or name a new directory|name the directory") as caught:
        open_server(directory)
    assert not processes(directory)
    return str(caught.value)


@pytest.mark.parametrize("before", [0o770, 0o707, 0o720, 0o777, 0o1777])
@pytest.mark.parametrize("own", [True, False])
def test_a_directory_that_others_may_write_is_refused(
    place: Path, request: pytest.FixtureRequest, own: bool, before: int
) -> None:
    directory: Path = request.getfixturevalue("used") if own else place / "new"
    directory.mkdir(exist_ok=True)
    directory.chmod(before)
    assert f"chmod 700 {directory}" in refused(directory)
    assert mode(directory) == before
    directory.chmod(0o700)
    open_server(directory).close()


PLACES = [
    *("herenow.lock", "users.lock", "server.lock", "server.log", "written-by", "written-by.new"),
    *("appendonlydir", "appendonlydir/appendonly.aof.manifest", "dump.rdb"),
]


OURS = ("herenow.lock", "users.lock", "server.lock", "server.log", "written-by")
TRAPS = [
    *((name, trap) for name in PLACES for trap in ("link", "dangling", "theirs", "writable")),
    *((name, trap) for name in OURS for trap in ("hard link", "pipe")),
]


def plant(trap: str, planted: Path, victim: Path) -> None:
    """Put something in the place of a file."""
    if trap in {"theirs", "writable"}:
        if not planted.is_dir():
            planted.touch(0o600)
        if trap == "writable":
            planted.chmod(0o620)
        elif os.geteuid() == 0:
            os.chown(planted, _NOBODY, _NOBODY)
        else:
            pytest.skip("only root can give a file away")
        return
    shutil.rmtree(planted) if planted.is_dir() else planted.unlink(missing_ok=True)
    if trap == "pipe":
        os.mkfifo(planted, 0o600)
    elif trap == "hard link":
        planted.hardlink_to(victim)
    else:
        planted.symlink_to(victim if trap == "link" else victim.with_name("made"))


@pytest.mark.parametrize("name, trap", TRAPS)
def test_what_somebody_planted_in_it_is_refused_and_left_as_it_is(
    used: Path, place: Path, name: str, trap: str
) -> None:
    victim = place / "victim"
    victim.write_text("precious")
    plant(trap, used / name, victim)
    assert str(used / name) in refused(used)
    assert victim.read_text() == "precious"
    assert not (place / "made").exists()


@pytest.mark.parametrize("trap", ["link", "hard link", "pipe"])
def test_what_is_planted_while_it_looks_is_opened_by_nobody(place: Path, trap: str) -> None:
    planted, victim = place / "server.log", place / "victim"
    victim.write_text("precious")
    plant(trap, planted, victim)
    with pytest.raises(ValueError, match="somebody may have planted it"):
        open_own(planted, os.O_RDWR | os.O_CREAT)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("above", [0o1777, 0o777, 0o775])
@pytest.mark.parametrize("below", ["", "store"])
def test_a_symlink_that_somebody_may_have_planted_is_not_followed(
    used: Path, place: Path, above: int, below: str
) -> None:
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(above)
    link = shared / "link"
    link.symlink_to(used.parent if below else used)
    open_server(link / below).close()  # one's own
    until(lambda: not processes(used))
    if os.geteuid() == 0:
        os.lchown(link, _NOBODY, _NOBODY)
        assert f"the symbolic link {link} of uid {_NOBODY}" in refused(link / below)
        shared.chmod(0o755)  # root's, where nobody else can plant one
        assert f"of uid {_NOBODY}" in refused(link / below)
        os.chown(shared, _NOBODY, _NOBODY)  # theirs, whom whoever names it trusts
        open_server(link / below).close()


def test_links_of_ones_own_are_followed_wherever_they_lead(place: Path) -> None:
    (place / "releases" / "7").mkdir(parents=True)
    (place / "current").symlink_to("releases/7")
    (place / "again").symlink_to(place / "current" / ".." / "7")
    for named in ("current/store", "again/store", "current/../7/./store"):
        server = open_server(place / named)
        assert server.directory == place / "releases/7/store"
        server.close()
    (place / "round").symlink_to("round")
    with pytest.raises(ValueError, match="must be a directory that uid"):
        open_server(place / "round" / "store")
