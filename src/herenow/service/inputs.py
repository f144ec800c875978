"""Inputs: the struct of each path, query and body that the service takes.

A type here is what `parameters` reads and what OpenAPI shows. ``check`` in a type's annotation is the
rule that a schema can't say; ``rule`` puts one into words where its schema would not.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from herenow import names
from herenow.operations.online import decode_cursor
from herenow.service.problems import ProblemError

MAX_PAGE: Final = 1000
MAX_NAMED: Final = 500
MAX_STREAM_ROOMS: Final = 32
MAX_SIGHTINGS: Final = 1000
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998
_Check = Callable[[Any], Any]

# ------------------------------------------------------------ the rules that no schema can say


def _seconds(value: float) -> float:
    return names.milliseconds(value, "a window") / 1000


def _age(value: float) -> float:
    return names.age_milliseconds(value, "an age") / 1000


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text if len(text) <= 40 else "")  # noqa: PLR2004 - longer is none
        names.clean_moment(moment, "a time")
    except (ValueError, OverflowError):
        raise ValueError("a time as RFC 3339 has it, as 2026-01-03T16:00:00Z") from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:  # at a calendar's ends a day more is no time
        raise ValueError(f"a time of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


def _info(value: dict[str, Any] | None) -> dict[str, Any] | None:
    names.encode_info(value)
    return value


def _replaced(value: str | int | None) -> str | None:
    return None if value is None else names.clean_user(value)


def _cursor(text: str) -> str:
    if not re.fullmatch(_CURSOR.strip("^$"), text):
        raise ValueError("a cursor is one that a page gave")
    try:
        decode_cursor(text)
    except ValueError as error:
        raise ProblemError(404, f"cursor: {error}") from None  # there is no page of that name
    return text


def _each(check: _Check) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [check(one) for one in values]


# A name is bounded in UTF-8 bytes, which no schema can say: in ASCII it may be as long as that, in other
# letters surely a quarter of it.
_LETTER: Final = r"[^\x00-\x1f\x7f-\x9f]"


def _pattern(most: int, least: int = 1) -> str:
    return f"^([ -~]{{{least},{most}}}|{_LETTER}{{{least},{most // 4}}})$"


def _is(about: str, check: _Check | None = None, rule: str | None = None, **schema: Any) -> Meta:
    """Annotate a type: what it is, its rule beyond the schema, and what to say where it is another."""
    return Meta(description=about, extra={"check": check, "rule": rule}, extra_json_schema=schema)


_EVENT_ID: Final = (  # of an event or a snapshot, or of a stream of several rooms
    "^(d?[0-9]{1,16}(-[0-9]{1,16})?(-h[0-9a-f]{1,40})?|c"
    "|r([A-Za-z0-9_-]{4}){0,400}([A-Za-z0-9_-]{2,3})?)$"
)
_CURSOR: Final = "^[A-Za-z0-9_-]{4,400}$"
_YEARS: Final = "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-"

# ------------------------------------------------------------ the types

_KIND_RULE: Final = f"a kind is one of {', '.join(names.KINDS)}"
_USER_PATTERN: Final = _pattern(names.MAX_USER_BYTES)
_SESSION_PATTERN: Final = _pattern(names.MAX_SESSION_BYTES, 0)

Room = Annotated[
    str, _is("the room's name", names.clean_room, pattern=_pattern(names.MAX_ROOM_BYTES))
]
User = Annotated[str, _is("the user's id", names.clean_user, pattern=_USER_PATTERN)]
_SIGHTING: Final = [
    {"type": "string", "pattern": _USER_PATTERN},
    {"type": "integer"},
    {"$ref": "#/components/schemas/Sighted"},
]
_STREAM_SESSION: Final = (
    "makes the stream the presence of the token's user, in a session of this name"
)
_AFTER: Final = (
    "the id of the last event known, where Last-Event-ID can't be sent; else it begins with a reset"
)
Id = Annotated[
    User | int, _is("the user's id", names.clean_user, "a user is a string or a whole number")
]
Session = Annotated[
    str, _is("the tab, device or connection", names.clean_session, pattern=_SESSION_PATTERN)
]
Kind = Annotated[names.Kind, _is("the kind", rule=_KIND_RULE)]
MarkKind = Annotated[
    names.Kind | None, _is("moves the user to this kind", rule=f"{_KIND_RULE}, or null")
]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE), _is("how many at most")]
Moment = Annotated[str, _is("a time", _moment, format="date-time", pattern=_YEARS)]
Hidden = Annotated[bool, _is("with hidden members among the others; needs admin")]
Away = Annotated[bool | None, _is("whether this session is away", rule="true, false or null")]
Info = Annotated[
    dict[str, Any] | None,
    _is(
        "what this session shows, at most 1 KiB as compact JSON; {} clears",
        _info,
        "info is a JSON object or null",
    ),
]


class Path(Struct):
    """What a path names."""

    room: Room
    user: User


class RoomsQuery(Struct):
    """Of GET /v1/rooms."""

    limit: Limit = 50


class HiddenQuery(Struct):
    """Of what may show hidden users."""

    hidden: Hidden = False


class UsersQuery(Struct):
    """Of a page of who is online."""

    limit: Limit = 50
    cursor: (
        Annotated[str, _is("the `cursor` of the page before", _cursor, pattern=_CURSOR)] | UnsetType
    ) = UNSET
    window: (
        Annotated[
            float,
            _is(
                "seen within so many seconds, where that is less than the room's window",
                *(_seconds, "seconds, as 60 or 2.5"),
                minimum=0.001,
                maximum=names.MAX_SECONDS,
            ),
        ]
        | UnsetType
    ) = UNSET
    kind: Kind = "member"
    hidden: Hidden = False


class LeaveQuery(Struct):
    """Of a leave."""

    session: Session | UnsetType = UNSET


class HistoryQuery(Struct):
    """Of a history."""

    start: Annotated[Moment, _is("from then on; else a day before")] | UnsetType = UNSET
    end: Annotated[Moment, _is("up to then; else now")] | UnsetType = UNSET
    step: Annotated[names.Step, _is("of what each sample is the most")] = "minute"


class UniquesQuery(Struct):
    """Of how many different users there were."""

    days: Annotated[
        int,
        Meta(ge=1, le=names.MAX_DAYS),
        _is("on so many days, today the last; guests on one alone"),
    ] = 1
    kind: Kind = "member"
    hidden: Hidden = False


class WhyQuery(Struct):
    """Of why a user is online."""

    room: Room = "site"


class EventsQuery(Struct):
    """Of a stream of one room."""

    user: (
        Annotated[
            list[User],
            Meta(max_length=MAX_NAMED),
            _is("the users to follow; else all", _each(names.clean_user)),
        ]
        | UnsetType
    ) = UNSET
    session: (
        Annotated[str, _is(_STREAM_SESSION, names.clean_session, pattern=_pattern(100, 0))]
        | UnsetType
    ) = UNSET
    after: Annotated[str, _is(_AFTER, pattern=_EVENT_ID)] | UnsetType = UNSET
    hidden: Hidden = False


class RoomsEventsQuery(EventsQuery):
    """Of a stream of several rooms."""

    room: Annotated[
        list[Room],
        Meta(max_length=MAX_STREAM_ROOMS),
        _is("the rooms to follow; else `site`", _each(names.clean_room)),
    ] = field(default_factory=lambda: ["site"])


class MarkBody(Struct):
    """Of a mark."""

    kind: MarkKind = None
    session: Session = ""
    away: Away = None
    info: Info = None


class Sighted(Struct, forbid_unknown_fields=True):
    """One of many sightings."""

    user: Id
    kind: MarkKind = None
    session: Session = ""
    away: Away = None
    info: Info = None
    age: Annotated[
        float,
        _is(
            "how many seconds ago that was",
            *(_age, "an age is a number of seconds, at most a century"),
            minimum=0,
            maximum=names.MAX_SECONDS,
        ),
    ] = 0.0
    replaces: Annotated[
        Id | None, _is("whose place this user takes: a guest who has logged in", _replaced)
    ] = None


class SightingsBody(Struct):
    """Of sightings in bulk; each is read by itself, as a `Sighted`."""

    sightings: Annotated[
        list[Any],
        Meta(min_length=1, max_length=MAX_SIGHTINGS),
        _is(
            "who was seen; a bare id says no more than that",
            rule=f"a list of 1 to {MAX_SIGHTINGS} sightings",
            items={"anyOf": _SIGHTING},
        ),
    ]


class LookupBody(Struct):
    """Of a lookup."""

    users: Annotated[
        list[Id],
        Meta(min_length=1, max_length=MAX_NAMED),
        _is("their ids", _each(names.clean_user), f"a list of 1 to {MAX_NAMED} users"),
    ]


class CountsBody(Struct):
    """Of the counts of several rooms."""

    rooms: Annotated[
        list[Room],
        Meta(min_length=1, max_length=MAX_NAMED),
        _is("their names", _each(names.clean_room), f"a list of 1 to {MAX_NAMED} rooms"),
    ]


class BeaconBody(Struct):
    """Of a beacon."""

    token: Annotated[str, _is("a token to mark oneself")]
    room: Room = "site"
    session: Session = ""
    away: Away = None
    leave: Annotated[
        bool, _is("whether the session ends (the page is being left); else it is seen")
    ] = False
