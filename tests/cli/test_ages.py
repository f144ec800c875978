"""How long ago users were seen, on a machine whose clock is not the store's."""

import os
import re
from pathlib import Path

import pytest

import herenow
from tests.cli.conftest import environment
from tests.cli.terminals import start_on_terminal
from tests.servers import Server

SHIFTED = """
import datetime


class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(hours={hours})


datetime.datetime = Shifted
"""


@pytest.mark.parametrize("hours", [-5, 5])
def test_ages_are_by_the_stores_clock(server: Server, place: Path, hours: int) -> None:
    (place / "sitecustomize.py").write_text(SHIFTED.format(hours=hours))
    path = os.pathsep.join([str(place), environment()["PYTHONPATH"]])
    with herenow.Presence(server.url, resolution=0, timeout=5) as presence:
        after = presence.snapshot().event_id
        presence.mark_online_many([herenow.Sighting("alice", age=185), "bob"])
    for call in (
        ["online"],
        ["seen", "alice", "bob"],
        ["watch", "--after", after, "--events", "2"],
    ):
        code, shown, _ = start_on_terminal(
            call, PYTHONPATH=path, HERENOW_URL=server.url, NO_COLOR="1"
        )
        assert code == 0, shown
        assert re.search(r"alice .*3 minutes ago", shown), (call, shown)
        assert re.search(r"bob .*(now|seconds? ago)", shown), (call, shown)
        assert "hours" not in shown
        assert "from now" not in shown
