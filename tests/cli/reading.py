"""Whether a program only read: what a server has counted, and what is in it, before and after."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers import Server


@contextmanager
def only_read(*servers: Server) -> Iterator[set[str]]:
    """Fail where anything in the servers changed, or a command that may write was sent.

    Gives a set that holds, in the end, the names of all commands that were sent.
    """
    before = [_contents(server.control) for server in servers]
    for server in servers:
        server.control.config_resetstat()
    sent: set[str] = set()
    yield sent
    for server, (changes, held) in zip(servers, before, strict=True):
        stats = server.control.info("commandstats")
        sent |= {name.removeprefix("cmdstat_").partition("|")[0] for name in stats}
        changes_now, held_now = _contents(server.control)
        assert changes_now == changes
        assert held_now.keys() <= held.keys()
        now = time.time()
        for key, (value, expires) in held.items():
            if key not in held_now:
                assert expires < now + 1  # by itself
                continue
            assert held_now[key][0] == value
            assert abs(held_now[key][1] - expires) < 2
    known = servers[0].control.command()
    assert not {name for name in sent if "write" in known.get(name, {"flags": []})["flags"]}


def _contents(client: Any) -> tuple[int, dict[bytes, tuple[bytes, float]]]:
    """How often anything was changed; every key with its value and the moment when it expires."""
    keys = sorted(client.scan_iter(count=1000))
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.execute_command("DUMP", key)
            pipeline.execute_command("PTTL", key)
        pipeline.time()
        *said, (now, _) = pipeline.execute()
    expires = [now + left / 1000 for left in said[1::2]]
    held = dict(zip(keys, zip(said[::2], expires, strict=True), strict=True))
    return client.info("persistence")["rdb_changes_since_last_save"], held
