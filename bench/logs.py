"""Rows: a log replayed, against the bare loop that parses its lines; and one of 10,000,000 lines."""

import heapq
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.stage import Measured, Stage, row

LATE = 0.01
"""Of the lines, by up to two minutes."""
VISIT = 8
"""Lines of a visit, in about four minutes: a page, what is on it, two more pages."""


def written(lines: int, seconds: int) -> Iterator[str]:
    """Make up the lines of a Combined log, spread over so many seconds, some of them a little late."""
    dice = random.Random(1995)
    visits = lines // VISIT
    coming: list[tuple[float, int]] = []
    start = 1_700_000_000
    for visit in range(visits):
        at = start + seconds * visit / visits
        while coming and coming[0][0] <= at:
            yield line(*heapq.heappop(coming), dice)
        moment, host = at, dice.randrange(visits // 3 + 1)
        for _ in range(VISIT):
            heapq.heappush(coming, (moment, host))
            moment += dice.choice((0.0, 0.2, 0.4, 70.0))
    while coming:
        yield line(*heapq.heappop(coming), dice)


def line(at: float, host: int, dice: random.Random) -> str:
    late = dice.randrange(120) if dice.random() < LATE else 0
    moment = datetime.fromtimestamp(at - late, UTC)
    return (
        f"10.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255} - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "
        f'"GET /page/{at:.0f}.html HTTP/1.1" 200 5120 "https://birds.example/" '
        '"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"\n'
    )


def make(path: Path, lines: int, seconds: int) -> None:
    with path.open("w") as file:
        file.writelines(written(lines, seconds))


PARSE = """
import sys
from herenow.accesslog import text_parser
parser = text_parser()
split, read, count = parser.split, parser.read_time, 0
for line in open(sys.argv[1], "rb"):
    found = split(line)
    if found is not None and read(found[1]) is not None:
        count += 1
print(count)
"""


def run(*command: str) -> tuple[float, int]:
    """Run it; the seconds it took, and its largest memory in kB."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, usage.ru_maxrss


def replayed(lines: int, seconds: int, *where: str) -> tuple[float, float, int]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "access.log")
        make(log, lines, seconds)
        bare, _ = run("-c", PARSE, str(log))
        whole, memory = run("-m", "herenow", "replay", "--json", *where, str(log))
    return bare, whole, memory


def _rate(stage: Stage, lines: int, seconds: int) -> Measured:
    bouts = [replayed(lines, seconds) for _ in range(1 if stage.quick else 2)]
    ratio, bare, whole = max((bare / whole, bare, whole) for bare, whole, _ in bouts)
    return Measured(ratio, f"{lines / whole:,.0f} lines/s against {lines / bare:,.0f}")


@row("replay: a busy day, vs the bare parsing loop", "of its rate", must=None, aim=0.5, more=True)
def replay_dense(stage: Stage) -> Measured:
    return _rate(stage, 200_000 if stage.quick else 1_000_000, 17_280 if stage.quick else 86_400)


@row(
    "replay: a quiet month, vs the bare parsing loop", "of its rate", must=None, aim=0.5, more=True
)
def replay_sparse(stage: Stage) -> Measured:
    days = 6 if stage.quick else 30
    return _rate(stage, days * 33_000, days * 86_400)


@row("replay --url: a quiet month, vs the throwaway store", "x its time", must=1.3, aim=1.1)
def replay_kept(stage: Stage) -> Measured:
    days = 3 if stage.quick else 30
    _, own, _ = replayed(days * 2_880, days * 86_400)
    _, given, _ = replayed(days * 2_880, days * 86_400, "--url", stage.url, "--prefix", "kept:")
    return Measured(given / own, f"{given:.2f} s : {own:.2f} s")


@row("replay: memory at 10,000,000 lines, vs at 1,000,000", "×", must=2, aim=1.3)
def replay_memory(stage: Stage) -> Measured:
    few, many = (100_000, 1_000_000) if stage.quick else (1_000_000, 10_000_000)
    _, _, small = replayed(few, 86_400)
    _, seconds, large = replayed(many, 864_000)
    return Measured(large / small, f"{large / 1024:,.0f} MB, {many / seconds:,.0f} lines/s")
