"""When a thread sends what is buffered: soon after it came, when its owner is dropped, and at exit.

Owns the threads, and how they end with a process, a forked child's too. What is sent is none of its
business; for asyncio, see `tasks`.
"""

import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from herenow.errors import StoreError
from herenow.store import forking
from herenow.store.finalizing import Flag

_log: Final = logging.getLogger("herenow")


class Flusher:
    """A daemon thread that calls ``flush`` some seconds ``after`` something was put; and at exit.

    The thread holds on to whoever flushes only while something waits. When the ``owner`` is dropped, what
    waits is flushed once more, at once, and the thread ends, whether the store took it or not.
    """

    def __init__(
        self, flush: Callable[[], None], after: Callable[[], float], owner: object
    ) -> None:
        # the client library can be imported at the very end too, if only this is there already
        import_module("concurrent.futures.thread")
        self._after = after
        self._flush = weakref.WeakMethod(flush)
        self._ending = Ending()
        self.start_anew()
        forking.register(self)
        _flushers.add(self)
        weakref.finalize(owner, self._ending.drop).atexit = False

    def start_anew(self) -> None:
        """Have no thread, and a lock of its own: what a forked child needs."""
        self._starting = threading.Lock()
        self._have_none()

    def _have_none(self) -> None:
        self._wanted = Flag()
        self._closed = Flag()
        self._ending.flags = (self._closed, self._wanted)
        self._waiting: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have what was put flushed soon."""
        if not self._wanted.is_set():
            flush = self._flush()
            with self._starting:
                if self._ending.dropped:
                    return
                if flush is not None:
                    self._waiting[:] = [flush]
                self._wanted.set()
                if self._thread is None or not self._thread.is_alive():
                    self._start()

    def _start(self) -> None:
        _flush_at_the_end_of_a_child()
        self._thread = threading.Thread(
            target=_run,
            args=(self._starting, self._waiting, self._ending, self._after),
            name="herenow-flusher",
            daemon=True,
        )
        try:
            self._thread.start()
        except RuntimeError:  # no more threads at the very end: it is sent at exit
            self._thread = None

    def close(self) -> None:
        """Stop the thread; a later `wake` starts another."""
        # what belongs to a thread goes with it: no wake is meant for one that is ending
        with self._starting:
            thread, closed, wanted = self._thread, self._closed, self._wanted
            self._have_none()
        closed.set()
        wanted.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1)

    def flush_at_exit(self) -> None:
        """Flush what waits, for the last time."""
        flush = self._flush()
        if flush is not None:
            _call(flush)


class Ending:
    """How a thread that flushes ends: its flags, and whether its owner was dropped."""

    flags: tuple[Flag, Flag]
    dropped = False

    def drop(self) -> None:
        """Have it end when it has flushed once more: as a finalizer, so it sets flags and no more."""
        self.dropped = True
        for flag in self.flags:
            flag.set()


def _run(
    starting: threading.Lock,
    waiting: list[Callable[[], None]],
    ending: Ending,
    after: Callable[[], float],
) -> None:
    closed, wanted = ending.flags
    dropped = False
    while not dropped:
        wanted.wait()
        if closed.wait(after()) and not ending.dropped:
            return
        dropped = ending.dropped  # what is flushed from here on is the last
        with starting:  # a wake comes before both, or after
            wanted.clear()
            flush = waiting.pop() if waiting else None
        if flush is not None:
            _call(flush)
        del flush
    with starting:
        waiting.clear()


def _call(flush: Callable[[], None]) -> None:
    with logged():
        flush()


@contextmanager
def logged() -> Iterator[None]:
    """Log how a flush failed: what does that by itself must not die of it."""
    try:
        yield
    except StoreError as error:
        _log.debug("a flush waits for the store: %s", error)
    except Exception:  # noqa: BLE001 - nobody else would take it
        _log.exception("a flush failed")


_flushers: Final["weakref.WeakSet[Flusher]"] = weakref.WeakSet()
_of_child: Final[set[int]] = set()


@atexit.register
def _flush_at_exit() -> None:
    for one in list(_flushers):
        one.flush_at_exit()


def _flush_at_the_end_of_a_child() -> None:
    # one of multiprocessing ends without atexit, by its own finalizers
    finalizers = sys.modules.get("multiprocessing.util")
    if finalizers is not None and os.getpid() not in _of_child:
        _of_child.add(os.getpid())
        finalizers.Finalize(None, _flush_at_exit, exitpriority=10)
