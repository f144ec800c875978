"""What is known of single users: lookups, last seen, and why."""

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

from herenow import lua, names
from herenow.models import Explanation, Session, UserPresence
from herenow.operations import Operation, text, texts
from herenow.operations.events import as_outsider, read_entry
from herenow.operations.scope import KIND_OF, Scope, moment

K = TypeVar("K", bound=Hashable)
MOST_AT_ONCE: Final = 1000
_EVENTS_LOOKED_THROUGH: Final = 200
_EVENTS_SHOWN: Final = 10


def lookup(
    scope: Scope, users: Sequence[str], *, include_hidden: bool
) -> Operation[list[UserPresence]]:
    """Look up at most `MOST_AT_ONCE` users; one that is unknown is simply not online."""
    args = (*scope.looking(), "1" if include_hidden else "", *users)

    def read(reply: Any) -> list[UserPresence]:
        now, window, retention, where, scores, sessions = reply
        places = text(where) or "m" * len(users)
        return [
            _presence(user, place, score, now, window, retention, packed)
            for user, place, score, packed in zip(
                users, places, scores, sessions or [None] * len(users), strict=True
            )
        ]

    return Operation(lua.load("lookup"), scope.keys, args, read)


def clean_ids(ids: Iterable[K]) -> dict[K, str]:
    """Validate ids, keyed by what was passed."""
    if isinstance(ids, str | bytes):
        raise ValueError("ids is a list of users, not one string")
    return {one: names.clean_user(one) for one in ids}


def presences(reply: Any) -> tuple[UserPresence, ...]:
    """Read the users of a page (see lua/parts/page.lua)."""
    now, window, retention, users, scores, kinds, sessions = reply[:7]
    return tuple(
        _presence(user, place, score, now, window, retention, packed)
        for user, place, score, packed in zip(
            texts(users), text(kinds), scores, sessions or [None] * len(users), strict=True
        )
    )


def _presence(
    user: str, place: str, score: Any, now: int, window: int, retention: int, packed: Any
) -> UserPresence:
    kind = KIND_OF[place]
    seen = None if score is None else int(score)
    if seen is not None and place in "mhgb" and now - seen < window:
        sessions = read_sessions(packed, now - window) if packed else ()
        return UserPresence(
            user,
            kind,
            True,  # noqa: FBT003
            is_away(sessions),
            moment(seen),
            moment(seen + window),
            _shown_info(sessions),
            sessions,
        )
    # guests and bots are forgotten when they leave, members when the retention is over
    if seen is None or place in "gb" or now - seen >= retention:
        return UserPresence(user, "member", False, False, None, None, {}, ())  # noqa: FBT003
    return UserPresence(user, kind, False, False, moment(seen), None, {}, ())  # noqa: FBT003


def read_sessions(packed: Any, cut: int) -> tuple[Session, ...]:
    """Read packed sessions (see lua/parts/sessions.lua); those seen at ``cut`` or before are over."""
    sessions = []
    for line in text(packed).split("\n"):
        name, seen, away, info = line.split("\t")
        if int(seen) > cut:
            shown = json.loads(info) if info else {}
            sessions.append((int(seen), Session(name, away == "1", moment(int(seen)), shown)))
    sessions.sort(key=lambda one: (one[0], one[1].name.encode()), reverse=True)
    fresh = tuple(session for _, session in sessions)
    # the unnamed one, alone and with nothing to say, is not kept either
    return fresh if any(one.name or one.away or one.info for one in fresh) else ()


def is_away(sessions: Sequence[Session]) -> bool:
    """Whether every fresh session says so; the unnamed one counts only where no named one is."""
    counting = [one for one in sessions if one.name] or sessions
    return bool(counting) and all(one.away for one in counting)


def _shown_info(sessions: Sequence[Session]) -> dict[str, Any]:
    return next((one.info for one in sessions if one.info), {})


def explain(scope: Scope, user: object, *, include_hidden: bool) -> Operation[Explanation]:
    """Gather all that is known of one user, as one moment."""
    name = names.clean_user(user)

    def read(reply: Any) -> Explanation:
        return _explain(scope, name, reply, include_hidden=include_hidden)

    args = (*scope.looking(), name, _EVENTS_LOOKED_THROUGH)
    return Operation(lua.load("explain"), scope.keys, args, read)


def _explain(scope: Scope, user: str, reply: Any, *, include_hidden: bool) -> Explanation:
    now, window, retention, *scores, packed, entries = reply
    places = dict(zip("mhgbMHl", scores, strict=True))
    left = places.pop("l")
    order = "mhgbHM" if include_hidden else "mgbM"
    place = next((one for one in order if places[one] is not None), "-")
    presence = _presence(user, place, places.get(place), now, window, retention, packed)
    stored = [
        one
        for entry in entries
        for one in reversed(read_entry(entry, scope.room))
        if one.event.user == user
    ]
    if include_hidden:
        events = [one.event for one in stored]
    else:
        events = [shown for one in stored if (shown := as_outsider(one)) is not None]
        if places["h"] is not None or places["H"] is not None:
            hid = places["M"]
            left = hid if hid is not None and now - int(hid) < window else None
    left_at = None if left is None else moment(int(left))
    return Explanation(
        user,
        scope.room,
        _reason(presence, place, places, now, window, left),
        presence,
        moment(now),
        window / 1000,
        retention / 1000,
        left_at,
        tuple(events[:_EVENTS_SHOWN]),
    )


def _reason(
    presence: UserPresence, place: str, places: Any, now: int, window: int, left: Any
) -> str:
    seen = presence.last_seen
    if presence.online and presence.online_until is not None and seen is not None:
        held = ", ".join(repr(one.name) for one in presence.sessions if one.name)
        return (
            f"online as a {presence.kind}{', away' if presence.away else ''}: last seen "
            f"{seen:%Y-%m-%d %H:%M:%S.%f} UTC{f' in {held}' if held else ''}, expires "
            f"{presence.online_until:%H:%M:%S.%f} UTC, {window / 1000:g} s later"
        )
    if place in "mhgb":
        ago = (now - int(places[place])) / 1000
        return f"not online: last seen {ago:g} s ago, and the window is {window / 1000:g} s"
    if left is not None:
        ago = (now - int(left)) / 1000
        return f"not online: said to leave {ago:g} s ago"
    if seen is not None:
        return f"not online: last seen {seen:%Y-%m-%d %H:%M:%S.%f} UTC, longer ago than the window"
    return "not online: nothing is remembered of this user here"
