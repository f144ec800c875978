"""Shapes: the schemas of what the service answers, for OpenAPI (`web.json_form` makes these answers)."""

from typing import Any, Final

Json = dict[str, Any]

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
