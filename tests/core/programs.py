"""Programs of a few lines, run as real processes, that import herenow as the tests do."""

import os
import subprocess
import sys
from pathlib import Path

import herenow

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(Path(herenow.__file__).parents[1]), str(ROOT)])
BEGIN = """
import os, signal, sys, threading, time
import herenow
URL = sys.argv[1]
"""


def start(
    url: str, text: str, *, begin: str = BEGIN, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a program, to be ended by whoever starts it; it prints, and its errors, into pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", begin + text, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PATH, **(environment or {})},
        start_new_session=True,
    )


def run(
    url: str,
    text: str,
    *,
    begin: str = BEGIN,
    status: int | None = 0,
    environment: dict[str, str] | None = None,
) -> tuple[str, str]:
    """Run a program to its end, which comes within half a minute; what it printed, and its errors.

    ``status`` None: however it ends.
    A child that it forks and that hangs is killed with it.
    """
    process = start(url, text, begin=begin, environment=environment)
    try:
        printed, errors = process.communicate(timeout=90)
    except BaseException:
        os.killpg(process.pid, 9)
        process.communicate()
        raise
    assert status in (None, process.returncode), f"{process.returncode}: {errors}"
    return printed, errors
