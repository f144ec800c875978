"""The connection below a stream: found behind whatever calls the application, bounded, aborted.

ASGI has no word for aborting a connection: to end a response only stops writing, and what a reader that
takes nothing has not taken would be kept until the kernel gives up, for many minutes; a client that is
gone without a word would be taken for present as long. So the server's transport is looked for, as
uvicorn has it, through what middleware puts before it. Where there is none, a response is just ended.
"""

import functools
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import Any, Final

_MOST_STEPS: Final = 100


def find(receive: Any) -> Any:
    """Find the transport that a request came by: what ``receive`` is a method of has it, or leads there.

    Through closures and partials, and what keeps another's as ``_receive``, as Starlette's Request does.
    """
    asked, done = deque([receive]), set()
    for _ in range(_MOST_STEPS):
        if not asked:
            break
        one = asked.popleft()
        if id(one) in done:
            continue
        done.add(id(one))
        owner = getattr(one, "__self__", None)
        transport = getattr(owner, "transport", None)
        if callable(getattr(transport, "abort", None)):
            return transport
        asked += filter(callable, (getattr(owner, "_receive", None), *_held(one)))
    return None


def _held(function: Any) -> list[Any]:
    """What a function calls, as far as it keeps that itself."""
    held: list[Any] = []
    if isinstance(function, functools.partial):
        held += [function.func, *function.args, *function.keywords.values()]
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # it is empty
            held.append(cell.cell_contents)
    return held


def bound(transport: Any, seconds: float) -> None:
    """Have the kernel give up a connection whose other end has taken nothing for so long."""
    sock = _socket(transport)
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))


def abort(transport: Any) -> None:
    """Close a connection without what it still was to bring, in the kernel too."""
    sock = _socket(transport)
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _socket(transport: Any) -> Any:
    """The TCP socket of a transport; None for any other."""
    ask = getattr(transport, "get_extra_info", None)
    sock = ask("socket") if callable(ask) else None
    return None if sock is None or sock.family == socket.AF_UNIX else sock
