"""Parameters: what a caller may say in a path, a query or a body; read strictly, bounded, described.

A `Parameter` is one named value: how it is read, and the JSON schema that says the same. Whatever is not
named, comes twice, or can't be read is a 400 that names the rule; nothing is guessed or left out.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from herenow import names
from herenow.operations.online import decode_cursor
from herenow.service.problems import ProblemError

Json = dict[str, Any]
MAX_PAGE: Final = 1000
MAX_NAMED: Final = 500
MAX_STREAM_ROOMS: Final = 32
MAX_QUERY_PARTS: Final = 600


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value: ``read`` takes text of a path or query, or what JSON gave; it comes ``most`` times."""

    name: str
    read: Callable[[Any], Any]
    schema: Json = field(hash=False)
    about: str
    default: Any = None
    required: bool = False
    most: int = 1


# ------------------------------------------------------------ how they come


def decode(raw: str) -> str:
    """Undo the percent-encoding of one part of a path or query; a 400 where that is no UTF-8."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise ProblemError(400, "names are percent-encoded UTF-8") from None


def read_query(raw: bytes, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Read a query."""
    text = raw.decode("latin-1")
    parts = [one for one in text.split("&") if one]
    if len(parts) > MAX_QUERY_PARTS:
        raise ProblemError(400, f"a query has at most {MAX_QUERY_PARTS} parts")
    found: dict[str, list[str]] = {}
    for part in parts:
        name, _, value = part.partition("=")
        found.setdefault(decode(name.replace("+", " ")), []).append(decode(value.replace("+", " ")))
    _refuse_unknown(found, parameters, "query parameter")
    values = {}
    for one in parameters:
        given = found.get(one.name, [])
        if len(given) > one.most:
            times = "once" if one.most == 1 else f"{one.most} times"
            raise ProblemError(400, f"{one.name} comes at most {times}")
        if one.most > 1:
            read = [_read(one, value) for value in given]
            values[one.name] = read or one.default
        else:
            values[one.name] = _read(one, given[0]) if given else _missing(one)
    return values


