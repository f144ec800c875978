"""What the embedded server's directory must be, how to reach it, and who may have written it."""

import errno
import hashlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from herenow.embedded.programs import Program
from herenow.embedded.supervisor import (
    BOOT,
    LOG,
    SERVER,
    SOCKET,
    USERS,
    open_own,
    refusal,
    what_is_wrong,
)
from herenow.errors import StoreUnavailable

_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""The longest path that can be connected to: unix(7), less the closing NUL."""

_MOST_LINKS = 40
_WRITTEN_BY = "written-by"
_OPENED_HERE = {BOOT, USERS, SERVER, LOG, _WRITTEN_BY}
_LONGEST_RECORD = 100
_ITS_OWN_FAULT = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOENT),
}


def default_directory() -> Path:
    """Name the directory of this user and working directory, so that no two projects share one.

    Under ``XDG_STATE_HOME``, by default ``~/.local/state``. Creates nothing.
    """
    try:
        here = Path.cwd()
        state = Path(os.environ.get("XDG_STATE_HOME", ""))
        if not state.is_absolute():
            state = Path.home() / ".local" / "state"
    except (OSError, RuntimeError) as error:
        raise ValueError(f"the embedded store needs a directory named: {error}") from None
    return state / "herenow" / _digest(here)


def project_directory() -> Path | None:
    """Name the store of the Flask project that the working directory is, where it has one already.

    Its instance folder holds it: ``instance/herenow``.
    """
    try:
        found = Path.cwd() / "instance" / "herenow"
        return found if (found / BOOT).is_file() else None
    except OSError:
        return None


def clean_directory(value: object) -> Path:
    """Check a directory's name: a non-empty path; absolute and free of symlinks when returned."""
    if not isinstance(value, (str, Path)) or not str(value) or "\0" in str(value):
        raise ValueError(f"the embedded store's directory is a non-empty path, not {value!r}")
    with blaming(Path(value)):
        return _resolve(Path(value).absolute())


def _resolve(path: Path) -> Path:
    """Resolve a path, as `Path.resolve` does, but over no link that somebody may have planted."""
    at, parts, links = Path("/"), [*reversed(path.parts)], 0
    while parts:
        part = parts.pop()
        if part == "..":
            at = at.parent
            continue
        found = at / part
        try:
            status = found.lstat()
        except FileNotFoundError:
            at = found
            continue
        if not stat.S_ISLNK(status.st_mode):
            at = found
            continue
        above = at.lstat()
        trusted = {0, os.geteuid()} if above.st_mode & 0o022 else {0, os.geteuid(), above.st_uid}
        if status.st_uid not in trusted:
            raise ValueError(
                f"the way to the embedded store's directory {path} goes over the symbolic link {found} "
                f"of uid {status.st_uid}, which may have been planted: name the directory that is meant"
            )
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        parts += reversed(found.readlink().parts)
    return at


