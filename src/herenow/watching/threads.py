"""Where threads differ from asyncio, for watching; see `tasks`, which has the same names.

Any thread may read, and a forked child's too: there the reader goes on from its place.
"""

from collections.abc import Callable
from typing import Any, Final

from herenow.store import forking
from herenow.store.engine import Engine
from herenow.store.threads import Task

_BEGIN_WITHIN: Final = 1.0
_HERE: Final = object()


def here() -> object:
    """The same everywhere."""
    return _HERE


survive_forks = forking.register


def made(begin: Callable[[float], None]) -> None:
    """Have a reader that was made have begun, but don't wait long for a store that is unavailable."""
    begin(_BEGIN_WITHIN)


def entered(_begin: Callable[[], None]) -> None:
    """Do nothing: it has begun when it was made."""


def from_anywhere(_here: object, call: Callable[[], None]) -> None:
    """Call what takes no lock: from a finalizer, in any thread."""
    call()


def soon(method: Callable[[], object]) -> object:
    """Run a method."""
    return method()


def left(_task: Task | None) -> None:
    """Do nothing: who closes may be a signal handler that has interrupted what the thread waits for."""


def client_of(engine: Engine, *, anew: bool) -> Any:
    """The client, which knows who serves what (``anew``: has just asked)."""
    client = engine.client
    if anew and engine.store.cluster:
        client.nodes_manager.initialize()
    return client


def connect(line: Any) -> None:
    """Connect a line."""
    line.connect()


def hear(line: Any, seconds: float) -> Any:
    """What comes next on a line; None: nothing in so long."""
    return line.read_response() if line.can_read(timeout=seconds) else None


def hang_up(_task: Task, line: Any) -> None:
    """End what listens on a line, where it is connected."""
    if line is not None:
        line.disconnect()


def disconnect(line: Any) -> None:
    """Let go of a line."""
    line.disconnect()
