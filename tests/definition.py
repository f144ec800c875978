"""Presence by its definition: who is online, as what, and since when seen, out of all that was ever done.

Nothing is kept from one question to the next, and nothing is counted ahead: each answer goes through the
whole story again. The scripts share nothing with it but the rules; tests/oracle.py knows the rest.
"""

from dataclasses import dataclass

WINDOW = 300_000
KINDS = ("member", "hidden", "guest", "bot")


@dataclass(frozen=True)
class Act:
    """A sighting, in a session or none; or that everything (``leaves``), or the session, is ended."""

    at: int
    user: str
    kind: str | None = None
    session: str = ""
    replaces: str | None = None
    leaves: bool = False
    ends: bool = False


@dataclass(frozen=True)
class User:
    """One user: the kind they have or would come back as, what holds them online, when last seen."""

    kind: str = "member"
    here: tuple[Act, ...] = ()
    seen: int | None = None


def known(acts: list[Act], user: str, now: int) -> User:
    """A user, by all acts up to now."""
    found = User()
    for act in acts:
        if user in (act.user, act.replaces):
            found = after(User(found.kind, fresh(found.here, act.at), found.seen), act, user)
    return User(found.kind, fresh(found.here, now), found.seen)


def fresh(here: tuple[Act, ...], now: int) -> tuple[Act, ...]:
    """The sightings of sessions whose last is within the window."""
    held = {one.session for one in here if now - one.at < WINDOW}
    return tuple(one for one in here if one.session in held)


def after(before: User, act: Act, user: str) -> User:
    """A user after something was done to them; a session of theirs that is over holds nothing."""
    here = before.here
    if act.user != user or act.leaves:
        here = ()
    elif act.ends:
        rest = tuple(one for one in here if one.session != act.session)
        here = rest if len(rest) == len(here) or any(one.session for one in rest) else ()
    else:
        usual = before.kind if here or before.kind == "hidden" else "member"
        return User(act.kind or usual, (*here, act), act.at)
    return User(before.kind, here, max((one.at for one in here), default=before.seen))


def online(acts: list[Act], kind: str, now: int) -> list[str]:
    """Who is online, last seen first."""
    users = {act.user: known(acts, act.user, now) for act in acts}
    there = [user for user, one in users.items() if one.here and one.kind == kind]
    return sorted(there, key=lambda user: (users[user].seen, user.encode()), reverse=True)


def counts(acts: list[Act], now: int) -> tuple[int, ...]:
    """How many are online of each kind."""
    return tuple(len(online(acts, kind, now)) for kind in KINDS)


def moments(acts: list[Act]) -> list[tuple[int, tuple[int, ...]]]:
    """The counts right after each act."""
    return [(act.at, counts(acts[: i + 1], act.at)) for i, act in enumerate(acts)]
