"""The store that a log is told to: its room, opened without throttle or buffer, and the key for hosts."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from herenow import keys
from herenow.core import Core
from herenow.execution import Engine
from herenow.presence import opener

_KEY_SECONDS = 400 * 86_400


@dataclass(frozen=True)
class LogStore:
    """A room of a store, as a log needs it."""

    core: Core
    engine: Engine
    prefix: str

    def refuse_unless_new(self) -> None:
        """Refuse a room that has anything in it: what is replayed would mix with it."""
        if self.engine.client.exists(*self.core.site.keys):
            raise click.UsageError(
                f"room {self.core.site.room!r} is not new there, and a log would mix with what it "
                "holds: name another one by --room, or another --prefix"
            )

    def hosts_key(self) -> bytes:
        """The key that hosts are hashed with: one a store and prefix, made at the first use."""
        client, name = self.engine.client, keys.hosts_key(self.prefix)
        client.set(name, secrets.token_hex(32), nx=True, ex=_KEY_SECONDS)
        client.expire(name, _KEY_SECONDS)
        return bytes.fromhex(client.get(name).decode())


@contextmanager
def open_store(
    url: str | None,
    prefix: str | None,
    room: str | None,
    window: float | None,
    timeout: float | None,
    clock: Callable[[], float] | None = None,
) -> Iterator[LogStore]:
    """Open a room by its URL; ``window`` in seconds, None for the stored one."""
    from herenow.cli.options import settings_for

    settings = settings_for(url, prefix)
    core = Core(
        window=window,
        retention=settings.retention,
        resolution=0,
        buffered=False,
        history=None,
        prefix=settings.prefix,
        clock=clock,
    )
    if room is not None:
        core.site = core.room(room, window)
    engine = Engine(opener(settings.url, timeout or settings.timeout, asynchronous=False))
    try:
        yield LogStore(core, engine, settings.prefix)
    finally:
        engine.close()
