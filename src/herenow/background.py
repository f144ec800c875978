"""What a Presence does by threads: send what is buffered, and keep open sessions fresh.

Buffered marks are sent half a second after they came, and before whatever reads. One flush at a time; who
must wait behind one that hangs waits no longer than the store's own timeout. For asyncio's, see
`aio_background`.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, TypeVar

from herenow.buffer import Flusher
from herenow.core import Core
from herenow.errors import StoreError, StoreTimeout
from herenow.execution import Engine
from herenow.names import Kind
from herenow.operations import Plan, marking
from herenow.operations.marking import Mark

T = TypeVar("T")
_log: Final = logging.getLogger("herenow")
BUSY: Final = "the store did not answer in time: a flush is under way"


class Flushing:
    """When the buffer of a sync Presence is sent: by a thread, and before whatever reads."""

    def __init__(self, core: Core, engine: Engine, patience: float) -> None:
        self._core = core
        self._engine = engine
        self._patience = 2 * patience  # locks are not fair: a busy process is no hung store
        self._flusher = Flusher(self.send_all, core.flush_after)

    @property
    def busy(self) -> bool:
        """Whether anything waits, or is being sent."""
        return bool(self._core.buffer) or self._flusher.sending.locked()

    def wake(self) -> None:
        """Have what was put sent soon."""
        self._flusher.wake()

    def send_all(self) -> None:
        """Send all that waits, of every room. What the store does not take waits on."""
        if self.busy and self._core.buffer is not None:
            try:
                with self._alone():
                    self._engine.run(self._core.flush_all())
            finally:
                self._again()

    def run_after(self, room: str, plan: Plan[T]) -> T:
        """Run a plan after what waits for its room, in the same round trip."""
        try:
            with self._alone():
                return self._engine.run(self._core.after(room, plan))
        finally:
            self._again()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # a store that hangs costs whoever waits behind a flush its own timeout, not the sum of all
        engine = self._engine
        engine.open()  # which may take its time, the first time
        engine.refuse()
        sending = self._flusher.sending
        began = monotonic()
        if not sending.acquire(timeout=self._patience):
            raise engine.failed(StoreTimeout(BUSY), began)
        try:
            yield
        finally:
            sending.release()

    def _again(self) -> None:
        if self._core.buffer:
            self._flusher.wake()

    def close(self) -> None:
        """Send all that waits, and stop the thread."""
        self._flusher.close()
        self._engine.store.hasten()
        try:
            self.send_all()
        finally:
            self._flusher.close()
            self._again()  # what came meanwhile, or could not be sent


class OpenSession:
    """A session that is held open; see `Presence.session`.

    Each beat says what the session shows, so that a store that lost it has it back; and the kind, which
    others may have changed, for where its user is gone: they come back as that, but hidden where they
    were when they were last seen here.
    """

    def __init__(
        self,
        presence: Any,
        user: object,
        name: str,
        kind: Kind | None,
        away: bool | None,
        info: Mapping[str, Any] | None,
    ) -> None:
        self.user = user
        self.name = name
        self._presence = presence
        self._kind = kind
        self._hidden = False
        self._away = away
        self._info = info
        self._trouble: str | None = None

    def update(self, *, away: bool | None = None, info: Mapping[str, Any] | None = None) -> None:
        """Say that the user is away or back, or what the session shows now."""
        self._presence._mark_session(self._said(away, info))  # noqa: SLF001 - one of its parts
        self._away = self._away if away is None else away
        self._info = self._info if info is None else info

    def beat(self, stop: threading.Event) -> None:
        """Mark the session until told to stop."""
        while not stop.wait(self._presence.beat_due):
            try:
                self.mark()
                self._trouble = None
            except Exception as error:  # noqa: BLE001 - the next beat may go well
                self._trouble = told_once(self.user, error, self._trouble)

    def mark(self) -> None:
        """Mark the session, with all that it says."""
        kind = self._presence._beat(self._said(self._away, self._info))  # noqa: SLF001
        self._hidden = self._hidden if kind is None else kind == "hidden"

    def _said(self, away: bool | None, info: Mapping[str, Any] | None) -> Mark:
        kind = "hidden" if self._hidden else self._kind
        return marking.beat(self.user, kind, self.name, away, info)


def told_once(user: object, error: Exception, before: str | None) -> str | None:
    """Log why a held session is not kept fresh, unless that was logged at the beat before.

    What to give as ``before`` at the next. A store that is unavailable has its own line in the log.
    """
    if isinstance(error, StoreError):
        _log.debug("a session waits for the store: %s", error)
        return before
    if str(error) != before:
        # a rule that only the store knows says it all; anything else is not foreseen
        unforeseen = None if isinstance(error, ValueError) else error
        _log.warning("a session of %r is not kept fresh: %s", user, error, exc_info=unforeseen)
    return str(error)