def read_body(raw: bytes, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Read a body: a JSON object; none at all is an empty one."""
    try:
        found = json.loads(raw, parse_constant=_no_constant) if raw.strip() else {}
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise ProblemError(400, "the body is JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise ProblemError(400, "the body is a JSON object")
    return read_members(found, parameters, "member of the body")


def read_members(
    found: Mapping[str, Any], parameters: Sequence[Parameter], what: str
) -> dict[str, Any]:
    """Read an object of JSON."""
    _refuse_unknown(found, parameters, what)
    return {
        one.name: _read(one, found[one.name]) if one.name in found else _missing(one)
        for one in parameters
    }


def schema_of(parameters: Sequence[Parameter]) -> Json:
    """Describe such an object."""
    schema: Json = {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.about} for one in parameters},
        "additionalProperties": False,
    }
    required = [one.name for one in parameters if one.required]
    return {**schema, "required": required} if required else schema


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_unknown(found: Iterable[str], known: Sequence[Parameter], what: str) -> None:
    allowed = [one.name for one in known]
    unknown = [one for one in found if one not in allowed]
    if unknown:
        there = f": there are {', '.join(allowed)}" if allowed else ", for there is none"
        raise ProblemError(400, f"no {what} {unknown[0][:80]!a}{there}")


def _missing(one: Parameter) -> Any:
    if one.required:
        raise ProblemError(400, f"{one.name} is missing: {one.about}")
    return one.default


def _read(one: Parameter, value: Any) -> Any:
    try:
        return one.read(value)
    except (ValueError, ArithmeticError) as error:
        raise ProblemError(400, f"{one.name}: {error}") from None


# ------------------------------------------------------------ how a value is read

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(text: Any) -> int:
        # 12 digits and more are surely too many, and int() would take its time over a million of them
        if re.fullmatch("[0-9]{1,12}", text) and least <= int(text) <= most:
            return int(text)
        raise ValueError(f"a whole number from {least} to {most}")

    return read


def _seconds(text: Any) -> float:
    if re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?", text, re.IGNORECASE):
        return names.milliseconds(float(text), "a window") / 1000
    raise ValueError("seconds, as 60 or 2.5")


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(text if len(text) <= 40 else "")  # noqa: PLR2004 - longer is none
        names.clean_moment(moment, "a time")
    except (ValueError, OverflowError):
        raise ValueError("a time as RFC 3339 has it, as 2026-01-03T16:00:00Z") from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:  # at a calendar's ends a day more is no time
        raise ValueError(f"a time of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


def _flag(text: Any) -> bool:
    if text in ("true", "false"):
        return bool(text == "true")
    raise ValueError("true or false")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _info(value: Any) -> Mapping[str, Any] | None:
    names.encode_info(value)
    return value  # type: ignore[no-any-return]


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("a string")


def _session(value: Any) -> str:
    return names.clean_session(_text(value))


def _room(value: Any) -> str:
    return names.clean_room(_text(value))


def _listed(read: Callable[[Any], Any], what: str) -> Callable[[Any], list[Any]]:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_NAMED:
            raise ValueError(f"a list of 1 to {MAX_NAMED} {what}")
        return [read(one) for one in value]

    return check


def _cursor(text: Any) -> str:
    if not re.fullmatch(_CURSOR.strip("^$"), text):
        raise ValueError("a cursor is one that a page gave")
    try:
        decode_cursor(text)
    except ValueError as error:
        raise ProblemError(404, f"cursor: {error}") from None  # there is no page of that name
    return _text(text)


def _days(text: Any) -> int:
    return _whole(1, names.MAX_DAYS)(text)


def _step(text: Any) -> names.Step:
    names.clean_step(text)
    return text  # type: ignore[no-any-return]


# ------------------------------------------------------------ the list

# A name is bounded in UTF-8 bytes, which no schema can say: in ASCII it may be as long as that, in other
# letters surely a quarter of it.
_LETTER: Final = r"[^\x00-\x1f\x7f-\x9f]"


def _named(most: int, least: int = 1) -> Json:
    pattern = f"^([ -~]{{{least},{most}}}|{_LETTER}{{{least},{most // 4}}})$"
    return {"type": "string", "pattern": pattern}


_EVENT_ID: Final = (  # of an event or a snapshot, or of a stream of several rooms
    "^(d?[0-9]{1,16}(-[0-9]{1,16})?(-h[0-9a-f]{1,40})?|c"
    "|r([A-Za-z0-9_-]{4}){0,400}([A-Za-z0-9_-]{2,3})?)$"
)
_CURSOR: Final = "^[A-Za-z0-9_-]{4,400}$"
_USER: Final = _named(names.MAX_USER_BYTES)
USER_OR_NUMBER: Final = {"anyOf": [_USER, {"type": "integer"}]}
_ROOM: Final = _named(names.MAX_ROOM_BYTES)
_SESSION: Final = _named(names.MAX_SESSION_BYTES, 0)
_KIND: Final = {"type": "string", "enum": list(names.KINDS)}
_INFO: Final = {"type": ["object", "null"], "description": "At most 1 KiB as compact JSON."}
_FLAG: Final = {"type": "boolean", "default": False}

ROOM: Final = Parameter("room", names.clean_room, _ROOM, "the room's name", required=True)
USER: Final = Parameter("user", names.clean_user, _USER, "the user's id", required=True)
LIMIT: Final = Parameter(
    "limit",
    _whole(1, MAX_PAGE),
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
    "how many at most",
    default=50,
)
CURSOR: Final = Parameter(
    "cursor",
    _cursor,
    {"type": "string", "pattern": _CURSOR},
    "the `cursor` of the page before",
)
WINDOW: Final = Parameter(
    "window",
    _seconds,
    {"type": "number", "minimum": 0.001, "maximum": names.MAX_SECONDS},
    "seen within so many seconds, where that is less than the room's window",
)
KIND: Final = Parameter(
    "kind", names.clean_kind, {**_KIND, "default": "member"}, "the kind", default="member"
)
HIDDEN: Final = Parameter(
    "hidden", _flag, _FLAG, "with hidden members among the others; needs admin", default=False
)
SESSION: Final = Parameter("session", _session, _SESSION, "one tab, device or connection")
_MOMENT: Final = {
    "type": "string",
    "format": "date-time",
    "pattern": "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-",
}
START: Final = Parameter("start", _moment, _MOMENT, "from then on; else a day before")
END: Final = Parameter("end", _moment, _MOMENT, "up to then; else now")
STEP: Final = Parameter(
    "step",
    _step,
    {"type": "string", "enum": list(names.STEPS), "default": "minute"},
    "of what each sample is the most",
    default="minute",
)
DAYS: Final = Parameter(
    "days",
    _days,
    {"type": "integer", "minimum": 1, "maximum": names.MAX_DAYS, "default": 1},
    "on so many days, today the last; guests on one alone",
    default=1,
)
OF_ROOM: Final = Parameter("room", names.clean_room, _ROOM, "the room", default="site")
STREAM_ROOMS: Final = Parameter(
    "room",
    names.clean_room,
    _ROOM,
    "the rooms to follow; else `site`",
    default=["site"],
    most=MAX_STREAM_ROOMS,
)
STREAM_USERS: Final = Parameter(
    "user", names.clean_user, _USER, "the users to follow; else all", most=MAX_NAMED
)

STREAM_SESSION: Final = Parameter(
    "session",
    _session,
    _named(100, 0),
    "makes the stream the presence of the token's user, in a session of this name",
)
AFTER: Final = Parameter(
    "after",
    _text,
    {"type": "string", "pattern": _EVENT_ID},
    "the id of the last event known, where Last-Event-ID can't be sent; else it begins with a reset",
)

MARK_KIND: Final = Parameter(
    "kind",
    _optional(names.clean_kind),
    {"type": ["string", "null"], "enum": [*names.KINDS, None]},
    "moves her to this kind",
)
MARK_SESSION: Final = Parameter(
    "session", _session, {**_SESSION, "default": ""}, "the tab, device or connection", default=""
)
MARK_AWAY: Final = Parameter(
    "away", names.clean_away, {"type": ["boolean", "null"]}, "whether this session is away"
)
MARK_INFO: Final = Parameter("info", _info, _INFO, "what this session shows; {} clears")
USERS: Final = Parameter(
    "users",
    _listed(names.clean_user, "users"),
    {"type": "array", "items": USER_OR_NUMBER, "minItems": 1, "maxItems": MAX_NAMED},
    "their ids",
    required=True,
)
ROOMS: Final = Parameter(
    "rooms",
    _listed(_room, "rooms"),
    {"type": "array", "items": _ROOM, "minItems": 1, "maxItems": MAX_NAMED},
    "their names",
    required=True,
)
TOKEN: Final = Parameter(
    "token", _text, {"type": "string"}, "a token to mark oneself", required=True
)
BEACON_ROOM: Final = Parameter(
    "room", _room, {**_ROOM, "default": "site"}, "the room", default="site"
)
LEAVE: Final = Parameter(
    "leave",
    _boolean,
    _FLAG,
    "whether the session ends (the page is being left); else it is seen",
    default=False,
)
