# Generated from outbox/aio_sessions.py by `make generate`: change that one.
"""A session that is held open, and marked now and again, until it ends; see `Presence.session`.

Written once, for asyncio, in ``aio_sessions.py``; ``sessions.py`` is generated from that, for threads
(`make generate`). What its marks say is the business of `held`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from herenow.errors import StoreError
from herenow.outbox.held import Held
from herenow.outbox.port import Port
from herenow.store.threads import Flag, ended, start


class OpenSession(Held):
    """A session that is held open."""

    def __init__(self, presence: Any, *shows: Any) -> None:
        super().__init__(*shows)
        self._presence = presence
        self._port = Port(presence)

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Hold it open."""
        self._presence.mark_online(self.user, self._kind, self.name, self._away, self._info)
        stop = Flag()
        beat = start("herenow-session", self.beat, stop)
        try:
            yield self
        finally:
            stop.set()
            ended(beat)
            try:
                self._presence.mark_offline(self.user, self.name)
            except StoreError as error:
                self._not_ended(error)

    def update(self, *, away: bool | None = None, info: Mapping[str, Any] | None = None) -> None:
        """Say that the user is away or back, or what the session shows now."""
        self._port.mark_session(self._mark(away, info))
        self._updated(away, info)

    def beat(self, stop: Flag) -> None:
        """Mark the session until it is to stop."""
        while not stop.wait(self._port.beat_due):
            try:
                self.mark()
            except Exception as error:  # noqa: BLE001 - the next beat may go well
                self._went(error)
            else:
                self._went(None)

    def mark(self) -> None:
        """Mark the session, with all that it says."""
        self._beaten(self._port.beat(self._mark(self._away, self._info)))
