"""herenow: who is online right now, exactly, in one round trip, on Redis or Valkey.

    presence = herenow.Presence()
    presence.mark_online("alice")
    presence.get_online_users()

`Presence` is for code that blocks, `AsyncPresence` for asyncio. Nothing but names is imported here: a
client library is, at the first use.
"""

import logging
from typing import TYPE_CHECKING, Any

from herenow.errors import (
    StoreError,
    StoreTimeout,
    StoreUnavailable,
    TooManySessions,
    WindowTooLong,
)
from herenow.models import (
    Counts,
    Event,
    Explanation,
    Health,
    Page,
    Peak,
    Room,
    Sample,
    Session,
    Sighting,
    Snapshot,
    UserPresence,
    Visitor,
)
from herenow.presence import Presence
from herenow.web.escapes import Escaping, Signing

if TYPE_CHECKING:
    from herenow.aio import AsyncPresence
    from herenow.web.tokens import sign_token

for _filter in (Escaping(), Signing()):
    logging.getLogger("herenow").addFilter(_filter)

__version__ = "0.1.0.dev0"

__all__ = [
    "AsyncPresence",
    "Counts",
    "Event",
    "Explanation",
    "Health",
    "Page",
    "Peak",
    "Presence",
    "Room",
    "Sample",
    "Session",
    "Sighting",
    "Snapshot",
    "StoreError",
    "StoreTimeout",
    "StoreUnavailable",
    "TooManySessions",
    "UserPresence",
    "Visitor",
    "WindowTooLong",
    "sign_token",
]


def __getattr__(name: str) -> Any:
    if name == "AsyncPresence":  # asyncio is for those who use it
        from herenow.aio import AsyncPresence

        return AsyncPresence
    if name == "sign_token":
        from herenow.web.tokens import sign_token

        return sign_token
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
