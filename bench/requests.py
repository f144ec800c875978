"""Requests: what herenow adds to the processor time of a page, under gunicorn, on against off.

Two sites, a worker each, take turns; every tenth request is of an address that was never seen. The time
is what the kernel says the worker's threads have run, the flusher's too.
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

from bench.stage import Measured, Stage, row

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

    def seconds(self) -> float:
        """How long the worker has run on a processor."""
        told = (one / "schedstat" for one in self._threads.iterdir())
        return sum(int(one.read_text().split()[0]) for one in told) / 1e9

    def ask(self, path: str, times: int) -> None:
        """Ask for a page, nine times in ten as somebody known."""
        question = f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: {AGENT}\r\n\r\n".encode()
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
def site(stage: Stage, folder: Path, *, on: bool) -> Iterator[Site]:
    """Run the site, with herenow or without."""
    output = folder / f"output-{on}"
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
                "WITH_HERENOW": "1" if on else "",
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
    """Ask both in turns; the ratio of the processor time, as the median of the paired turns."""
    times = REQUESTS // (10 if stage.quick else 1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with sqlite3.connect(folder / "posts") as database:
            database.execute("CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
            rows = ((f"Post {i}", f"Text {i} " * 20) for i in range(1000))
            database.executemany("INSERT INTO post (title, body) VALUES (?, ?)", rows)
        database.close()
        sites = [stack.enter_context(site(stage, folder, on=on)) for on in (True, False)]
        for one in sites:
            one.ask(path, 300)
        spent: tuple[list[float], list[float]] = ([], [])
        for turn in range(times // IN_A_ROW):
            order = (0, 1) if turn % 2 else (1, 0)
            for i in order:
                before = sites[i].seconds()
                sites[i].ask(path, IN_A_ROW)
                spent[i].append((sites[i].seconds() - before) / IN_A_ROW)
    ratio = statistics.median(on / off for on, off in zip(*spent, strict=True))
    on, off = (statistics.median(one) * 1e6 for one in spent)
    total = sum(spent[0]) / sum(spent[1])
    return Measured(ratio, f"{on:.0f} µs on, {off:.0f} µs off; of all together {total:.3f}")


@row("CPU of a page with a template and a query, on / off", "×", must=1.03, aim=1.02)
def page(stage: Stage) -> Measured:
    return compare(stage, "/")


@row("CPU of hello-world, on / off", "×", must=1.10, aim=1.05)
def hello(stage: Stage) -> Measured:
    return compare(stage, "/hello")
