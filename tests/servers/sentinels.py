"""Sentinels over a running master and its replicas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from .single import HOST, Server, layout, poll, started

SERVICE = "herenow-test"


@dataclass(eq=False)
class Sentinels:
    """Sentinels that watch one master under the name ``SERVICE``; closing leaves the master."""

    nodes: list[Server]
    master: Server

    @property
    def url(self) -> str:
        """redis+sentinel://…, the master's password and the sentinels' own included."""
        hosts = ",".join(f"{HOST}:{node.port}" for node in self.nodes)
        query = self.master.query
        if password := self.nodes[0].password:
            query += f"{'&' if query else '?'}sentinel_password={quote(password, safe='')}"
        return f"{self.master.scheme}+sentinel://{self.master.userinfo}{hosts}/{SERVICE}/0{query}"

    def master_port(self) -> int:
        """The port of the master, as the first sentinel alive has it."""
        alive = next(node for node in self.nodes if node.process.poll() is None)
        return int(_master(alive)["port"])

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_sentinels(
    master: Server, *, count: int = 3, replicas: int = 1, password: str | None = None
) -> Sentinels:
    """Start sentinels over a master whose ``replicas`` run, and wait until they see all.

    They fail over when the master has been silent for half a second.
    """
    config = [
        f"sentinel monitor {SERVICE} {HOST} {master.port} {count // 2 + 1}",
        f"sentinel down-after-milliseconds {SERVICE} 500",
        f"sentinel failover-timeout {SERVICE} 3000",
        *([f'sentinel auth-pass {SERVICE} "{master.password}"'] if master.password else []),
    ]

    def sentinel() -> Server:
        node = layout(master.binary, [], master.tls, password)
        file = node.directory / "sentinel.conf"  # a sentinel rewrites it, so it must be there
        pairs = zip(node.args[::2], node.args[1::2], strict=True)
        wanted = re.compile("--(port|bind|unixsocket|dir|tls-.*|requirepass)$")
        lines = [f'{name[2:]} "{value}"' for name, value in pairs if wanted.match(name)]
        file.write_text("\n".join([*lines, *config, ""]))
        node.args = [str(file), "--sentinel"]
        return node

    sentinels = Sentinels([], master)
    try:
        for _ in range(count):
            sentinels.nodes.append(started(sentinel))
        for node in sentinels.nodes:

            def sees(node: Server = node) -> bool:
                state = _master(node)
                others = state["num-other-sentinels"], state["num-slaves"]
                return others == (count - 1, replicas)

            poll(sees, "the sentinels' agreement")
    except BaseException:
        sentinels.close()
        raise
    return sentinels


def _master(sentinel: Server) -> dict[str, Any]:
    masters: Any = sentinel.control.sentinel_masters()
    state: dict[str, Any] = masters[SERVICE]
    return state
