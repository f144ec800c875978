"""A machine that was suspended: what waits in the process is older by that time, as it is for the store.

No test can suspend the machine. A process that enters a time namespace has what it would find on waking:
its boot-time clock has jumped, and its monotonic one has not.
"""

import functools
import os

import pytest

import herenow
from tests.core.programs import run
from tests.servers import Server

SLEEP = """
import ctypes
NEWTIME, NEWUSER = 0x80, 0x10000000
kernel = ctypes.CDLL(None, use_errno=True)


def sleep(seconds):
    '''Be as after so long a sleep of the machine; of one thread only.'''
    if kernel.unshare(NEWTIME) and kernel.unshare(NEWUSER | NEWTIME):
        sys.exit(7)
    before = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
    with open("/proc/self/timens_offsets", "w") as offsets:
        offsets.write(f"boottime {seconds} 0\\n")
    with open("/proc/self/ns/time_for_children") as namespace:
        assert not kernel.setns(namespace.fileno(), NEWTIME), os.strerror(ctypes.get_errno())
    assert time.clock_gettime(time.CLOCK_BOOTTIME) - before[1] >= seconds
    assert time.monotonic() - before[0] < seconds
"""

begin = "import os, sys, time, asyncio, herenow\nURL = sys.argv[1]\n" + SLEEP


@functools.cache
def may_sleep() -> bool:
    try:
        run("", "sleep(1)", begin=begin)
    except AssertionError:
        return False
    return True


@pytest.fixture(autouse=True)
def _allowed() -> None:
    if not may_sleep():
        assert "CI" not in os.environ, "CI has time namespaces: they need root"
        pytest.skip("no time namespaces here")


def test_what_waited_through_it_is_told_with_its_whole_age(
    server: Server, presence: herenow.Presence
) -> None:
    run(
        server.unix_url,
        """
async def main():
    async with herenow.AsyncPresence(URL, buffered=True, timeout=5) as presence:
        await presence.mark_online("alice")
        await presence.mark_online("bob", kind="guest", session="tab", info={"page": "/"})
        sleep(100)  # before any thread
        await presence.flush()
        await presence.mark_online("carol")

asyncio.run(main())
""",
        begin=begin,
    )
    for user, ago in (("alice", 100), ("bob", 100), ("carol", 0)):
        explained = presence.explain(user)
        assert explained.presence.last_seen
        seconds = (explained.now - explained.presence.last_seen).total_seconds()
        assert ago <= seconds < ago + 50, user


def test_a_mark_of_before_it_makes_none_of_afterwards_a_repeat(server: Server) -> None:
    run(
        server.unix_url,
        """
USERS = ["alice", "bob", "carol"]
with herenow.Presence(URL, resolution=50, timeout=5) as presence:
    presence.mark_online("alice")
    presence.mark_online_many(["bob", herenow.Sighting("carol", "guest")])
    before = presence.lookup(USERS)
    sleep(100)
    time.sleep(0.01)
    for user in USERS:
        presence.mark_online(user)
    after = presence.lookup(USERS)
    assert all(after[user].last_seen > before[user].last_seen for user in USERS), (before, after)
""",
        begin=begin,
    )
