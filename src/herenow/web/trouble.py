"""What an adapter has instead of a store that answers: the note that it does not, or no store at all."""

import logging
from datetime import UTC, datetime
from typing import Any, Final

from herenow.errors import StoreError, StoreUnavailable
from herenow.models import Health
from herenow.presence import Presence

_log: Final = logging.getLogger("herenow")


class Trouble:
    """Whether the store of a site lately answered. What is wrong with it, its breaker and it log."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._answers = True

    def note(self, error: StoreError | None) -> None:
        """Note how a call went."""
        if not self.enabled:
            return
        if error is not None and self._answers:
            _log.debug("pages are served without the store: %s", error)
        elif error is None and not self._answers:
            _log.debug("pages are served with the store again")
        self._answers = error is None


class Disabled(Presence):
    """The Presence of a site where herenow is disabled: no store, so none that answers.

    Whatever a Presence can be asked raises StoreUnavailable, but for what asks no store.
    """

    def __init__(self) -> None:
        super().__init__("redis://disabled.invalid")
        self._since = datetime.now(UTC)

    def health(self) -> Health:
        """Say that there is none."""
        return Health(False, self._since, None, 0)


def _disabled(*_: object, **__: object) -> Any:
    raise StoreUnavailable("herenow is disabled: HERENOW_ENABLED is false")


_ASKS_NOTHING: Final = frozenset(("close", "flush", "name", "room"))

for _name in ("_act", "_call", "_run"):  # by which a port asks
    setattr(Disabled, _name, _disabled)
for _name, _member in vars(Presence).items():
    if not (_name.startswith("_") or _name in _ASKS_NOTHING or _name in vars(Disabled)):
        setattr(
            Disabled, _name, property(_disabled) if isinstance(_member, property) else _disabled
        )
