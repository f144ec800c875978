"""How long ago things were, by the clock that told when they were: the store's, not this machine's."""

from datetime import datetime
from typing import TYPE_CHECKING

from herenow.operations.events import Place
from herenow.operations.scope import moment

if TYPE_CHECKING:
    from herenow.models import Snapshot


def now_of(snapshot: "Snapshot") -> datetime:
    """When a snapshot was taken, by the store's clock."""
    return moment(Place.parse(snapshot.event_id).moment)
