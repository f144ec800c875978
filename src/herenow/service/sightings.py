"""Sightings in bulk: what a site in another language marks with, as an adapter's buffer does in Python.

Each entry is read by itself. One that is wrong is named and costs the others nothing: they are marked,
and the answer says how many. So whoever sends a batch again, corrected or not, does no harm.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from herenow import names
from herenow.aio import AsyncPresence
from herenow.errors import TooManySessions
from herenow.models import Sighting
from herenow.service import parameters as said
from herenow.service.calls import Call
from herenow.service.parameters import Json, Parameter
from herenow.service.problems import ProblemError

MOST: Final = 1000
MAX_BODY: Final = 2_097_152
"""A thousand sightings with 1 KiB of info each, and then some."""
_MOST_ERRORS: Final = 20

_REPLACES: Final = Parameter(
    "replaces",
    lambda value: None if value is None else names.clean_user(value),
    {"anyOf": [*said.USER_OR_NUMBER["anyOf"], {"type": "null"}]},
    "whose place this user takes: a guest who has logged in",
)
_AGE: Final = Parameter(
    "age",
    lambda value: names.age_milliseconds(value, "an age") / 1000,
    {"type": "number", "minimum": 0, "maximum": names.MAX_SECONDS, "default": 0},
    "how many seconds ago that was",
    default=0.0,
)
_USER: Final = Parameter(
    "user", names.clean_user, said.USER_OR_NUMBER, "the user's id", required=True
)
_FIELDS: Final = (
    *(_USER, said.MARK_KIND, said.MARK_SESSION, said.MARK_AWAY, said.MARK_INFO),
    *(_AGE, _REPLACES),
)


def _many(value: Any) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST:
        raise ValueError(f"a list of 1 to {MOST} sightings")
    return value


_SCHEMA: Final[Json] = {
    "type": "array",
    "minItems": 1,
    "maxItems": MOST,
    "items": {"anyOf": [*said.USER_OR_NUMBER["anyOf"], said.schema_of(_FIELDS)]},
}
SIGHTINGS: Final = Parameter(
    "sightings", _many, _SCHEMA, "who was seen; a bare id says no more than that", required=True
)


async def sightings(call: Call) -> Any:
    """Mark many users online."""
    wanted = call.values["sightings"]
    good: list[tuple[int, Sighting]] = []
    wrong: list[tuple[int, ProblemError]] = []
    for index, one in enumerate(wanted):
        try:
            good.append((index, _read(one)))
        except ProblemError as problem:
            wrong.append((index, problem))
    joined = await _mark(call.room, good, wrong)
    told = {"marked": len(wanted) - len(wrong), "joined": joined}
    if wrong:
        raise _refusal(sorted(wrong, key=lambda one: one[0]), told)
    return told


def _read(one: Any) -> Sighting:
    if isinstance(one, str | int):
        one = {"user": one}
    if not isinstance(one, dict):
        raise ProblemError(400, "a sighting is an object, or a user's id")
    found = said.read_members(one, _FIELDS, "member of a sighting")
    if found["replaces"] == found["user"]:
        raise ProblemError(400, "replaces: a user does not replace themselves")
    return Sighting(**found)


async def _mark(
    room: AsyncPresence,
    many: Sequence[tuple[int, Sighting]],
    wrong: list[tuple[int, ProblemError]],
) -> int | None:
    """Mark them; whoever has too many sessions is told apart by halves: the script takes all or none."""
    if not many:
        return 0
    try:
        return await room.mark_online_many([one for _, one in many])
    except TooManySessions as error:
        if len(many) == 1:
            wrong.append((many[0][0], ProblemError(409, f"session: {error}")))
            return 0
        half = len(many) // 2
        joined = [await _mark(room, part, wrong) for part in (many[:half], many[half:])]
        return sum(one or 0 for one in joined)


def _refusal(wrong: Sequence[tuple[int, ProblemError]], told: Json) -> ProblemError:
    details = [f"sightings[{index}]: {problem.detail}" for index, problem in wrong]
    status = HTTPStatus.CONFLICT
    if any(problem.status == HTTPStatus.BAD_REQUEST for _, problem in wrong):
        status = HTTPStatus.BAD_REQUEST
    more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    detail = f"{details[0]}{more}; the other {told['marked']} are marked"
    return ProblemError(status, detail, errors=details[:_MOST_ERRORS], **told)
