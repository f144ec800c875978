"""The store that a log's visitors are marked in: its room, without throttle or buffer; the hosts' key."""

import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from herenow.operations import upkeep
from herenow.outbox.outbox import Outbox
from herenow.outbox.scopes import DEFAULT_ROOM
from herenow.store.engine import Engine
from herenow.store.opening import opener

if TYPE_CHECKING:
    from herenow.web.settings import Settings


@dataclass(frozen=True)
class LogStore:
    """A room of a store, as a log needs it; ``window`` in seconds, None for the stored one."""

    settings: "Settings"
    engine: Engine
    room: str
    window: float | None

    def core(self, history: float | None = None) -> Outbox:
        """Make a core whose ``site`` is the room; ``history`` is how many seconds of history it keeps."""
        core = Outbox(
            window=self.window,
            retention=self.settings.retention,
            resolution=0,
            buffered=False,
            history=history,
            prefix=self.settings.prefix,
            clock=None,
        )
        core.rooms.topology = self.engine.store
        if self.room != DEFAULT_ROOM:
            core.scopes.site = core.scopes.room(self.room, self.window, history)
        return core

    def refuse_unless_new(self) -> None:
        """Refuse a room that has anything in it: what is replayed would mix with it."""
        scope = self.core().scopes.site
        with self.engine.store.translating():
            known = self.engine.client.exists(*scope.keys)
        if known:
            raise click.UsageError(
                f"room {scope.room!r} is not new in this store, and a log would mix with what it "
                "holds: choose another --room or --prefix"
            )

    def hosts_key(self) -> bytes:
        """Derive the key that hosts are hashed with from HERENOW_SECRET, else read the store's own."""
        if self.settings.secret is not None:
            return hmac.digest(self.settings.secret.encode(), b"herenow hosts", "sha256")
        offered = secrets.token_hex(32)
        return bytes.fromhex(self.engine.call(upkeep.hosts_key(self.settings.prefix, offered)))


@contextmanager
def open_engine(url: str | None, timeout: float) -> Iterator[Engine]:
    """Open a store for raw commands and operations."""
    engine = Engine(opener(url, timeout, asynchronous=False))
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def open_store(
    url: str | None,
    prefix: str | None = None,
    room: str = DEFAULT_ROOM,
    window: float | None = None,
    timeout: float | None = None,
) -> Iterator[LogStore]:
    """Open a room by its URL."""
    from herenow.cli.options import settings_for

    settings = settings_for(url, prefix)
    with open_engine(settings.url, timeout or settings.timeout) as engine:
        yield LogStore(settings, engine, room, window)
