"""The user's end of the embedded server: take part, see that it is up, let go.

Safe with threads, gevent and fork. Everything polls instead of blocking, so that a patched
``sleep`` lets other greenlets run; what must not be forked half-done happens in ``_turn``.
"""

import fcntl
import math
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from herenow.embedded import supervisor
from herenow.embedded.directory import (
    blaming,
    check_written_by,
    clean_directory,
    default_directory,
    prepare,
    socket_path,
)
from herenow.embedded.programs import find_pythons, find_server
from herenow.errors import StoreUnavailable

_POLL = 0.01
_BOOTS = 3
"""Supervisors that one call starts, before it believes that the server cannot start."""

_taking_turns = threading.RLock()  # re-entrant: gevent's Popen forks by os.fork, inside a turn


def _await_turn() -> None:
    while not _taking_turns.acquire(blocking=False):
        time.sleep(0.001)


@contextmanager
def _turn() -> Iterator[None]:
    """No other thread forks meanwhile: a child that inherited the boot lock would keep it."""
    _await_turn()
    try:
        yield
    finally:
        _taking_turns.release()


os.register_at_fork(
    before=_await_turn,
    after_in_parent=_taking_turns.release,
    after_in_child=_taking_turns.release,
)


def open_server(
    directory: str | Path | None = None, *, temporary: bool = False, start_timeout: float = 10.0
) -> "EmbeddedServer":
    """Take part in the server of a directory, starting it if it is not up; waits until it answers.

    ``directory`` None is ``default_directory()``; ``temporary`` a fresh one, nothing of which is
    kept, removed with its last user. ``start_timeout`` in seconds. Some 0.1 s for a start, below
    1 ms to join. Raises ValueError for a bad directory, StoreUnavailable for a server that cannot
    start or does not come up in time.
    """
    if not 0 < start_timeout < math.inf:
        raise ValueError(f"start_timeout is a positive number of seconds, not {start_timeout!r}")
    if not temporary:
        chosen = default_directory() if directory is None else directory
        server = EmbeddedServer(clean_directory(chosen), start_timeout)
    elif directory is None:
        try:
            fresh = Path(tempfile.mkdtemp(prefix="herenow-")).resolve()
        except OSError as error:
            raise StoreUnavailable(f"no place for a temporary embedded store: {error}") from error
        server = EmbeddedServer(fresh, start_timeout, temporary=True)
    else:
        raise ValueError("a temporary embedded store makes its own directory: name none")
    try:
        server.ensure()
    except BaseException:
        server.close()
        if temporary:
            shutil.rmtree(server.directory, ignore_errors=True)
        raise
    return server


class EmbeddedServer:
    """One user's part in the server of a directory; made by ``open_server``.

    ``directory`` is where its data lie, ``socket`` the unix socket to connect to.
    """

    directory: Path
    socket: str

    def __init__(self, directory: Path, start_timeout: float, *, temporary: bool = False) -> None:
        self.directory = directory
        self.socket = ""
        self._start_timeout = start_timeout
        self._temporary = temporary
        self._users: int | None = None
        self._closed = False

    def ensure(self, timeout: float | None = None) -> None:
        """See that the server is up, starting it anew if it is dead; waits until it answers.

        At most ``timeout`` seconds, by default the ``start_timeout``; a few system calls and a
        PING when it is up. Raises as ``open_server`` does.
        """
        timeout = self._start_timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        boots = 0
        while True:
            missing = "its last server is still being stopped"
            if self._join():
                boots += self._boot(may=boots < _BOOTS)
                left = deadline - time.monotonic()
                missing = supervisor.ask(self.socket, "PING", min(1.0, max(left, _POLL)))
                if missing == "+PONG":
                    return
            if time.monotonic() >= deadline:
                raise StoreUnavailable(
                    f"the embedded server in {self.directory} is not ready within {timeout:g} s: "
                    f"{missing}; see {supervisor.LOG} there"
                )
            time.sleep(_POLL)

    def close(self) -> None:
        """Let go of the server, in this process alone: the last user's going stops it."""
        with _turn():
            self._closed = True
            if self._users is not None:
                os.close(self._users)  # not LOCK_UN, which would let go for parent and forks too
                self._users = None

    def _join(self) -> bool:
        """Be a user; False while the supervisor holds the lock to stop the server."""
        with _turn(), blaming(self.directory):
            if self._closed:
                raise StoreUnavailable(f"the embedded server in {self.directory} was closed here")
            prepare(self.directory)
            self.socket = socket_path(self.directory)
            path = self.directory / supervisor.USERS
            if self._users is not None:
                # If somebody removed the directory, we hold a lock on nothing: join the new one.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(self._users), path.lstat()):
                        return True
                os.close(self._users)
                self._users = None
            # The boot lock's file is what marks a directory as ours, so it is made before all else.
            os.close(supervisor.lock_file(self.directory / supervisor.BOOT))
            self._users = supervisor.lock(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return self._users is not None

    def _boot(self, *, may: bool) -> bool:
        """Start a supervisor if there is none; True if so."""
        with _turn(), blaming(self.directory):
            charge = supervisor.lock(
                self.directory / supervisor.BOOT, fcntl.LOCK_EX | fcntl.LOCK_NB
            )
            if charge is None:
                return False
            try:
                if not may:
                    raise StoreUnavailable(self._last_words())
                binary = find_server()
                check_written_by(self.directory, binary)
                self._start_supervisor(binary.path, charge)
            finally:
                os.close(charge)  # the supervisor has inherited it, and keeps it locked
            return True

    def _start_supervisor(self, binary: str, charge: int) -> None:
        lifetime = "temporary" if self._temporary else "persistent"
        for python in find_pythons():
            command = [python, "-I", "-S", supervisor.__file__]
            with suppress(OSError):
                started = subprocess.run(
                    [*command, str(self.directory), lifetime, binary],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[charge],
                    cwd="/",
                    start_new_session=True,
                    check=False,
                )
                if started.returncode == 0:
                    return
        raise StoreUnavailable("found no Python that runs the embedded server's supervisor")

    def _last_words(self) -> str:
        try:
            with os.fdopen(
                supervisor.open_own(self.directory / supervisor.LOG, os.O_RDONLY), errors="replace"
            ) as file:
                log = file.read()
        except OSError as error:
            log = str(error)
        log = " | ".join(log.splitlines()[-5:])
        return f"the embedded server in {self.directory} does not start; its log ends: {log}"
