"""The supervisor of one embedded server: a detached script that starts it and stops it.

It runs under whatever Python is at hand, so it imports the standard library alone and uses no
syntax newer than 3.8; ``server`` shares its functions. It inherits the boot lock and holds it,
untouched, until it ends. The package's docstring has the theory.

    python -I -S supervisor.py DIRECTORY persistent|temporary BINARY
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

BOOT = "herenow.lock"
USERS = "users.lock"
SERVER = "server.lock"
SOCKET = "server.sock"
LOG = "server.log"

# The socket's path is relative, to the data's directory: no path of the user's, however long or
# odd, passes through the server's configuration.
_OPTIONS = [
    *("--port", "0", "--unixsocket", SOCKET, "--unixsocketperm", "700", "--daemonize", "no"),
    *("--dir", ".", "--save", "", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"),
    *("--loglevel", "warning", "--logfile", ""),
]
_SHORT_LIFE = 1.0
"""Seconds. A server that ends sooner will not do better at the next try; its users get an error."""


def lock(path: str | os.PathLike[str], kind: int) -> int | None:
    """Open and ``flock`` a file; its descriptor, or None where LOCK_NB did not get the lock."""
    held = lock_file(path)
    try:
        fcntl.flock(held, kind)
    except BlockingIOError:
        os.close(held)
        return None
    except BaseException:
        os.close(held)
        raise
    return held


def lock_file(path: str | os.PathLike[str]) -> int:
    """Open a file to be locked; each opening is an owner of its own."""
    return open_own(path, os.O_RDWR | os.O_CREAT)


def open_own(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file that nobody else can have put there, 0600 where it is made; its descriptor.

    Raises ValueError, before anything is read or written, for one that somebody may have planted. So
    whoever wants it empty cuts it afterwards: O_TRUNC would empty another's file first.
    """
    try:
        # O_NONBLOCK, for a planted pipe must not hold us
        opened = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(refusal(path, "is a symbolic link")) from None
        raise
    wrong = what_is_wrong(os.fstat(opened), file=True)
    if wrong:
        os.close(opened)
        raise ValueError(refusal(path, wrong))
    return opened


def what_is_wrong(status: os.stat_result, *, file: bool = False) -> str:
    """Say why a file or a directory is not this user's alone, "" where it is; by its ``lstat``."""
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if status.st_uid != os.geteuid():
        return f"belongs to uid {status.st_uid}, and this process runs as uid {os.geteuid()}"
    if status.st_mode & 0o022:
        return f"may be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    if file and not stat.S_ISREG(status.st_mode):
        return "is no file"
    if file and status.st_nlink > 1:
        return "has another name as well (a hard link)"
    return ""


def refusal(path: str | os.PathLike[str], wrong: str) -> str:
    """Say that a file of the store's is refused, and what to do."""
    return (
        f"the embedded store's {os.fspath(path)} {wrong}: somebody may have planted it; look at what "
        "the directory holds, and remove what is not yours, or name a new directory"
    )


def ask(path: str, command: str, timeout: float) -> str:
    """Send one inline command to the server and return its first line, or why there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(512).decode(errors="replace").strip() or "connection closed"
    except OSError as error:
        return str(error)


class _Supervisor:
    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.leaving = threading.Event()
        self.server: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Keep one server alive until the last user is gone."""
        # Whoever uses a server may remove its directory, where no file can be opened any more: all that
        # is needed to see it end, and to end it, is open before it begins.
        threading.Thread(target=self._leave, args=(lock_file(USERS),), daemon=True).start()
        started = float("-inf")
        held = lock_file(SERVER)
        while True:
            fcntl.flock(held, fcntl.LOCK_EX)  # waits while a server lives, ours or an adopted one
            if self.server is not None:
                self.server.wait()
            if self.leaving.is_set():
                return
            if time.monotonic() - started < _SHORT_LIFE:
                sys.exit("herenow: the server ended as soon as it had started")
            started = time.monotonic()
            next_held = lock_file(SERVER)
            self.server = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                pass_fds=[held],
                # Lua compares strings by the locale: it shall not be that of whoever came first
                env={**os.environ, "LC_ALL": "C"},
            )
            os.close(held)
            held = next_held

    def _leave(self, users: int) -> None:
        """Wait for the last user to go, then stop the server: as often as it takes."""
        fcntl.flock(users, fcntl.LOCK_EX)
        self.leaving.set()
        while True:
            if self.server is None:
                ask(SOCKET, "SHUTDOWN", 1.0)  # an adopted one is known by its socket alone
            else:
                self.server.terminate()
            time.sleep(0.1)  # it may have been too young to listen, or be writing its AOF anew


def main(directory: str, lifetime: str, binary: str) -> None:
    """Detach, and supervise."""
    os.chdir(directory)
    wrong = what_is_wrong(os.stat("."))  # noqa: PTH116 - the caller has looked; this is where we are
    if wrong:
        sys.exit("herenow: " + refusal(directory, wrong))
    if os.fork():
        os._exit(0)  # the user who called reaps this one; the supervisor is a child of init
    # Whoever came first may have ignored or blocked what ought to reach the server.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends when its users do
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o077)
    log = open_own(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.ftruncate(log, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    temporary = lifetime == "temporary"
    _Supervisor([binary, *_OPTIONS, "--appendonly", "no" if temporary else "yes"]).run()
    if temporary:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