def prepare(directory: Path) -> None:
    """Make the directory, mode 0700, or see that it is one of ours, and that nothing in it is planted."""
    with blaming(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if status.st_uid != os.geteuid():
            # To write there as root would lock out its owner from what was written.
            raise ValueError(
                f"the embedded store's directory {directory} belongs to uid {status.st_uid}, this "
                f"process runs as uid {os.geteuid()}: run as its owner, or name a new directory"
            )
        names = {path.name for path in directory.iterdir()}
        if names and BOOT not in names:  # the boot lock is the first thing that we make there
            raise ValueError(
                f"the embedded store's directory {directory} must be new, empty or its own"
            )
        wrong = what_is_wrong(status)
        if wrong:
            raise ValueError(
                f"the embedded store's directory {directory} {wrong}: see that nothing in it is "
                f"somebody else's, then `chmod 700 {directory}`, or name a new directory"
            )
        _check_contents(directory)
        if status.st_mode & 0o077:
            directory.chmod(0o700)


def _check_contents(directory: Path) -> None:
    """Refuse what is not this user's alone: we open some of it, the server the rest, links and all."""
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(
                FileNotFoundError
            ):  # the server renames files of its own, this very moment
                ours = entry.name in _OPENED_HERE
                wrong = what_is_wrong(entry.stat(follow_symlinks=False), file=ours)
                if wrong:
                    raise ValueError(refusal(entry.path, wrong))
                if entry.is_dir(follow_symlinks=False):
                    _check_contents(Path(entry.path))


@contextmanager
def blaming(directory: Path) -> Iterator[None]:
    """Raise ValueError for a fault of the directory, StoreUnavailable for one of the machine."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ITS_OWN_FAULT:
            raise StoreUnavailable(f"the embedded store in {directory}: {error}") from error
        raise ValueError(
            f"the embedded store's directory {directory} must be a directory that uid "
            f"{os.geteuid()} can make and write: {error.strerror}"
        ) from error


def socket_path(directory: Path) -> str:
    """Name a path to the server's socket, short enough to connect to; makes a link if need be.

    The link lies in a directory of this user's that nobody else can have made or can write to.
    Raises StoreUnavailable where there can be none.
    """
    if _fits(directory / SOCKET):
        return str(directory / SOCKET)
    for place in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        own = Path(place or "/", f"herenow-{os.geteuid()}")
        link = own / _digest(directory)
        if place and _fits(link / SOCKET) and _link(own, link, directory):
            return str(link / SOCKET)
    raise StoreUnavailable(
        f"the path of {directory / SOCKET} is longer than the {_SOCKET_PATH_BYTES} bytes of a "
        f"socket's, and no private herenow-{os.geteuid()} in the temporary directory can shorten it"
    )


def _link(own: Path, link: Path, directory: Path) -> bool:
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        status = own.lstat()
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            return False
        if not stat.S_ISDIR(status.st_mode):
            return False
        if not link.is_symlink() or link.readlink() != directory:
            for old in own.iterdir():
                if old.is_symlink() and not old.exists():
                    old.unlink()  # its directory is gone
            made = Path(tempfile.mkdtemp(dir=own), "link")
            made.symlink_to(directory)
            made.replace(link)
            made.parent.rmdir()
    except OSError:
        return False
    return True


def check_written_by(directory: Path, server: Program) -> None:
    """Refuse the directory if its data are of a server that this one cannot read; else sign it.

    Signed before the server starts: from then on it *may* have written.
    """
    record = directory / _WRITTEN_BY
    try:
        with os.fdopen(open_own(record, os.O_RDONLY), errors="replace") as file:
            wrote = re.fullmatch(r"(\w+) (\d+)\.(\d+)\s*", file.read(_LONGEST_RECORD))
    except FileNotFoundError:
        wrote = None
    else:
        if wrote is None:
            raise StoreUnavailable(f"{record} does not name the server that wrote the directory")
        if not _reads(server, Program("", wrote[1], (int(wrote[2]), int(wrote[3])))):
            raise StoreUnavailable(
                f"the embedded store in {directory} was written by {wrote[0].strip()}, which "
                f"{server} ({server.path}) cannot read: install that server, or name another "
                "directory"
            )
    if wrote is None or wrote[0].strip() != str(server):
        signing = record.with_suffix(".new")
        with os.fdopen(open_own(signing, os.O_WRONLY | os.O_CREAT), "w") as file:
            file.truncate()
            file.write(f"{server}\n")
        signing.replace(record)


def _reads(server: Program, wrote: Program) -> bool:
    """Say whether the one reads the other's files: all the rest starts empty, or not at all.

    Valkey forked from Redis 7.2; the formats have gone their own ways since.
    """
    if server.product == wrote.product:
        return server.version >= wrote.version
    return (server.product, wrote.product) == ("valkey", "redis") and wrote.version <= (7, 2)


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _SOCKET_PATH_BYTES


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
