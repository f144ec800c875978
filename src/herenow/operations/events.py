"""Reading a room's event stream: packed entries into events, as watchers may see them.

The form of an entry stands in lua/room/_room.lua. Hiding and showing are stored as such; to an
outsider they are a leave and a join, and events have numbers of their own. Owns what an event id means
(`Place`): callers may not.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, Self

from herenow import lua
from herenow.models import Event
from herenow.names import Kind
from herenow.operations import Operation, keys, text, texts
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
    f"{letter}{kind}": (*meaning, KIND_OF[kind])
    for letter, meaning in _TYPES.items()
    for kind in "mhgb"
}
_SAYING: Final = 5
"""How many fields follow the user where an event says anything of their session: as few as one else."""


class StoredEvent(NamedTuple):
    """An event as it is stored, with the kind that the user was of where that changed.

    ``number`` is its number, ``shown`` that of the last event up to it that outsiders see, ``tail`` what
    the ids end with.
    """

    event: Event
    was: Kind | None
    number: int
    shown: int
    at: int
    tail: str


class Place(NamedTuple):
    """A place in a room's events: what an event id says.

    ``number`` is that of the last event known; ``moment``, in milliseconds, that of the snapshot it began
    with, 0 for none: leaves by timeout at or before it are known too; ``history`` that of the store.
    To outsiders it counts what they see. For who sees the hidden it counts all, and ``shown`` is the
    number for outsiders there, None where that is the same.
    """

    number: int
    moment: int = 0
    history: str = ""
    shown: int | None = None

    def __str__(self) -> str:
        number = _number(self.number, self.shown)
        since = f"-{self.moment}" if self.moment else ""
        return f"{number}{since}" + (f"-h{self.history}" if self.history else "")

    @classmethod
    def of(
        cls, counters: Sequence[int], moment: int, history: str, *, include_hidden: bool
    ) -> Self:
        """Make the place of somebody who knows all there is; both counters as the store gives them."""
        number, shown = counters
        if not include_hidden:
            return cls(shown, moment, history)
        return cls(number, moment, history, None if shown == number else shown)

    def seen_by(self, *, include_hidden: bool) -> Self:
        """Give the place as an outsider has it, where an outsider goes on from it."""
        if include_hidden or self.shown is None:
            return self
        return self._replace(number=self.shown, shown=None)

    @property
    def start(self) -> str:
        """The id after which the entries follow, in the stream, for who sees the hidden."""
        return f"{self.number if self.shown is None else self.shown}-{self.number}"

    @classmethod
    def parse(cls, event_id: object) -> Self:
        """Read an event id; ValueError for what is none."""
        found = _PLACE.fullmatch(event_id) if isinstance(event_id, str) else None
        if found is None:
            raise ValueError(
                "after is the id of an Event, the event_id of a Snapshot, or None; "
                f"not {event_id!a:.80}"
            )
        shown = None if found[2] is None or int(found[2]) == int(found[1]) else int(found[2])
        return cls(int(found[1]), int(found[3] or 0), found[4] or "", shown)


_PLACE: Final = re.compile(
    r"([0-9]{1,16})(?:\.([0-9]{1,16}))?(?:-([0-9]{1,16}))?(?:-h([0-9a-f]{1,40}))?"
)
_LAST_OF_ALL: Final = 2**64 - 1


def _number(number: int, shown: int | None) -> str:
    return str(number) if shown is None or shown == number else f"{number}.{shown}"


def read_bell(rung: Any) -> tuple[int, int]:
    """Read what a doorbell rings: the numbers of the last event, for outsiders and for others."""
    shown, _, number = text(rung).partition("-")
    return int(shown), int(number)


class Reading(NamedTuple):
    """A read of a room's events, for outsiders or not: times in milliseconds, -1 where there is none."""

    now: int
    window: int
    end: Place
    """Where the room is now."""
    born: int
    due: int
    due_seen: int
    """The same of those whom the reader may see."""
    whole: bool
    """Whether nothing follows them."""
    events: list[StoredEvent]
    """Those that the reader may see, as they see them and with their numbers."""

    @property
    def counter(self) -> int:
        """The number of the last event."""
        return self.end.number


def read(
    scope: Scope, after: Place | None, most: int, *, include_hidden: bool
) -> Operation[Reading]:
    """Read the events after a place, at most so many entries of them."""
    script = lua.load("reading/events")

    def reading(reply: Any) -> Reading:
        now, window, counters, born, history, due, due_seen, entries, number = reply
        of = text(history)
        tail = f"-h{of}" if of else ""
        events = [one for entry in entries for one in read_entry(entry, scope.room, tail)]
        if not include_hidden:
            events = [seen for one in events if (seen := _seen_by_outsiders(one)) is not None]
        end = Place.of(counters, 0, of, include_hidden=include_hidden)
        return Reading(now, window, end, born, due, due_seen, number < most, events)

    start = ""
    if after is not None:
        start = after.start if include_hidden else f"{after.number}-{_LAST_OF_ALL}"
    hidden = "1" if include_hidden else ""
    args = script.order(*scope.looking(), after=start, limit=most, with_hidden=hidden)
    return Operation(script, keys.of(scope.keys, script), args, reading)


def read_entry(entry: Any, room: str, tail: str = "") -> list[StoredEvent]:
    """Read one entry of a stream: its events, oldest first; ``tail`` is what their ids end with."""
    entry_id, fields = entry
    values = dict(zip(texts(fields[::2]), texts(fields[1::2]), strict=True))
    records = values["events"].split("\n")
    shown, _, last = text(entry_id).partition("-")
    number, shown_number = int(last) - len(records), int(shown)
    parts = [record.split("\t") for record in records]
    shown_number -= sum(map(_is_shown, parts))
    made_of = values["at"]
    at, when, found = int(made_of), moment(int(made_of)), []
    for part in parts:
        what, user, *said = part
        number += 1
        shown_number += _is_shown(part)
        own = (said and said[0]) or values["at"]
        if own != made_of:  # what came together is often of one moment, which is then made once
            made_of, at, when = own, int(own), moment(int(own))
        event_type, reason, kind = _WHAT[what]
        event_id = f"{_number(number, shown_number)}{tail}"
        if len(said) < _SAYING:
            event = Event(event_id, event_type, room, user, kind, when, reason)
            found.append(StoredEvent(event, None, number, shown_number, at, tail))
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
            found.append(StoredEvent(event, event.was, number, shown_number, at, tail))
    return found


def _is_shown(record: Sequence[str]) -> bool:
    return record[0][1] != "h" or (
        len(record) > _SAYING + 1 and record[_SAYING + 1] not in ("", "h")
    )


def _seen_by_outsiders(stored: StoredEvent) -> StoredEvent | None:
    event = as_outsider(stored)
    return None if event is None else stored._replace(event=event, number=stored.shown)


def as_outsider(stored: StoredEvent) -> Event | None:
    """Show an event to somebody who does not see the hidden; None for what does not concern them."""
    event = stored.event
    if stored.number != stored.shown:
        event = replace(event, id=f"{stored.shown}{stored.tail}")
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
