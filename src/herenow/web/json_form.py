"""The JSON form of herenow's results: the one that the service, the commands, reports and /online share.

A model becomes an object of its fields' names, but for a room's (`Room.name` is ``room``) and a
snapshot's next page (``cursor``); times are RFC 3339 in UTC, to the millisecond. What tells of hidden
users is there only where it is asked for: their number, and every number that they are counted in.
Pure: models in, what `json` can encode out.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final

from herenow.models import Counts, Event, Room, Sample, Session, Snapshot, UserPresence

Json = dict[str, Any]
_OPTIONAL: Final = ("reason", "away", "session", "info", "was")


def json_form(value: object, *, hidden: bool = False) -> Any:
    """Turn results, and mappings, sequences and dataclasses of them, into what JSON has.

    ``hidden`` keeps what tells of hidden users. What is none of these is returned unchanged.
    """
    form = _FORMS.get(type(value))
    if form is not None:
        return form(value, hidden)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return {str(key): json_form(one, hidden=hidden) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_form(one, hidden=hidden) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        each = ((one.name, getattr(value, one.name)) for one in fields(value))
        return {name: json_form(one, hidden=hidden) for name, one in each}
    return value


def moment(at: datetime | None) -> str | None:
    """Write a moment as 2026-01-03T16:00:00.000Z; None for none."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _counts(counts: Counts, hidden: bool) -> Json:
    shown = {"member": counts.member, "guest": counts.guest, "bot": counts.bot}
    return {**shown, "hidden": counts.hidden} if hidden else shown


def _room(room: Room, hidden: bool) -> Json:
    return {"room": room.name, "counts": _counts(room.counts, hidden)}


def _session(session: Session, _: bool) -> Json:
    return {
        "name": session.name,
        "away": session.away,
        "last_seen": moment(session.last_seen),
        "info": session.info,
    }


def _user(user: UserPresence, hidden: bool) -> Json:
    return {
        "user": user.user,
        "kind": user.kind,
        "online": user.online,
        "away": user.away,
        "last_seen": moment(user.last_seen),
        "online_until": moment(user.online_until),
        "info": user.info,
        "sessions": [_session(one, hidden) for one in user.sessions],
    }


def _snapshot(snapshot: Snapshot, hidden: bool) -> Json:
    return {
        "counts": _counts(snapshot.counts, hidden),
        "users": [_user(one, hidden) for one in snapshot.users],
        "cursor": snapshot.next_page,
        "event_id": snapshot.event_id,
    }


def _event(event: Event, hidden: bool) -> Json:
    """Only what it says: a reset has its snapshot, every other event its user."""
    form: Json = {"id": event.id, "type": event.type, "room": event.room}
    if event.snapshot is not None:
        return {**form, "at": moment(event.at), "snapshot": _snapshot(event.snapshot, hidden)}
    form |= {"user": event.user, "kind": event.kind, "at": moment(event.at)}
    for name in _OPTIONAL:
        value = getattr(event, name)
        if value is not None:
            form[name] = value
    return form


def _sample(sample: Sample, hidden: bool) -> Json:
    form: Json = {"at": moment(sample.at)}
    if hidden:
        form["people"] = sample.people
    return {**form, "counts": _counts(sample.counts, hidden), "gap": sample.gap}


_FORMS: Final[Mapping[type, Callable[[Any, bool], Json]]] = {
    Counts: _counts,
    Event: _event,
    Room: _room,
    Sample: _sample,
    Session: _session,
    Snapshot: _snapshot,
    UserPresence: _user,
}
"""Whose form is not just that of its fields; and what is read often. The others are plain dataclasses."""
