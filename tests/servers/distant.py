"""A server that is some way off: what is sent to it, and what it answers, arrives later.

Whatever goes one way arrives in order and after the same time, however many connections there are. The
way is a process of its own, which ends with the one that made it: it takes no time of what is measured.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self


class Distant:
    """A unix socket in front of a server's, so many seconds there and back from it."""

    def __init__(self, target: str, seconds: float) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="hn-")
        self._path = str(Path(self._directory.name) / "s")
        self._command = [sys.executable, __file__, target, self._path, str(seconds / 2)]

    @property
    def url(self) -> str:
        return f"unix://{self._path}?db=0"

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._directory.cleanup()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 20):
            loop.call_later(seconds, writer.write, data)
    loop.call_later(seconds, writer.close)


async def _main(target: str, path: str, seconds: float) -> None:
    async def meet(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, questions = await asyncio.open_unix_connection(target)
        await asyncio.gather(_pass(client, questions, seconds), _pass(server, answers, seconds))

    await asyncio.start_unix_server(meet, path, backlog=100)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # nobody waits for what is still on its way


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
