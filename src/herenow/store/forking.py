"""Forks: what must start anew in a child, and what no fork may come into.

Whoever owns a lock that another thread may have held, or a thread, which is gone in the child, registers,
and is called there before any other code runs. A fork waits for whoever holds `unforked`: in a child of
a half-done import, that import would never end.
"""

import os
import threading
import weakref
from typing import Final, Protocol


class Forked(Protocol):
    """Something that can start anew."""

    def start_anew(self) -> None:
        """Be as if just made, as far as locks and threads go."""


_forked: Final["weakref.WeakSet[Forked]"] = weakref.WeakSet()


def register(one: Forked) -> None:
    """Have ``one.start_anew()`` called in every forked child, for as long as it lives."""
    _forked.add(one)


unforked: Final = threading.RLock()


def _after_fork() -> None:
    unforked.release()
    for one in list(_forked):
        one.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=unforked.acquire, after_in_parent=unforked.release, after_in_child=_after_fork
    )
