"""Who is online: counts, lists, pages, a snapshot, the record."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from herenow import lua, names
from herenow.models import Counts, Page, Peak, Snapshot
from herenow.operations import Operation, keys, text, texts
from herenow.operations.events import Place
from herenow.operations.scope import LETTERS, Scope, letters, moment
from herenow.operations.users import MOST_AT_ONCE, presences, read_lookup

T = TypeVar("T")
_ONLINE: Final = {LETTERS[kind]: at for kind, at in keys.ONLINE.items()}


def count(scope: Scope, window: object, kind: object, *, include_hidden: bool) -> Operation[int]:
    """Count who is online of one kind."""
    return Operation(
        lua.load("reading/count"),
        _meta_and_online(scope, letters(kind, include_hidden=include_hidden)),
        scope.looking(window),
        lambda reply: reply if isinstance(reply, int) else sum(reply),
    )


def counts(scope: Scope) -> Operation[Counts]:
    """Count who is online, each kind."""
    return Operation(
        lua.load("reading/count"),
        _meta_and_online(scope, "mhgb"),
        scope.looking(),
        lambda reply: Counts(*reply),
    )


def _meta_and_online(scope: Scope, kinds: str) -> tuple[bytes, ...]:
    return (scope.keys[keys.META], *(scope.keys[_ONLINE[kind]] for kind in kinds))


def users(
    scope: Scope, window: object, kind: object, limit: object, *, include_hidden: bool
) -> Operation[list[str]]:
    """List who is online, newest first."""
    most = None if limit is None else names.clean_limit(limit)

    def read(reply: Any) -> list[str]:
        if len(reply) <= 1:
            return texts(reply[0]) if reply else []
        return newest_first(reply)[:most]

    script = lua.load("reading/list")
    wanted = _meta_and_online(scope, letters(kind, include_hidden=include_hidden))
    args = script.order(*scope.looking(window), limit=-1 if most is None else most)
    return Operation(script, wanted, args, read)


def newest_first(lists: Iterable[Any]) -> list[str]:
    """Merge flat lists of user and score as the store orders them: newest first, then id descending.

    Who stands in several counts with their newest.
    """
    newest: dict[str, float] = {}
    for flat in lists:
        for user, score in zip(texts(flat[::2]), map(float, flat[1::2]), strict=True):
            newest[user] = max(score, newest.get(user, score))
    return sorted(newest, key=lambda user: (newest[user], user.encode()), reverse=True)


def page(
    scope: Scope,
    limit: object,
    cursor: object,
    window: object,
    kind: object,
    *,
    include_hidden: bool,
) -> Operation[Page]:
    """One page of who is online, as objects."""
    most = names.clean_limit(limit)
    score, user = ("", "") if cursor is None else decode_cursor(cursor)
    which = letters(kind, include_hidden=include_hidden)

    def read(reply: Any) -> Page:
        found = presences(reply)
        return Page(found[:most], _next_cursor(reply, most))

    script = lua.load("reading/page")
    args = script.order(*scope.looking(window), kinds=which, limit=most + 1, score=score, user=user)
    return Operation(script, scope.keys, args, read)


def snapshot(scope: Scope, limit: object, *, include_hidden: bool) -> Operation[Snapshot]:
    """Counts, the first page of members and the last event's id, as one moment."""
    most = names.clean_limit(limit)
    which = letters("member", include_hidden=include_hidden)

    def read(reply: Any) -> Snapshot:
        *number, counters, history = reply[6:]
        place = Place.of(counters, reply[0], text(history), include_hidden=include_hidden)
        return Snapshot(
            Counts(*number),
            presences(reply)[:most],
            _next_cursor(reply, most),
            str(place),
        )

    script = lua.load("reading/snapshot")
    args = script.order(*scope.looking(), kinds=which, limit=most + 1)
    return Operation(script, scope.keys, args, read)


def watched(scope: Scope, users: Sequence[str], *, include_hidden: bool) -> Operation[Snapshot]:
    """Make a snapshot for who watches these users: it has those of them who are online, newest first."""
    script = lua.load("reading/watched")
    hidden = "1" if include_hidden else ""
    args = script.order(*scope.looking(), with_hidden=hidden, rest=users)

    def read(reply: Any) -> Snapshot:
        now, member, hidden, guest, bot, counters, history, *parts = reply
        found = [
            one
            for i, part in enumerate(parts)
            for one in read_lookup(part, users[i * MOST_AT_ONCE : (i + 1) * MOST_AT_ONCE])
            if one.online
        ]
        found.sort(key=lambda one: (one.last_seen, one.user), reverse=True)
        place = Place.of(counters, now, text(history), include_hidden=include_hidden)
        return Snapshot(Counts(member, hidden, guest, bot), tuple(found), None, str(place))

    return Operation(script, scope.keys, args, read)


def _next_cursor(reply: Any, most: int) -> str | None:
    flat = reply[3]
    if len(flat) <= 2 * most:
        return None
    return encode_cursor(text(flat[2 * most - 1]), text(flat[2 * most - 2]))


def encode_cursor(score: str, user: str) -> str:
    """Name a place in the order of users, opaque and safe in a URL."""
    return base64.urlsafe_b64encode(f"{score} {user}".encode()).decode().rstrip("=")


def decode_cursor(cursor: object) -> tuple[str, str]:
    """Read a cursor; ValueError for one that no page gave."""
    try:
        if not isinstance(cursor, str) or len(cursor) > 400:  # noqa: PLR2004 - 256 bytes and a score, in base64
            raise ValueError("too long, or no str")
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        score, _, user = raw.decode().partition(" ")
        if not re.fullmatch("-?[0-9]{1,15}", score):
            raise ValueError("no score")
        return score, names.clean_user(user)
    except (ValueError, binascii.Error):
        raise ValueError(f"a cursor is one that a page gave, or None; not {cursor!a:.80}") from None


def active_count(scope: Scope, window: object, *, include_hidden: bool) -> Operation[int]:
    """Count members seen within a window up to the retention, gone or not."""
    return _active(scope, window, "", int, include_hidden=include_hidden)


def active_users(
    scope: Scope, window: object, limit: object, *, include_hidden: bool
) -> Operation[list[str]]:
    """List members seen within a window up to the retention, newest first."""
    most = names.clean_limit(limit)
    return _active(
        scope,
        window,
        most,
        lambda reply: newest_first(reply)[:most],
        include_hidden=include_hidden,
    )


def _active(
    scope: Scope, window: object, limit: Any, read: Callable[[Any], T], *, include_hidden: bool
) -> Operation[T]:
    if window is None:
        raise ValueError("a window of active users is a number of seconds or a timedelta")
    script = lua.load("reading/active")
    hidden = "1" if include_hidden else ""
    args = script.order(*scope.looking(window), with_hidden=hidden, limit=limit)
    return Operation(script, scope.keys, args, read)


def peak(scope: Scope, kind: object, *, include_hidden: bool) -> Operation[Peak]:
    """The most ever online, of a kind or (None) of all but bots: of the hidden only where asked for."""

    def read(reply: Any) -> Peak:
        number, at = reply
        return Peak(0, None) if at is None else Peak(int(number), moment(int(at)))

    everybody = "people" if include_hidden else "shown"
    which = everybody if kind is None else names.clean_kind(kind)
    script = lua.load("reading/peak")
    return Operation(script, keys.of(scope.keys, script), script.order(which=which), read)
