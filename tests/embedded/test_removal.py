"""A directory that is removed once its server is up: the server goes with its users all the same."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from herenow.embedded import supervisor
from herenow.embedded.programs import find_server
from tests.embedded.conftest import processes, servers, until

# What users do, in the moment in which no test can be in time from outside.
HASTY = """
import shutil, subprocess, sys
from herenow.embedded import supervisor

class Popen(subprocess.Popen):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        while supervisor.ask(supervisor.SOCKET, "PING", 1.0) != "+PONG":
            pass
        shutil.rmtree(sys.argv[1])

subprocess.Popen = Popen
supervisor.main(sys.argv[1], "persistent", sys.argv[2])
"""


def test_who_removes_it_at_once_leaves_no_server_behind(directory: Path) -> None:
    directory.mkdir()
    users = supervisor.lock(directory / supervisor.USERS, fcntl.LOCK_SH)
    assert users is not None
    subprocess.run(
        [sys.executable, "-c", HASTY, str(directory), find_server().path],
        env={**os.environ, "PYTHONPATH": str(Path(supervisor.__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    until(lambda: servers(directory))
    os.close(users)
    until(lambda: not processes(directory))
