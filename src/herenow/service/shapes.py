"""Shapes: what the service answers, as types that OpenAPI is made of; `web.json_form` makes the answers.

Models whose fields are all shown as they are stand here themselves. Nothing here is ever built: tests
hold the answers to it. What is UNSET is not in every answer.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from herenow import names
from herenow.models import Peak, UserPresence
from herenow.web.tokens import Scope

Number = Annotated[int, Meta(ge=0)]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Counts(Struct):  # noqa: D101 - these are what their names say, here and below
    member: Number
    guest: Number
    bot: Number
    hidden: Number | UnsetType = UNSET


class Room(Struct):  # noqa: D101
    room: str
    counts: Counts
    peak: Peak


class Snapshot(Struct):  # noqa: D101
    counts: Counts
    users: list[UserPresence]
    cursor: str | None
    event_id: str


class Event(Struct):  # noqa: D101
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


class Sample(Struct):  # noqa: D101
    at: Time
    counts: Counts
    gap: Number
    people: Number | UnsetType = UNSET


class Why(Struct):  # noqa: D101
    user: str
    room: str
    reason: str
    presence: UserPresence
    now: Time
    window: float
    retention: float
    left_at: Time | None
    events: list[Event]


class Rooms(Struct):  # noqa: D101
    rooms: list[Room]


class Users(Struct):  # noqa: D101
    users: list[UserPresence]


class RoomCounts(Struct):  # noqa: D101
    counts: dict[str, Counts]


class Marked(Struct):  # noqa: D101
    marked: Number
    joined: int | None


class Left(Struct):  # noqa: D101
    left: bool


class Forgotten(Struct):  # noqa: D101
    rooms: Number


class History(Struct):  # noqa: D101
    room: str
    step: names.Step
    samples: list[Sample]


class Uniques(Struct):  # noqa: D101
    room: str
    days: Number
    kind: names.Kind
    count: Number


class Alive(Struct):  # noqa: D101
    ok: bool


class Login(Struct):  # noqa: D101
    scope: Scope


class StreamEvent(Struct):
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
