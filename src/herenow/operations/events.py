"""Reading a room's event stream: packed entries into events, as watchers may see them.

The form of an entry stands in lua/parts/room.lua. Hiding and showing are stored as such; to an
outsider they are a leave and a join. Owns what an event id means (`Place`): callers may not.
"""

import json
import re
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, Self

from herenow import keys, lua
from herenow.models import Event
from herenow.names import Kind
from herenow.operations import Operation, text, texts
from herenow.operations.scope import KIND_OF, Scope, moment

_Type = Literal["join", "leave", "update"]
_Reason = Literal["left", "timeout"]
_TYPES: Final[dict[str, tuple[_Type, _Reason | None]]] = {
    "j": ("join", None),
    "l": ("leave", "left"),
    "t": ("leave", "timeout"),
    "u": ("update", None),
}
_WHAT: Final = {
    f"{letter}{kind}": (*told, KIND_OF[kind]) for letter, told in _TYPES.items() for kind in "mhgb"
}
_SAYING: Final = 5
"""How many fields follow the user where an event says anything of her session: as few as one else."""


class StoredEvent(NamedTuple):
    """An event as it is stored, with the kind that the user was of where that changed."""

    event: Event
    was: Kind | None
    number: int = 0
    at: int = 0


class Place(NamedTuple):
    """A place in a room's events: what an event id says.

    ``number`` is that of the last event known; ``moment``, in milliseconds, that of the snapshot it began
    with, 0 for none: leaves by timeout at or before it are known too; ``history`` that of the store.
    """

    number: int
    moment: int = 0
    history: str = ""

    def __str__(self) -> str:
        since = f"-{self.moment}" if self.moment else ""
        return f"{self.number}{since}" + (f"-h{self.history}" if self.history else "")

    @classmethod
    def parse(cls, event_id: object) -> Self:
        """Read an event id; ValueError for what is none."""
        found = _PLACE.fullmatch(event_id) if isinstance(event_id, str) else None
        if found is None:
            raise ValueError(
                "after is the id of an Event, the event_id of a Snapshot, or None; "
                f"not {event_id!a:.80}"
            )
        return cls(int(found[1]), int(found[2] or 0), found[3] or "")


_PLACE: Final = re.compile(r"([0-9]{1,16})(?:-([0-9]{1,16}))?(?:-h([0-9a-f]{1,40}))?")


class Told(NamedTuple):
    """A read of a room's events: times in milliseconds, -1 where there is none."""

    now: int
    window: int
    counter: int
    born: int
    history: str
    due: int
    whole: bool
    """Whether nothing follows them."""
    events: list[StoredEvent]


def read(scope: Scope, after: int | None, most: int) -> Operation[Told]:
    """Read the events after a number, at most so many entries of them."""
    first_online, last_online = keys.ONLINE["member"], keys.ONLINE["bot"]
    wanted = (
        scope.keys[keys.META],
        scope.keys[keys.EVENTS],
        *scope.keys[first_online : last_online + 1],
    )

    def told(reply: Any) -> Told:
        now, window, counter, born, history, due, entries = reply
        of = text(history)
        tail = f"-h{of}" if of else ""
        events = [one for entry in entries for one in read_entry(entry, scope.room, tail)]
        return Told(now, window, counter, born, of, due, len(entries) < most, events)

    args = (*scope.looking(), "" if after is None else after, most)
    return Operation(lua.load("events"), wanted, args, told)


def read_entry(entry: Any, room: str, tail: str = "") -> list[StoredEvent]:
    """Read one entry of a stream: its events, oldest first; ``tail`` is what their ids end with."""
    entry_id, fields = entry
    values = dict(zip(texts(fields[::2]), texts(fields[1::2]), strict=True))
    records = values["events"].split("\n")
    first = int(text(entry_id).partition("-")[0]) - len(records) + 1
    made_of = values["at"]
    at, when, found = int(made_of), moment(int(made_of)), []
    for number, record in enumerate(records, first):
        what, user, *said = record.split("\t")
        own = (said and said[0]) or values["at"]
        if own != made_of:  # what came together is often of one moment, which is then made once
            made_of, at, when = own, int(own), moment(int(own))
        event_type, reason, kind = _WHAT[what]
        event_id = f"{number}{tail}"
        if len(said) < _SAYING:
            event = Event(event_id, event_type, room, user, kind, when, reason)
            found.append(StoredEvent(event, None, number, at))
        else:
            _, session, away, info, was = said
            event = Event(
                event_id,
                event_type,
                room,
                user,
                kind,
                when,
                reason,
                away=away == "1",
                session=session,
                info=json.loads(info) if info else {},
                was=KIND_OF[was] if was else None,
            )
            found.append(StoredEvent(event, event.was, number, at))
    return found


def as_outsider(stored: StoredEvent) -> Event | None:
    """Show an event to somebody who does not see the hidden; None for what does not concern them."""
    event = stored.event
    if event.type == "update" and event.kind == "hidden" and stored.was not in (None, "hidden"):
        shown = replace(event, type="leave", kind=stored.was, reason="left", was=None)
        return replace(shown, away=None, session=None, info=None)
    if event.kind == "hidden":
        return None
    if stored.was == "hidden":
        if event.session or event.away or event.info:
            return replace(event, type="join", was=None)
        return replace(event, type="join", was=None, away=None, session=None, info=None)
    return event
