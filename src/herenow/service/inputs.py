"""Inputs: the types of what a caller may pass to a route, in its path, its query or its body.

A route names them as its function's parameters (`endpoints`); `parameters` reads them, and OpenAPI shows
them. ``check`` in a type's annotation is the rule that a schema can't say; ``rule`` puts one into words
where its schema would not. Knows no route and no store.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from herenow import names
from herenow.operations.online import decode_cursor
from herenow.service.problems import ProblemError
from herenow.service.streaming.settings import MAX_ROOMS, MAX_USERS

MAX_PAGE: Final = 1000
MAX_NAMED: Final = 500
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


def _each(check: _Check) -> Callable[[Iterable[Any]], tuple[Any, ...]]:
    return lambda values: tuple(map(check, values))


# A name is bounded in UTF-8 bytes, which no schema can say: in ASCII it may be as long as that, in other
# letters surely a quarter of it.
_LETTER: Final = r"[^\x00-\x1f\x7f-\x9f]"


def _pattern(most: int, least: int = 1) -> str:
    return f"^([ -~]{{{least},{most}}}|{_LETTER}{{{least},{most // 4}}})$"


def _is(about: str, check: _Check | None = None, rule: str | None = None, **schema: Any) -> Meta:
    """Annotate a type: what it is, its rule beyond the schema, and that rule in words."""
    return Meta(description=about, extra={"check": check, "rule": rule}, extra_json_schema=schema)


_EVENT_ID: Final = (  # of an event or a snapshot, or of a stream of several rooms
    "^(d?[0-9]{1,16}(-[0-9]{1,16})?(-h[0-9a-f]{1,40})?|c"
    "|r([A-Za-z0-9_-]{4}){0,400}([A-Za-z0-9_-]{2,3})?)$"
)
_CURSOR: Final = "^[A-Za-z0-9_-]{4,400}$"
_YEARS: Final = "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-"

# ------------------------------------------------------------ the types

_USER_PATTERN: Final = _pattern(names.MAX_USER_BYTES)

Room = Annotated[
    str, _is("the room's name", names.clean_room, pattern=_pattern(names.MAX_ROOM_BYTES))
]
User = Annotated[str, _is("the user's id", names.clean_user, pattern=_USER_PATTERN)]
Id = Annotated[User | int, _is("the user's id", names.clean_user, "a string or a whole number")]
Session = Annotated[
    str,
    _is(
        "the tab, device or connection",
        names.clean_session,
        pattern=_pattern(names.MAX_SESSION_BYTES, 0),
    ),
]
_KINDS: Final = f"one of {', '.join(names.KINDS)}"
Kind = Annotated[names.Kind, _is("the kind", rule=_KINDS)]
MarkKind = Annotated[
    names.Kind | None, _is("moves the user to this kind", rule=f"{_KINDS}, or null")
]
Away = Annotated[bool | None, _is("whether this session is away", rule="true, false or null")]
Info = Annotated[
    dict[str, Any] | None,
    _is("what this session shows, at most 1 KiB as compact JSON; {} clears", _info),
]
Token = Annotated[str, _is("a token to mark oneself")]
Leave = Annotated[bool, _is("whether the session ends (the page is being left); else it is seen")]

Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE), _is("how many at most")]
Cursor = Annotated[str, _is("the `cursor` of the page before", _cursor, pattern=_CURSOR)]
Window = Annotated[
    float,
    _is(
        "seen within so many seconds, where that is less than the room's window",
        *(_seconds, "a number of seconds, as 60 or 2.5"),
        minimum=0.001,
        maximum=names.MAX_SECONDS,
    ),
]
IN_QUERY: Final = Meta(extra={"query": True})
"""What comes in the query, of a request with a body too."""
Hidden = Annotated[bool, _is("with hidden members among the others; needs admin"), IN_QUERY]
_Moment = Annotated[str, _is("a time", _moment, format="date-time", pattern=_YEARS)]
Start = Annotated[_Moment, _is("from then on; else a day before")]
End = Annotated[_Moment, _is("up to then; else now")]
Step = Annotated[names.Step, _is("of what each sample is the most")]
Days = Annotated[
    int,
    Meta(ge=1, le=names.MAX_DAYS),
    _is("on so many days, today the last; guests on one alone"),
]

StreamRooms = Annotated[
    tuple[Room, ...],
    Meta(max_length=MAX_ROOMS),
    _is("the rooms to follow; else `site`", _each(names.clean_room)),
]
StreamUsers = Annotated[
    tuple[User, ...],
    Meta(max_length=MAX_USERS),
    _is("the users to follow; else all", _each(names.clean_user)),
]
StreamSession = Annotated[
    str,
    _is(
        "makes the stream the presence of the token's user, in a session of this name",
        names.clean_session,
        pattern=_pattern(100, 0),
    ),
]
After = Annotated[
    str,
    _is(
        "the id of the last event known, where Last-Event-ID can't be sent; else it begins with a reset",
        pattern=_EVENT_ID,
    ),
]


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
            *(_age, "a number of seconds, at most a century"),
            minimum=0,
            maximum=names.MAX_SECONDS,
        ),
    ] = 0.0
    replaces: Annotated[
        Id | None, _is("whose place this user takes: a guest who has logged in", _replaced)
    ] = None


Sightings = Annotated[
    list[Any],
    Meta(min_length=1, max_length=MAX_SIGHTINGS),
    _is(
        "who was seen; a bare id says no more than that",
        rule=f"a list of 1 to {MAX_SIGHTINGS} sightings",
        items={
            "anyOf": [
                {"type": "string", "pattern": _USER_PATTERN},
                {"type": "integer"},
                {"$ref": "#/components/schemas/Sighted"},
            ]
        },
    ),
]
"""Each is read by itself, as a `Sighted`."""
Ids = Annotated[
    list[Id],
    Meta(min_length=1, max_length=MAX_NAMED),
    _is("their ids", _each(names.clean_user), f"a list of 1 to {MAX_NAMED} users"),
]
Rooms = Annotated[
    list[Room],
    Meta(min_length=1, max_length=MAX_NAMED),
    _is("their names", _each(names.clean_room), f"a list of 1 to {MAX_NAMED} rooms"),
]
