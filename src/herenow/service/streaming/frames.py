"""What is sent: events, resets, diffs and counts as server-sent events, each encoded once.

A `Frame` is shared by all of its readers. `Net` is what a room's events of an interval come to.
"""

from dataclasses import replace
from typing import Any, Final

from sse_starlette import ServerSentEvent

from herenow.models import Counts, Event, Snapshot, UserPresence
from herenow.operations import scope
from herenow.operations.events import Place
from herenow.service.documents import json_bytes
from herenow.service.streaming.ids import UNKNOWN, Known, StreamId
from herenow.web.json_form import json_form, moment

COMMENT: Final = b":\n"
"""No blank line follows: some clients take one for the end of an event, of an empty one."""


class Frame:
    """One server-sent event. ``place`` is where its room is then; None where that is not known."""

    __slots__ = ("body", "known", "whole")

    def __init__(
        self, event: str, data: dict[str, Any], place: Place | None, *, netted: bool = False
    ) -> None:
        self.known = None if place is None else Known(place, netted)
        self.body = ServerSentEvent(json_bytes(data).decode(), event=event, sep="\n").encode()
        self.whole = (
            b"id: %b\n" % (UNKNOWN if place is None else str(self.known)).encode() + self.body
        )
        """As it is in a stream of one room."""

    def among(self, stream_id: StreamId, room: int) -> bytes:
        """Write it as it is in a stream of several rooms, of which this is its."""
        stream_id.move(room, self.known)
        return b"id: %b\n" % str(stream_id).encode() + self.body


def beginning(retry: int) -> bytes:
    """What a stream begins with: a comment, and when to come back, in milliseconds."""
    return ServerSentEvent(comment="herenow", retry=retry, sep="\n").encode().rstrip(b"\n") + b"\n"


def event_frame(event: Event, *, hidden: bool) -> Frame:
    """Something that happened."""
    return Frame(event.type, json_form(event, hidden=hidden), Place.parse(event.id))


def reset_frame(room: str, snapshot: Snapshot, *, hidden: bool) -> Frame:
    """Start over from this."""
    place = Place.parse(snapshot.event_id)
    at = scope.moment(place.moment)
    return event_frame(
        Event(snapshot.event_id, "reset", room, None, None, at, snapshot=snapshot), hidden=hidden
    )


def narrow(snapshot: Snapshot, users: list[UserPresence]) -> Snapshot:
    """Show these users of a moment alone."""
    return replace(snapshot, users=tuple(users), next_page=None)


def counts_frame(
    room: str, counts: Counts, place: Place | None, *, hidden: bool, netted: bool = False
) -> Frame:
    """How many are online. Without a place it is all that is sent of the room: ``only``."""
    data = {"room": room, "counts": json_form(counts, hidden=hidden), "only": place is None}
    return Frame("counts", data, place, netted=netted)


class Net:
    """What the events of an interval come to, user by user."""

    __slots__ = ("_users",)

    def __init__(self) -> None:
        self._users: dict[str, _Change] = {}

    def __len__(self) -> int:
        return len(self._users)

    def add(self, event: Event) -> None:
        """Take the next event in."""
        user = str(event.user)
        change = self._users.get(user)
        if change is None:
            change = self._users[user] = _Change(event)
        change.add(event)

    def clear(self) -> None:
        """Forget it all."""
        self._users.clear()

    def frame(
        self, room: str, counts: Counts, place: Place | None, *, hidden: bool
    ) -> Frame | None:
        """Make it a diff, or None where it comes to nothing; who left first, then who came.

        Nobody both leaves and joins in one: who came and left is not in it, who left and came back is
        an update.
        """
        left: list[Any] = []
        joined: list[Any] = []
        updated: list[Any] = []
        for change in self._users.values():
            if not change.now:
                if change.before and change.leave is not None:
                    left.append(_json(change.leave))
                continue
            if change.join is not None:
                (updated if change.before else joined).append(_json(change.join))
            updated += [_json(one) for one in change.updates.values()]
        if not (left or joined or updated):
            return None
        data = {
            "room": room,
            "leave": left,
            "join": joined,
            "update": updated,
            "counts": json_form(counts, hidden=hidden),
        }
        return Frame("diff", data, place, netted=True)


class _Change:
    __slots__ = ("before", "join", "leave", "now", "updates")

    def __init__(self, first: Event) -> None:
        self.before = first.type != "join"
        self.now = self.before
        self.join: Event | None = None
        self.leave: Event | None = None
        self.updates: dict[str | None, Event] = {}

    def add(self, event: Event) -> None:
        if event.type == "update":
            self.updates[event.session] = event
            return
        self.now = event.type == "join"
        self.updates = {}
        self.join, self.leave = (event, None) if self.now else (None, event)


def _json(event: Event) -> dict[str, Any]:
    data: dict[str, Any] = {"user": event.user, "kind": event.kind, "at": moment(event.at)}
    if event.type == "leave":
        data["reason"] = event.reason
    elif event.away is not None:
        data |= {"away": event.away, "session": event.session, "info": event.info}
    return data
