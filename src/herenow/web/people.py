"""People as pages show them: by name, with when they were last seen, and unknown where that is so.

Pure: made of what the store answered, or did not. ``names`` is the site's own function from ids to names;
it is called once for a list.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from herenow.models import UserPresence
from herenow.names import Kind

Names = Callable[[list[str]], Mapping[Any, str]]
UNKNOWN: Final = "unknown"
_NOT_LATELY: Final = "not lately"


@dataclass(frozen=True, slots=True)
class Person:
    """A user as a page shows them: prints as their name. ``known`` is False where no store answered."""

    user: str
    name: str
    kind: Kind = "member"
    online: bool = False
    away: bool = False
    last_seen: datetime | None = None
    known: bool = True

    def __str__(self) -> str:
        return self.name


class People(list[Person]):
    """A list of people, which prints as their names; empty, and prints as unknown, if not ``known``."""

    def __init__(self, people: Iterable[Person] = (), *, known: bool = True) -> None:
        super().__init__(people)
        self.known = known

    def __str__(self) -> str:
        return ", ".join(map(str, self)) if self.known else UNKNOWN


def name_all(ids: Iterable[str], names: Names | None) -> dict[str, str]:
    """Name users, by one call; one that has no name is shown by their id."""
    wanted = list(dict.fromkeys(ids))
    if names is None or not wanted:
        return {one: one for one in wanted}
    given = {str(key): str(value) for key, value in names(wanted).items()}
    return {one: given.get(one, one) for one in wanted}


def present(found: Iterable[UserPresence], names: Names | None) -> People:
    """Make people of what the store answered."""
    found = list(found)
    shown = name_all([one.user for one in found if one.kind in {"member", "hidden"}], names)
    return People(
        Person(
            one.user, shown.get(one.user, one.user), one.kind, one.online, one.away, one.last_seen
        )
        for one in found
    )


def absent(ids: Iterable[str], names: Names | None) -> People:
    """Make people of ids about whom no store answered."""
    wanted = list(ids)
    shown = name_all(wanted, names)
    return People((Person(one, shown[one], known=False) for one in wanted), known=False)


def last_seen(one: Person | UserPresence | datetime | None, now: datetime | None = None) -> str:
    """Say when somebody was last seen: "3 minutes ago"."""
    if isinstance(one, Person) and not one.known:
        return UNKNOWN
    moment = one.last_seen if isinstance(one, Person | UserPresence) else one
    if moment is None:
        return _NOT_LATELY
    return ago(moment, now)


def ago(moment: datetime, now: datetime | None = None) -> str:
    """Say how long ago a moment was: "3 minutes ago", "now".

    Never "in 2 seconds": the store's clock, which gave the moment, may be ahead of this machine's.
    """
    from humanize import naturaltime

    return naturaltime(max((now or datetime.now(UTC)) - moment, timedelta()))
