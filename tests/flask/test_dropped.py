"""Apps that are dropped without `close`, as suites and factories do: nothing of them is left."""

from pathlib import Path

import pytest

from tests.core.programs import run
from tests.servers import Server

MANY = 60
BEGIN = """
import gc, logging, os, sys, threading, time, warnings
warnings.simplefilter("error")
trouble = []
sys.unraisablehook = trouble.append
lines = []
class Lines(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
logging.getLogger("herenow").addHandler(Lines(logging.WARNING))
from flask import Flask
import herenow
from herenow.flask import HereNow
URL = sys.argv[1]

def visit(buffered):
    app = Flask("made")
    app.add_url_rule("/", "index", lambda: "hello")
    here = HereNow(app, url=URL, buffered=buffered)
    client = app.test_client()
    assert client.get("/").status_code == 200
    with app.app_context():
        here.get_online_users()
        here.mark_online("alice")
    # a factory's app and what it is asked by are a circle, left to the collector

def what_there_is():
    gc.collect()
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

def ends_as(before):
    end = time.monotonic() + 30
    while (now := what_there_is()) != before and time.monotonic() < end:
        time.sleep(0.05)
    assert now == before, (now, before, [one.name for one in threading.enumerate()])
    assert not trouble, trouble
"""
MADE = """
before = what_there_is()
most = 0
for i in range(MANY):
    visit(BUFFERED)
    most = max(most, threading.active_count())
ends_as(before)
print(len(lines), *lines, sep="\\n")
"""


def made(url: str, *, buffered: bool, many: int = MANY) -> list[str]:
    """Make so many apps in turn; what was logged."""
    text = MADE.replace("MANY", str(many)).replace("BUFFERED", str(buffered))
    printed, _ = run(url, text, begin=BEGIN)
    count, *lines = printed.splitlines()
    assert int(count) == len(lines)
    return lines


@pytest.mark.parametrize("buffered", [True, False])
def test_on_a_store_that_is_up(server: Server, *, buffered: bool) -> None:
    assert made(server.url, buffered=buffered) == []


@pytest.mark.parametrize("buffered", [True, False])
def test_on_a_store_that_is_dead_with_one_line_in_the_log(*, buffered: bool) -> None:
    [line] = made("redis://127.0.0.1:1", buffered=buffered)
    assert line.startswith("herenow: redis://127.0.0.1:1: the store is not available: ")


@pytest.mark.parametrize("buffered", [True, False])
def test_on_an_embedded_store(tmp_path: Path, *, buffered: bool) -> None:
    assert made(f"embedded://{tmp_path}/store", buffered=buffered, many=20) == []


def test_on_temporary_stores() -> None:
    assert made("embedded://?temporary=1", buffered=True, many=4) == []


ASYNC = """
import asyncio

async def use():
    presence = herenow.AsyncPresence(URL, buffered=True)
    await presence.counts()
    await presence.mark_online("alice")

async def many():
    before = what_there_is()
    for _ in range(MANY):
        await use()
    end = time.monotonic() + 30
    while what_there_is()[0] != before[0] and time.monotonic() < end:
        await asyncio.sleep(0.05)
    assert what_there_is()[0] == before[0], (what_there_is(), before)

async def warm():
    async with herenow.AsyncPresence(URL) as presence:
        await presence.counts()
    await many()

asyncio.run(warm())
assert not trouble, trouble
"""


def test_of_asyncio_while_their_loop_runs(server: Server) -> None:
    run(server.url, ASYNC.replace("MANY", "20"), begin=BEGIN)


def test_a_client_that_was_handed_in_stays_open(server: Server) -> None:
    text = """
import redis
client = redis.Redis.from_url(URL)
client.ping()
before = what_there_is()
for _ in range(5):
    herenow.Presence(client).counts()
ends_as(before)
assert client.connection_pool._available_connections[0]._sock is not None
"""
    run(server.url, text, begin=BEGIN)
