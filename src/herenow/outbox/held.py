"""A session that is held open, as both facades have it: what its marks say, and what is logged of it.

Each beat says what the session shows, so that a store that lost it has it back; and the kind, which
others may have changed, for where its user is gone: they come back as that, but hidden where they were
when they were last online here.
"""

import logging
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any, Final

from herenow import names
from herenow.errors import StoreError
from herenow.operations import marking
from herenow.operations.marking import Mark

_log: Final = logging.getLogger("herenow")


class Held:
    """What a held session shows; ``name`` is a random one where ``session`` is None."""

    def __init__(
        self,
        user: object,
        session: str | None,
        kind: names.Kind | None,
        away: bool | None,
        info: Mapping[str, Any] | None,
    ) -> None:
        self.user = user
        self.name = token_urlsafe(9) if session is None else names.clean_session(session)
        self._kind = kind
        self._hidden = False
        self._away = away
        self._info = info
        self._logged: str | None = None

    def _mark(self, away: bool | None, info: Mapping[str, Any] | None) -> Mark:
        kind = "hidden" if self._hidden else self._kind
        return marking.beat(self.user, kind, self.name, away, info)

    def _updated(self, away: bool | None, info: Mapping[str, Any] | None) -> None:
        self._away = self._away if away is None else away
        self._info = self._info if info is None else info

    def _beaten(self, kind: names.Kind | None) -> None:
        """Take as what the user was online after a mark."""
        self._hidden = self._hidden if kind is None else kind == "hidden"

    def _went(self, error: Exception | None) -> None:
        """Take how a beat went: log why the session is not kept fresh, unless that was logged before.

        A store that is unavailable has its own line in the log.
        """
        if error is None:
            self._logged = None
        elif isinstance(error, StoreError):
            _log.debug("a session waits for the store: %s", error)
        else:
            if str(error) != self._logged:
                # a rule that only the store knows says it all; anything else is not foreseen
                unforeseen = None if isinstance(error, ValueError) else error
                _log.warning(
                    "a session of %r is not kept fresh: %s", self.user, error, exc_info=unforeseen
                )
            self._logged = str(error)

    @staticmethod
    def _not_ended(error: StoreError) -> None:
        _log.warning("a session ends by itself, within the window: %s", error)
