"""Each file of the Lua opens with the keys that it reads and writes, and touches no other."""

from typing import Any

import herenow
from tests.conftest import Clock
from tests.core.accesses import FILES, Recording, declared, recording
from tests.core.machine import RETENTION, machine_for, run
from tests.operations import READS, WRITES, stock
from tests.servers import Server


def drive(server: Server, record: Recording) -> None:
    """Do all that there is, and some stories at random."""
    client = server.client()
    for call in (*READS.values(), *WRITES.values()):
        server.control.flushall()
        with herenow.Presence(client, resolution=0) as presence:
            side: Any = presence
            stock(side)
            call(side)
        record.collect()

    def opener(window: float | None, clock: Clock) -> herenow.Presence:
        return herenow.Presence(
            client, window=window, retention=RETENTION / 1000, resolution=0, clock=clock
        )

    class Noted(machine_for(opener, [server.control], server.control)):  # type: ignore[misc]
        def clean(self) -> None:
            record.collect()
            super().clean()

        def check_ttls(self) -> None:
            """The notes have none."""

    run(Noted, 20)
    client.close()


def test_every_file_reads_and_writes_the_keys_that_it_opens_with(server: Server) -> None:
    with recording(server) as record:
        drive(server, record)
    server.control.flushall()
    found: dict[str, Any] = {}
    for path in FILES:
        reads, writes = declared(path)
        more = (record.reads[path] - reads, record.writes[path] - writes)
        if any(more):
            found[path] = more
    assert not found
    assert (
        record.reads["sighting/_fast_mark.lua"] == declared("sighting/_fast_mark.lua")[0]
    )  # it was noted
