"""python -m bench: every row of the table, measured on a real server on loopback, and printed.

The exit status tells only whether it ran: a row that misses is for the reader to judge.
"""

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import bulk, logs, reads, requests, service, sightings, streams, watching
from bench.stage import ROWS, Measured, Row, Stage, on_stage

MODULES = (sightings, reads, bulk, logs, requests, service, watching, streams)
"""Whose rows these are, in the order of the table."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as JSON")
    parser.add_argument("--quick", action="store_true", help="shorter, and 100,000 for a million")
    parser.add_argument("--unix", action="store_true", help="by the unix socket, not TCP")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="the rows with all these words")
    options = parser.parse_args()
    words = [word.lower() for word in options.only or ()]
    rows = [
        one
        for module in MODULES
        for one in ROWS
        if one.measure.__module__ == module.__name__
        and all(word in one.what.lower() for word in words)
    ]
    started = time.monotonic()
    with on_stage(quick=options.quick, unix=options.unix) as stage:
        about = {**machine(stage), "quick": options.quick, "many": stage.many}
        print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
        print(f"\n{'':<58}{'measured':>10}{'must':>8}{'aim':>8}")
        results = [run(one, stage) for one in rows]
    about["seconds"] = round(time.monotonic() - started)
    print(f"\n{about['seconds']} s")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "rows": results}, indent=2) + "\n")


def machine(stage: Stage) -> dict[str, Any]:
    """Tell what it was measured on."""
    info = stage.client.info("server")
    return {
        "python": platform.python_version(),
        "redis-py": version("redis"),
        "hiredis": version("hiredis"),
        "valkey": info.get("valkey_version", info["redis_version"]),
        "transport": "unix socket" if stage.url.startswith("unix") else "TCP loopback",
        "cpu": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """Name the processor, where the system tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def run(one: Row, stage: Stage) -> dict[str, Any]:
    """Measure a row and print its line."""
    measured = one.measure(stage)
    verdict = one.verdict(measured.figure)
    if stage.quick and one.full_size_only:
        verdict = "-"
    goals = f"{figure(one.must):>8}{figure(one.aim):>8}"
    print(
        f"{one.what:<58}{figure(measured.figure):>10}{goals}  {verdict:<5}"
        f"{one.unit}  ({measured.note})",
        flush=True,
    )
    return {
        "what": one.what,
        "unit": one.unit,
        "more_is_better": one.more,
        "must": one.must,
        "aim": one.aim,
        "verdict": verdict,
        **{name: getattr(measured, name) for name in Measured.__dataclass_fields__},
    }


def figure(value: float | None) -> str:
    """Write a figure to three digits, or a dash for none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


if __name__ == "__main__":
    main()
