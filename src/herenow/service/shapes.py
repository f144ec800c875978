"""Shapes: herenow's results as the JSON of the service, and the schemas that OpenAPI tells of them.

Times are RFC 3339 in UTC, to the millisecond. What hidden members hide is left out without the right to
see it: the number of the hidden, and every number that they are counted in.
"""

from datetime import UTC, datetime
from typing import Any, Final

from herenow.models import Counts, Event, Explanation, Page, Peak, Sample, Snapshot, UserPresence

Json = dict[str, Any]


def moment_json(at: datetime | None) -> str | None:
    """A moment, as 2026-01-03T16:00:00.000Z."""
    if at is None:
        return None
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def counts_json(counts: Counts, *, hidden: bool) -> Json:
    """How many of each kind."""
    told = {"member": counts.member, "guest": counts.guest, "bot": counts.bot}
    return {**told, "hidden": counts.hidden} if hidden else told


def peak_json(peak: Peak) -> Json:
    """The most ever, and when."""
    return {"count": peak.count, "at": moment_json(peak.at)}


def room_json(name: str, counts: Counts, peak: Peak, *, hidden: bool) -> Json:
    """A room."""
    return {"room": name, "counts": counts_json(counts, hidden=hidden), "peak": peak_json(peak)}


def user_json(user: UserPresence) -> Json:
    """What is known of a user in a room."""
    return {
        "user": user.user,
        "kind": user.kind,
        "online": user.online,
        "away": user.away,
        "last_seen": moment_json(user.last_seen),
        "online_until": moment_json(user.online_until),
        "info": user.info,
        "sessions": [
            {
                "name": one.name,
                "away": one.away,
                "last_seen": moment_json(one.last_seen),
                "info": one.info,
            }
            for one in user.sessions
        ],
    }


def page_json(page: Page) -> Json:
    """A page of users."""
    return {"users": [user_json(one) for one in page.users], "cursor": page.cursor}


def snapshot_json(snapshot: Snapshot, *, hidden: bool) -> Json:
    """One moment of a room, as a reset carries it."""
    return {
        "counts": counts_json(snapshot.counts, hidden=hidden),
        "users": [user_json(one) for one in snapshot.users],
        "cursor": snapshot.next_page,
        "event_id": snapshot.event_id,
    }


def event_json(event: Event, *, hidden: bool) -> Json:
    """Something that happened; only what it says."""
    said: Json = {"id": event.id, "type": event.type, "room": event.room}
    if event.snapshot is not None:
        said["at"] = moment_json(event.at)
        said["snapshot"] = snapshot_json(event.snapshot, hidden=hidden)
        return said
    said |= {"user": event.user, "kind": event.kind, "at": moment_json(event.at)}
    for name in ("reason", "away", "session", "info", "was"):
        value = getattr(event, name)
        if value is not None:
            said[name] = value
    return said


def sample_json(sample: Sample, *, hidden: bool) -> Json:
    """The most of a minute, an hour or a day."""
    told: Json = {"at": moment_json(sample.at)}
    if hidden:
        told["people"] = sample.people
    return {**told, "counts": counts_json(sample.counts, hidden=hidden), "gap": sample.gap}


def why_json(why: Explanation) -> Json:
    """Why a user is, or is not, online."""
    return {
        "user": why.user,
        "room": why.room,
        "reason": why.reason,
        "presence": user_json(why.presence),
        "now": moment_json(why.now),
        "window": why.window,
        "retention": why.retention,
        "left_at": moment_json(why.left_at),
        "events": [event_json(one, hidden=True) for one in why.events],
    }


# ------------------------------------------------------------ what OpenAPI says of them

