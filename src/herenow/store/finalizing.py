"""What a finalizer or a signal handler may do: set a flag. And how what was dropped is closed.

A finalizer (``__del__``, a weakref's callback) runs wherever the garbage collector happens to, a signal
handler between any two steps of the main thread: perhaps where a lock is held. So it must take none, not
that of a `threading.Event` either. Both may call `Flag.set`; with `close_when_dropped` a finalizer only
notes what is to be closed, which is done by a thread that holds nothing.
"""

import _thread
import queue
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")


class Flag:
    """A `threading.Event` that a finalizer or a signal handler may set: setting it takes no lock."""

    def __init__(self) -> None:
        # by its full name: gevent replaces it
        self._tokens = queue.SimpleQueue[None]()

    def set(self) -> None:
        """Set it; whoever waits goes on."""
        if self._tokens.empty():
            self._tokens.put(None)

    def is_set(self) -> bool:
        """Whether it is set."""
        return not self._tokens.empty()

    def clear(self) -> None:
        """Have it not be set."""
        with suppress(queue.Empty):
            while True:
                self._tokens.get_nowait()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, or so long; whether it is."""
        try:
            self._tokens.get(timeout=None if seconds is None else max(0.0, seconds))
        except queue.Empty:
            return False
        self._tokens.put(None)
        return True


def weakly(method: Callable[[Any], T], otherwise: T) -> Callable[[Any], T]:
    """Call a method of an object that is not held by this: a circle would be left to the collector."""
    known = weakref.WeakMethod(method)

    def call(argument: Any) -> T:
        there = known()
        return otherwise if there is None else there(argument)

    return call


_dropped: Final = queue.SimpleQueue[Callable[[], None]]()


def close_when_dropped(owner: object, close: Callable[[], None]) -> "weakref.finalize[..., object]":
    """Have ``close`` called soon after nobody holds the ``owner`` any more, by a thread of its own.

    Until then what it closes lives, so that the collector finds no open socket. Detach what is given once
    it was closed otherwise. Does nothing at exit.
    """
    finalizer = weakref.finalize(owner, _drop, close)
    finalizer.atexit = False
    return finalizer


def _drop(close: Callable[[], None]) -> None:
    _dropped.put(close)
    # `threading` takes locks to start one. Where none can be started, whoever opens next closes it
    with suppress(RuntimeError):
        _thread.start_new_thread(close_dropped, ())


def close_dropped() -> None:
    """Close what was dropped."""
    while True:
        try:
            close = _dropped.get_nowait()
        except queue.Empty:
            return
        with suppress(Exception):  # it is gone either way
            close()
