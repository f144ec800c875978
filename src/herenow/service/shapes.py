"""Shapes: what the service answers, as types that OpenAPI is made of; `web.json_form` makes the answers.

Never built: `tests` hold the answers to them. What is UNSET here is not in every answer.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from herenow import names
from herenow.service.inputs import Sighted
from herenow.service.parameters import Json, schemas_of
from herenow.web.tokens import Scope

Number = Annotated[int, Meta(ge=0)]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class _Shape(Struct, forbid_unknown_fields=True):
    """An object of these members alone."""


class Counts(_Shape):  # noqa: D101 - these are what their names say, here and below
    member: Number
    guest: Number
    bot: Number
    hidden: Number | UnsetType = UNSET


class Peak(_Shape):  # noqa: D101
    count: Number
    at: Time | None


class Room(_Shape):  # noqa: D101
    room: str
    counts: Counts
    peak: Peak


class Session(_Shape):  # noqa: D101
    name: str
    away: bool
    last_seen: Time
    info: dict[str, Any]


class UserPresence(_Shape):  # noqa: D101
    user: str
    kind: names.Kind
    online: bool
    away: bool
    last_seen: Time | None
    online_until: Time | None
    info: dict[str, Any]
    sessions: list[Session]


class Page(_Shape):  # noqa: D101
    users: list[UserPresence]
    cursor: str | None


class Snapshot(_Shape):  # noqa: D101
    counts: Counts
    users: list[UserPresence]
    cursor: str | None
    event_id: str


class Event(_Shape):  # noqa: D101
    id: str
    type: Literal["join", "leave", "update", "reset"]
    room: str
    at: Time
    user: str | UnsetType = UNSET
    kind: names.Kind | UnsetType = UNSET
    reason: Literal["left", "timeout"] | UnsetType = UNSET
    away: bool | UnsetType = UNSET
    session: str | UnsetType = UNSET
    info: dict[str, Any] | UnsetType = UNSET
    snapshot: Snapshot | UnsetType = UNSET
    was: names.Kind | UnsetType = UNSET


class Sample(_Shape):  # noqa: D101
    at: Time
    counts: Counts
    gap: Number
    people: Number | UnsetType = UNSET


class Why(_Shape):  # noqa: D101
    user: str
    room: str
    reason: str
    presence: UserPresence
    now: Time
    window: float
    retention: float
    left_at: Time | None
    events: list[Event]


class Rooms(_Shape):  # noqa: D101
    rooms: list[Room]


class Users(_Shape):  # noqa: D101
    users: list[UserPresence]


class RoomCounts(_Shape):  # noqa: D101
    counts: dict[str, Counts]


class Marked(_Shape):  # noqa: D101
    marked: Number
    joined: int | None


class Left(_Shape):  # noqa: D101
    left: bool


class Forgotten(_Shape):  # noqa: D101
    rooms: Number


class History(_Shape):  # noqa: D101
    room: str
    step: names.Step
    samples: list[Sample]


class Uniques(_Shape):  # noqa: D101
    room: str
    days: Number
    kind: names.Kind
    count: Number


class Alive(_Shape):  # noqa: D101
    ok: bool


class Login(_Shape):  # noqa: D101
    scope: Scope


class StreamEvent(_Shape):
    """One of a stream; its data is JSON: an Event, a diff or counts."""

    data: Annotated[str, Meta(extra_json_schema={"contentMediaType": "application/json"})]
    id: str | UnsetType = UNSET
    event: Literal["join", "leave", "update", "reset", "diff", "counts"] | UnsetType = UNSET
    retry: Number | UnsetType = UNSET


class Problem(Struct, kw_only=True):
    """What is wrong; of many sightings, which are, and how many are marked."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[str] | UnsetType = UNSET
    marked: Number | UnsetType = UNSET
    joined: int | UnsetType | None = UNSET


ANSWERS: Final = (
    *(Rooms, Page, Users, RoomCounts, Marked, Left, Forgotten, History, Uniques, Why, Alive, Login),
    *(StreamEvent, Problem, Sighted),
)
SCHEMAS: Final[dict[str, Json]] = schemas_of(ANSWERS)


def reference(name: str) -> Json:
    """Point to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}