_TIME: Final = {"type": "string", "format": "date-time"}
_TIME_OR_NONE: Final = {"type": ["string", "null"], "format": "date-time"}
_NUMBER: Final = {"type": "integer", "minimum": 0}
_KIND: Final = {"type": "string", "enum": ["member", "hidden", "guest", "bot"]}
_INFO: Final = {"type": "object"}
_TEXT: Final = {"type": "string"}
_BOOLEAN: Final = {"type": "boolean"}


def reference(name: str) -> Json:
    """Point to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(optional: tuple[str, ...] = (), **properties: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


SCHEMAS: Final[dict[str, Json]] = {
    "Counts": _object(("hidden",), member=_NUMBER, guest=_NUMBER, bot=_NUMBER, hidden=_NUMBER),
    "Peak": _object(count=_NUMBER, at=_TIME_OR_NONE),
    "Room": _object(room=_TEXT, counts=reference("Counts"), peak=reference("Peak")),
    "Session": _object(name=_TEXT, away=_BOOLEAN, last_seen=_TIME, info=_INFO),
    "UserPresence": _object(
        user=_TEXT,
        kind=_KIND,
        online=_BOOLEAN,
        away=_BOOLEAN,
        last_seen=_TIME_OR_NONE,
        online_until=_TIME_OR_NONE,
        info=_INFO,
        sessions=_list(reference("Session")),
    ),
    "Page": _object(users=_list(reference("UserPresence")), cursor={"type": ["string", "null"]}),
    "Snapshot": _object(
        counts=reference("Counts"),
        users=_list(reference("UserPresence")),
        cursor={"type": ["string", "null"]},
        event_id=_TEXT,
    ),
    "Event": _object(
        ("user", "kind", "reason", "away", "session", "info", "snapshot", "was"),
        id=_TEXT,
        type={"type": "string", "enum": ["join", "leave", "update", "reset"]},
        room=_TEXT,
        user=_TEXT,
        kind=_KIND,
        at=_TIME,
        reason={"type": "string", "enum": ["left", "timeout"]},
        away=_BOOLEAN,
        session=_TEXT,
        info=_INFO,
        snapshot=reference("Snapshot"),
        was=_KIND,
    ),
    "Sample": _object(
        ("people",), at=_TIME, people=_NUMBER, counts=reference("Counts"), gap=_NUMBER
    ),
    "Why": _object(
        user=_TEXT,
        room=_TEXT,
        reason=_TEXT,
        presence=reference("UserPresence"),
        now=_TIME,
        window={"type": "number"},
        retention={"type": "number"},
        left_at=_TIME_OR_NONE,
        events=_list(reference("Event")),
    ),
    "Rooms": _object(rooms=_list(reference("Room"))),
    "Users": _object(users=_list(reference("UserPresence"))),
    "RoomCounts": _object(counts={"type": "object", "additionalProperties": reference("Counts")}),
    "Marked": _object(marked=_NUMBER, joined={"type": ["integer", "null"]}),
    "Left": _object(left=_BOOLEAN),
    "Forgotten": _object(rooms=_NUMBER),
    "History": _object(
        room=_TEXT,
        step={"type": "string", "enum": ["minute", "hour", "day"]},
        samples=_list(reference("Sample")),
    ),
    "Uniques": _object(room=_TEXT, days=_NUMBER, kind=_KIND, count=_NUMBER),
    "Alive": _object(ok=_BOOLEAN),
    "Login": _object(scope={"type": "string", "enum": ["read", "mark", "admin"]}),
    "StreamEvent": _object(
        ("id", "event", "retry"),
        id=_TEXT,
        event={
            "type": "string",
            "enum": ["join", "leave", "update", "reset", "diff", "counts"],
        },
        data={"type": "string", "contentMediaType": "application/json"},
        retry=_NUMBER,
    ),
    "Problem": {
        "type": "object",
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "errors": _list(_TEXT),  # of many sightings: which are wrong; how many are marked
            "marked": _NUMBER,
            "joined": {"type": ["integer", "null"]},
        },
        "required": ["type", "title", "status", "detail"],
    },
}
