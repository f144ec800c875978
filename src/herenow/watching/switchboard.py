"""Which doorbells are to be connected, and how; no I/O."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

from herenow.watching.hub import ANYWAY, DEAF, PATIENCE, Hub

_log: Final = logging.getLogger("herenow")


class Switchboard:
    """Which doorbells are to be connected, and how; for one driver."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.verb = "SSUBSCRIBE"
        self.stale = False
        """Whether the cluster's slots are to be asked for anew."""
        self._known: set[bytes] = set()
        self._lost: dict[bytes, None] = {}
        self._tries = 0
        self._again = 0.0

    def unwanted(self, channels: Sequence[bytes]) -> list[bytes]:
        """Compare with what is wanted now: those to be dropped; the new ones are then in `take`."""
        wanted = set(channels)
        with self._lock:
            if wanted == self._known:
                return []
            dropped = self._known - wanted
            for channel in dropped:
                self._lost.pop(channel, None)
            self._lost.update(dict.fromkeys(wanted - self._known))
            self._known = wanted
            return list(dropped)

    def take(self) -> list[bytes]:
        """Take those to be connected now."""
        with self._lock:
            if not self._lost or time.monotonic() < self._again:
                return []
            taken, self._lost = self._lost, {}
            return list(taken)

    def seconds(self) -> float:
        """How long until some are to be connected."""
        return max(0.0, self._again - time.monotonic()) if self._lost else ANYWAY

    def connected(self) -> None:
        """Note that one is."""
        self._tries = 0

    def lost(self, channels: Iterable[bytes], *, stale: bool = False) -> None:
        """Have some connected again, a little later each time that fails."""
        with self._lock:
            self.stale = self.stale or stale
            self._lost.update(dict.fromkeys(one for one in channels if one in self._known))
            least, most = PATIENCE
            self._again = time.monotonic() + min(most, least * 2 ** min(self._tries, 10))
            self._tries += 1

    def failed(self, channels: Iterable[bytes], error: Exception, hub: Hub) -> None:
        """Have those of a line that ended connected again, by what can be learned from its end."""
        reason = str(error).lower()
        self.lost(channels, stale=True)
        if "unknown command" in reason or "unknown redis command" in reason:
            self.verb = "SUBSCRIBE"  # Redis 6.2
            self._again = 0.0
        elif "noperm" in reason or "no permissions" in reason or "permissions to access" in reason:
            if hub.be_deaf():
                _log.warning(
                    "no permission to hear the doorbells: rooms are looked at every %g s (%s)",
                    DEAF,
                    error,
                )
            self._again = time.monotonic() + ANYWAY
