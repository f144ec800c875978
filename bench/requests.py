"""Requests: what herenow adds to the processor time of a page, under gunicorn, on against off.

Two sites in one worker take turns; every tenth request is of an address that was never seen. The time is
what the kernel says the worker's threads have run: the thread that serves, by turns, and all that the
flusher ran is added to the site that is on.
"""

import os
import random
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from flask import Flask, render_template_string

from bench.stage import Measured, Stage, row
from herenow.flask import HereNow

REQUESTS: Final = 10_000
IN_A_ROW: Final = 250
HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).parents[1]
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class Site:
    """The site in a worker of gunicorn, and who visits it."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        def said(pattern: str) -> int:
            deadline = time.monotonic() + 30
            while not (found := re.search(pattern, output.read_text())):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(output.read_text())
                time.sleep(0.05)
            return int(found[1])

        self._port = said(r"Listening at: http://127\.0\.0\.1:(\d+)")
        self._threads = Path(f"/proc/{said(r'Booting worker with pid: ([0-9]+)')}/task")
        self._known = [self._address() for _ in range(100)]

    def _address(self) -> str:
        return f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"

    def seconds(self) -> tuple[float, float]:
        """How long the worker has run on a processor: the thread that serves, and all others."""
        pid = self._threads.parent.name
        ran = {
            one.name: int((one / "schedstat").read_text().split()[0]) / 1e9
            for one in self._threads.iterdir()
        }
        serving = ran.pop(pid)
        return serving, sum(ran.values())

    def ask(self, host: str, path: str, times: int) -> None:
        """Ask for a page, nine times in ten as somebody known."""
        question = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\n\r\n".encode()
        for i in range(times):
            who = self._address() if i % 10 == 0 else random.choice(self._known)
            with socket.create_connection((HOST, self._port), 10, (who, 0)) as asking:
                asking.sendall(question)
                answer = b""
                while part := asking.recv(65_536):
                    answer += part
            if b" 200 OK" not in answer[:20]:
                raise RuntimeError(answer.decode())


@contextmanager
def worker(stage: Stage, folder: Path) -> Iterator[Site]:
    """Run the worker of both sites."""
    output = folder / "output"
    settings = {"HERENOW_URL": stage.url, "HERENOW_PREFIX": f"bench-{random.random()}:"}
    with output.open("wb") as log:
        process = subprocess.Popen(
            [
                *[sys.executable, "-m", "gunicorn", "bench.site:app", "--bind", f"{HOST}:0"],
                *["--workers", "1", "--worker-class", "sync"],
            ],
            cwd=ROOT,
            env={
                **os.environ,
                **settings,
                "DATABASE": str(folder / "posts"),
            },
            stdout=log,
            stderr=log,
        )
    try:
        yield Site(process, output)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def compare(stage: Stage, path: str) -> Measured:
    """Ask both in turns; the ratio of all the processor time."""
    times = REQUESTS // (10 if stage.quick else 1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with sqlite3.connect(folder / "posts") as database:
            database.execute("CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
            rows = ((f"Post {i}", f"Text {i} " * 20) for i in range(1000))
            database.executemany("INSERT INTO post (title, body) VALUES (?, ?)", rows)
        database.close()
        both = stack.enter_context(worker(stage, folder))
        for host in ("on", "off"):
            both.ask(host, path, 300)
        spent: dict[str, list[float]] = {"on": [], "off": []}
        _, flushing = both.seconds()
        for turn in range(times // IN_A_ROW):
            for host in ("on", "off") if turn % 2 else ("off", "on"):
                before, _ = both.seconds()
                both.ask(host, path, IN_A_ROW)
                spent[host].append((both.seconds()[0] - before) / IN_A_ROW)
        flushed = (both.seconds()[1] - flushing) / len(spent["on"]) / IN_A_ROW
    turns = statistics.median(on / off for on, off in zip(*spent.values(), strict=True))
    on, off = (statistics.mean(one) * 1e6 for one in spent.values())
    told = (
        f"{on:.0f} µs and {flushed * 1e6:.1f} of the flusher, {off:.0f} off; by turns {turns:.3f}"
    )
    return Measured((on + flushed * 1e6) / off, told)


@row("CPU of a page with a template and a query, on / off", "×", must=1.03, aim=1.02)
def page(stage: Stage) -> Measured:
    return compare(stage, "/")


@row("bytes to the store a page that shows a count", "bytes", must=1200, aim=1000)
def bytes_a_page(stage: Stage) -> Measured:
    """Serve pages that show how many are online, each to somebody never seen, and ask the store."""
    site = Flask(__name__)
    HereNow(site, url=stage.url, prefix="a-page:")
    site.add_url_rule("/", "page", lambda: render_template_string("{{ online_count() }}"))
    visitor, times = site.test_client(), 200

    def ask() -> None:
        address = f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"
        visitor.get("/", headers={"User-Agent": AGENT}, environ_base={"REMOTE_ADDR": address})

    for _ in range(3):  # the connection, the scripts, the key of the day
        ask()
    received = int(stage.client.info("stats")["total_net_input_bytes"])
    for _ in range(times):
        ask()
    received = int(stage.client.info("stats")["total_net_input_bytes"]) - received
    return Measured(received / times, f"{received:,} of {times} pages")


@row("CPU of hello-world, on / off", "×", must=1.10, aim=1.05)
def hello(stage: Stage) -> Measured:
    return compare(stage, "/hello")
