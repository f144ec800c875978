"""Memory after a peak is the system's again."""

import platform
import subprocess
import sys
import textwrap

import pytest

from tests.cli.conftest import environment

PROGRAM = """
import sys, time, psutil
from herenow.service.memory import Trimmer

def rss():
    return psutil.Process().memory_info().rss / 2**20

trimmer = Trimmer(0.2) if sys.argv[1] == "on" else None
began = rss()
whole = [bytes(20_000) for _ in range(10_000)]
time.sleep(1)
peak, kept = rss(), whole[::100]
del whole
end = time.monotonic() + (20 if trimmer else 2)
while rss() > began + 60 and time.monotonic() < end:
    time.sleep(0.1)
print(peak - began, rss() - began, len(kept))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that keeps it")
@pytest.mark.parametrize("trimmed", [True, False])
def test_what_a_peak_took_is_given_back(trimmed: bool) -> None:
    """What little is in use between what is free keeps all of it in the heap, if nobody does."""
    words = [sys.executable, "-c", textwrap.dedent(PROGRAM), "on" if trimmed else "off"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    peak, after, _ = map(float, done.stdout.split())
    assert peak > 150
    assert (after < 60) is trimmed
