"""Sightings in bulk: what a site in another language marks with, as an adapter's buffer does in Python.

Each entry is read by itself. One that is wrong is named and costs the others nothing: they are marked,
and the answer says how many. So whoever sends a batch again, corrected or not, does no harm.
"""

from collections.abc import Sequence
from http import HTTPStatus
from reprlib import repr as shortened
from typing import Any, Final

from herenow.aio import AsyncPresence
from herenow.errors import TooManySessions
from herenow.models import Sighting
from herenow.service.inputs import Sighted
from herenow.service.parameters import Json, read_object
from herenow.service.problems import ProblemError

MAX_BODY: Final = 2_097_152
"""A thousand sightings with 1 KiB of info each, and then some."""
_MOST_ERRORS: Final = 20


async def mark_each(room: AsyncPresence, wanted: Sequence[Any]) -> Json:
    """Mark many users online, as the route's body names them."""
    good: list[tuple[int, Sighting]] = []
    wrong: list[tuple[int, ProblemError]] = []
    for index, one in enumerate(wanted):
        try:
            good.append((index, _read(one)))
        except ProblemError as problem:
            wrong.append((index, problem))
    joined = await _mark(room, good, wrong)
    result = {"marked": len(wanted) - len(wrong), "joined": joined}
    if wrong:
        raise _refusal(sorted(wrong, key=lambda one: one[0]), result)
    return result


def _read(one: Any) -> Sighting:
    if isinstance(one, str | int):
        one = {"user": one}
    if not isinstance(one, dict):
        raise ProblemError(
            400, f"a sighting must be an object, or a user's id; got {shortened(one)}"
        )
    found = read_object(one, Sighted, "member of a sighting")
    if found["replaces"] == found["user"]:
        raise ProblemError(400, "replaces: a user does not replace themselves")
    return Sighting(**found)


async def _mark(
    room: AsyncPresence,
    many: Sequence[tuple[int, Sighting]],
    wrong: list[tuple[int, ProblemError]],
) -> int | None:
    """Mark them; whoever has too many sessions is found by halves: the script takes all or none."""
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


def _refusal(wrong: Sequence[tuple[int, ProblemError]], result: Json) -> ProblemError:
    details = [f"sightings[{index}]: {problem.detail}" for index, problem in wrong]
    status = HTTPStatus.CONFLICT
    if any(problem.status == HTTPStatus.BAD_REQUEST for _, problem in wrong):
        status = HTTPStatus.BAD_REQUEST
    more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    detail = f"{details[0]}{more}; the other {result['marked']} are marked"
    return ProblemError(status, detail, errors=details[:_MOST_ERRORS], **result)
