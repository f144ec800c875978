"""What the garbage collector or a signal runs, it runs in the middle of anything: it takes no lock."""

import _thread
import ast
import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import herenow
from herenow.store.finalizing import Flag
from tests.conftest import SERVER
from tests.core.programs import run
from tests.servers import Server, binary, start_server
from tests.waiting import poll

LOCKS = (_thread.LockType, type(threading.RLock()))
SOURCE = Path(herenow.__file__).parent


def locks_within(*things: object) -> list[Any]:
    """Every lock that can be reached from some objects of ours."""
    found, seen, todo = [], set[int](), list(things)
    while todo and len(seen) < 200_000:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType | threading.Thread):
            continue
        seen.add(id(one))
        if isinstance(one, LOCKS):
            found.append(one)
        todo += gc.get_referents(one)
    return found


@contextmanager
def held(locks: list[Any]) -> Iterator[int]:
    """Hold them, but for those that somebody else has for good; how many those are that are held."""
    with ExitStack() as stack:
        count = 0
        for one in locks:
            if one.acquire(timeout=1):
                stack.callback(one.release)
                count += 1
        yield count


def dropped_while_all_is_held(things: list[Any], *more: object) -> None:
    """Drop what is in the list, in another thread, while each lock of it is held."""
    locks = locks_within(things, *more)

    def drop() -> None:
        things.clear()
        gc.collect()

    dropping = threading.Thread(target=drop, daemon=True)
    with held(locks) as count:
        assert count > 0
        dropping.start()
        dropping.join(10)
        waits = dropping.is_alive()
    dropping.join(60)
    assert not waits, "it waits for a lock"


def watches(presence: herenow.Presence) -> list[Any]:
    return [presence.watch(), presence.room("doc").watch(), presence]


def read(presence: herenow.Presence) -> list[Any]:
    presence.counts()
    return [presence]


def marks(presence: herenow.Presence) -> list[Any]:
    presence.mark_online("alice")
    presence.counts()
    presence.mark_online("bob")
    return [presence]


@pytest.mark.parametrize("make", [watches, read, marks])
def test_what_is_dropped_waits_for_no_lock(
    server: Server, make: Callable[[herenow.Presence], list[Any]]
) -> None:
    def things() -> list[Any]:
        return make(herenow.Presence(server.unix_url, buffered=make is marks, timeout=5))

    dropped_while_all_is_held(things())


@pytest.mark.parametrize("buffered", [True, False])
def test_a_presence_that_is_dropped_needs_no_collector_to_be_closed(
    server: Server, *, buffered: bool
) -> None:
    def used() -> tuple[weakref.ref[Any], Any]:
        presence = herenow.Presence(server.unix_url, buffered=buffered, timeout=5)
        presence.mark_online("alice")
        assert presence.counts().member == 1
        [connection] = presence.client.connection_pool._connections
        return weakref.ref(presence._engine.store), connection

    gc.disable()
    try:
        store, connection = used()
        poll(lambda: store() is None, "its end", 30)
        poll(lambda: connection._sock is None, "the end of its connection", 30)
    finally:
        gc.enable()


def test_who_is_tried_for_is_dropped_without_a_lock() -> None:
    with start_server(binary(SERVER)) as own:

        def things() -> list[Any]:
            presence = herenow.Presence(own.url, timeout=0.1)
            for _ in range(4):
                with pytest.raises(herenow.StoreError):
                    presence.counts()
            return [presence]

        own.kill()
        dropped_while_all_is_held(things())


async def test_a_watch_of_asyncio_is_dropped_without_a_lock_by_any_thread(server: Server) -> None:
    async with herenow.AsyncPresence(server.unix_url, timeout=5) as presence:
        kept, dropped = presence.room("doc").watch(), [presence.watch()]
        await kept.batch(0.1)
        await dropped[0].batch(0.1)
        hub = presence._watchers.hub
        assert len(hub.channels) == 2
        dropped_while_all_is_held(dropped, hub)
        async with asyncio.timeout(30):
            while len(hub.channels) == 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await presence.room("doc").mark_online("alice")
        assert [one.user for one in await kept.batch(30)] == ["alice"]


def test_a_watch_that_is_dropped_ends_what_served_it(server: Server) -> None:
    def serving() -> set[threading.Thread]:
        names = ("herenow-watch", "herenow-doorbell")
        return {one for one in threading.enumerate() if one.name.startswith(names)}

    before = serving()
    with herenow.Presence(server.unix_url, timeout=5) as presence:
        events = presence.watch()
        mine = serving() - before
        assert mine
        del events
        gc.collect()
        for one in mine:
            one.join(30)
            assert not one.is_alive()


SIGNALLED = """
from herenow.store.finalizing import Flag
flag, count = Flag(), 0
def handle(*_):
    global count
    count += 1
    flag.set()
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
end = time.monotonic() + 3
while time.monotonic() < end:
    flag.wait(0.0001)
    flag.is_set()
    flag.clear()
signal.setitimer(signal.ITIMER_REAL, 0)
assert count > 100, count
flag.set()
assert flag.wait()
assert flag.is_set()
"""


def test_a_flag_is_set_by_a_signal_in_the_middle_of_a_wait_for_it(server: Server) -> None:
    run(server.unix_url, SIGNALLED)


def test_a_flag_lets_all_go_who_wait_for_it() -> None:
    flag = Flag()
    assert flag.wait(0) is False
    waiting = [threading.Thread(target=flag.wait) for _ in range(5)]
    for one in waiting:
        one.start()
    flag.set()
    for one in waiting:
        one.join(30)
        assert not one.is_alive()
    flag.clear()
    assert not flag.is_set()


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for one in ast.walk(tree):
        if isinstance(one, ast.Call):
            yield ast.unparse(one.func), one


def test_whoever_handles_a_signal_sets_flags() -> None:
    modules = {path: ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}
    handling = {
        path: tree
        for path, tree in modules.items()
        if any(name == "signal.signal" for name, _ in called(tree))
    }
    assert len(handling) >= 3
    for path, tree in handling.items():
        handlers = [
            ast.unparse(call.args[1]) for name, call in called(tree) if name == "signal.signal"
        ]
        for one in handlers:
            if one == "lambda *_: stop.set()":
                assert "stop = Flag()" in path.read_text(), path
            else:  # raises, or what the system gives
                assert one in ("_stop", "signal.SIG_IGN", "signal.SIG_DFL"), path
