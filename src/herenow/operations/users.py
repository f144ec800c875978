"""What is known of single users: lookups, last seen, and why."""

import json
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar, cast

from herenow import lua, names
from herenow.models import Explanation, Session, UserPresence
from herenow.operations import Operation, Plan, answer, text, texts
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
    script = lua.load("reading/lookup")
    hidden = "1" if include_hidden else ""
    args = script.order(*scope.looking(), with_hidden=hidden, rest=users)
    return Operation(script, scope.keys, args, lambda reply: read_lookup(reply, users))


def read_lookup(reply: Any, users: Sequence[str]) -> list[UserPresence]:
    """Read what was found of some users (see lua/reading/_lookup.lua)."""
    now, window, retention, where, scores, sessions = reply
    looked = _look(now, window, retention)
    cut, span = now - window, looked.span
    if not where and not sessions:  # members all, or were: the common case, in one pass
        return [
            _online(user, "member", moment(seen), span, ())
            if cut < seen <= now
            else _presence(user, "m", seen, looked, None)
            for user, seen in zip(users, map(int, scores), strict=True)
        ]
    places = text(where) or "m" * len(users)
    return [
        _presence(user, place, score, looked, packed)
        for user, place, score, packed in zip(
            users, places, scores, sessions or [None] * len(users), strict=True
        )
    ]


def lookup_all(
    scope: Scope, ids: Iterable[K], *, include_hidden: bool
) -> Plan[dict[K, UserPresence]]:
    """Look up any number of users, keyed by what was passed: one round trip."""
    named = clean_ids(ids)
    wanted = list(dict.fromkeys(named.values()))
    operations = [
        lookup(scope, wanted[i : i + MOST_AT_ONCE], include_hidden=include_hidden)
        for i in range(0, len(wanted), MOST_AT_ONCE)
    ]
    outcomes = (yield operations) if operations else []
    looked_up = [one for outcome in outcomes for one in answer(outcome)]
    if len(wanted) == len(named):
        return dict(zip(named, looked_up, strict=True))
    found = dict(zip(wanted, looked_up, strict=True))
    return {key: found[name] for key, name in named.items()}


def online_as(user: UserPresence) -> names.Kind | None:
    """As what somebody is online; None: not at all."""
    return user.kind if user.online else None


def clean_ids(ids: Iterable[K]) -> dict[K, str]:
    """Validate ids, keyed by what was passed."""
    many: list[K] = names.clean_many(ids, "ids is a list of users")
    if names.all_users(many):
        return cast("dict[K, str]", dict(zip(many, many, strict=True)))
    return {one: names.clean_user(one) for one in many}


def presences(reply: Any) -> tuple[UserPresence, ...]:
    """Read the users of a page (see lua/reading/_page.lua)."""
    now, window, _, flat, places, sessions = reply[:6]
    users, scores, kinds = texts(flat[::2]), flat[1::2], text(places)
    if len(kinds) == 1:
        kinds *= len(users)
    span, cut = timedelta(milliseconds=window), now - window
    held = [read_sessions(packed, cut) if packed else () for packed in sessions]
    return tuple(
        [
            _online(user, KIND_OF[kind], moment(seen), span, shown)
            for user, kind, seen, shown in zip(
                users, kinds, map(int, scores), held or [()] * len(users), strict=True
            )
        ]
    )


class _Look(NamedTuple):
    """When the store was looked at, and by what settings: milliseconds, and the window as a timedelta."""

    now: int
    window: int
    retention: int
    span: timedelta


def _look(now: int, window: int, retention: int) -> _Look:
    return _Look(now, window, retention, timedelta(milliseconds=window))


def _presence(user: str, place: str, score: Any, looked: _Look, packed: Any) -> UserPresence:
    now, window, retention, span = looked
    seen = None if score is None else int(score)
    # guests and bots are forgotten when they leave, members when the retention is over; a moment that is
    # yet to come is not believed (lua/room/_ahead.lua)
    if (
        seen is None
        or seen > now
        or (now - seen >= window and (place in "gb" or now - seen >= retention))
    ):
        return UserPresence(user, "member", False, False, None, None, {}, ())
    at = moment(seen)
    if place not in "mhgb" or now - seen >= window:
        return UserPresence(user, KIND_OF[place], False, False, at, None, {}, ())
    sessions = read_sessions(packed, now - window) if packed else ()
    return _online(user, KIND_OF[place], at, span, sessions)


class _Draft:
    """A UserPresence in the making: pages hold many, and a frozen dataclass fills four times slower."""

    __slots__ = UserPresence.__slots__


def _online(
    user: str, kind: names.Kind, at: datetime, span: timedelta, sessions: tuple[Session, ...]
) -> UserPresence:
    made: Any = _Draft()
    made.user = user
    made.kind = kind
    made.online = True
    made.away = bool(sessions) and is_away(sessions)
    made.last_seen = at
    made.online_until = at + span
    made.info = _shown_info(sessions) if sessions else {}
    made.sessions = sessions
    made.__class__ = UserPresence  # the slots are the same
    return made  # type: ignore[no-any-return]


def read_sessions(packed: Any, cut: int) -> tuple[Session, ...]:
    """Read packed sessions (see lua/sighting/_sessions.lua); those seen at ``cut`` or before are over."""
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

    script = lua.load("reading/explain")
    hidden = "1" if include_hidden else ""
    args = script.order(
        *scope.looking(), user=name, limit=_EVENTS_LOOKED_THROUGH, with_hidden=hidden
    )
    return Operation(script, scope.keys, args, read)


def _explain(scope: Scope, user: str, reply: Any, *, include_hidden: bool) -> Explanation:
    now, window, retention, *scores, packed, entries = reply
    *found, left, left_hidden = scores
    places = dict(zip("mhgbMH", found, strict=True))
    if include_hidden:
        left = max((one for one in (left, left_hidden) if one is not None), key=int, default=None)
    order = "mhgbHM" if include_hidden else "mgbM"
    place = next((one for one in order if places[one] is not None), "-")
    presence = _presence(user, place, places.get(place), _look(now, window, retention), packed)
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
    if left is not None and not 0 <= now - int(left) < window:
        left = None  # over, trimmed or not, or yet to come
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
        kind = "hidden member" if presence.kind == "hidden" else presence.kind
        held = ", ".join(repr(one.name) for one in presence.sessions if one.name)
        return (
            f"online as a {kind}{', away' if presence.away else ''}: last seen {_time(seen)}"
            f"{f' in {held}' if held else ''}, until {_time(presence.online_until)}"
        )
    if place in "mhgb" and int(places[place]) <= now:
        ago = (now - int(places[place])) / 1000
        return f"not online: last seen {ago:,.1f} s ago, and the window is {window / 1000:g} s"
    if left is not None:
        ago = (now - int(left)) / 1000
        return f"not online: marked offline {ago:,.1f} s ago"
    if seen is not None:
        return f"not online: last seen {_time(seen)}, longer ago than the window"
    return "not online: nothing is recorded of this user here"


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
