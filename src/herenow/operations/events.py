"""Reading a room's event stream: packed entries into events, as watchers may see them.

The form of an entry stands in lua/parts/room.lua. Hiding and showing are stored as such; to an
outsider they are a leave and a join.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from herenow.models import Event
from herenow.names import Kind
from herenow.operations import text, texts
from herenow.operations.scope import KIND_OF, moment

_Type = Literal["join", "leave", "update"]
_Reason = Literal["left", "timeout"]
_TYPES: Final[dict[str, tuple[_Type, _Reason | None]]] = {
    "j": ("join", None),
    "l": ("leave", "left"),
    "t": ("leave", "timeout"),
    "u": ("update", None),
}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is stored, with the kind that the user was of where that changed."""

    event: Event
    was: Kind | None


def read_entry(entry: Any, room: str) -> list[StoredEvent]:
    """Read one entry of a stream: its events, oldest first."""
    entry_id, fields = entry
    values = dict(zip(texts(fields[::2]), texts(fields[1::2]), strict=True))
    records = values["events"].split("\n")
    first = int(text(entry_id).partition("-")[0]) - len(records) + 1
    return [
        _read_record(record, number, values["at"], room)
        for number, record in enumerate(records, first)
    ]


def _read_record(record: str, number: int, entry_at: str, room: str) -> StoredEvent:
    fields = record.split("\t")
    what, user, at, session, away, info, was = fields + [""] * (7 - len(fields))
    event_type, reason = _TYPES[what[0]]
    event = Event(
        id=str(number),
        type=event_type,
        room=room,
        user=user,
        kind=KIND_OF[what[1]],
        at=moment(int(at or entry_at)),
        reason=reason,
        away=away == "1" if away else None,
        session=session if away else None,
        info=(json.loads(info) if info else {}) if away else None,
    )
    return StoredEvent(event, KIND_OF[was] if was else None)


def as_outsider(stored: StoredEvent) -> Event | None:
    """Show an event to somebody who does not see the hidden; None for what does not concern them."""
    event = stored.event
    if event.type == "update" and event.kind == "hidden" and stored.was not in (None, "hidden"):
        return replace(
            event, type="leave", kind=stored.was, reason="left", away=None, session=None, info=None
        )
    if event.kind == "hidden":
        return None
    if stored.was == "hidden":
        if event.session or event.away or event.info:
            return replace(event, type="join")
        return replace(event, type="join", away=None, session=None, info=None)
    return event
