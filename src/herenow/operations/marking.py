"""Sightings and leaves: what changes who is online.

A writing script answers more than its result: what the caller should learn of the room (`Written`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from herenow import lua, names
from herenow.models import Sighting
from herenow.operations import Argument, Operation, keys, texts
from herenow.operations.scope import KIND_OF, LETTERS, Scope

M = TypeVar("M")
MOST_AT_ONCE: Final = 1000
"""How many sightings one script call takes: it holds the store for about a millisecond."""


class Due(NamedTuple):
    """What a room's history wants done: hours filed, users counted.

    ``kept`` is for how many milliseconds the room keeps it, 0 for none; ``hour`` the first to be filed,
    None for none; ``before`` the hour now; ``uncounted`` the users that were seen of a kind on a day.
    """

    kept: int
    hour: int | None
    before: int
    uncounted: dict[tuple[int, names.Kind], list[str]]


def _read_due(reply: Any) -> Due | None:
    if not reply:
        return None
    kept, hour, before, *flat = reply
    uncounted: dict[tuple[int, names.Kind], list[str]] = {}
    for day, kind, user in zip(flat[::3], texts(flat[1::3]), texts(flat[2::3]), strict=True):
        uncounted.setdefault((int(day), KIND_OF[kind]), []).append(user)
    return Due(kept, None if hour < 0 else hour, before, uncounted)


class Written(NamedTuple):
    """What a writing script answers.

    ``result`` is the operation's own (how many came online or left); ``window`` the room's in
    milliseconds, None when it is the one that the operation sent; ``mixed`` whether there are others than
    members in it, or sessions, None where that is not known; ``listed`` what the list of rooms
    should say now, None where it is right;
    ``window_before`` the window that a named one has just replaced; ``pending`` that a named one is
    not stored yet; ``behind`` that more was over than it took away, so that a sweep should follow;
    ``history`` what is to be done for it, None for nothing; ``rest`` the indexes of the
    sightings that were refused, or a sweep's next due. ``now`` is the store's clock in milliseconds where
    the call was dated; ``overaged`` by how many of these it was taken to be later than it was, surely.
    """

    result: int
    window: int | None
    mixed: bool | None
    listed: int | None
    window_before: int | None
    pending: bool
    behind: bool
    history: Due | None
    rest: tuple[int, ...]
    now: int | None = None
    overaged: float = 0.0


def read_written(reply: Any) -> Written:
    """Read what close() of lua/room/_room.lua answers, or the one number of mark.lua."""
    if isinstance(reply, int):
        return _CAME[reply]
    result, window, mixed, listed, before, pending, due, *rest = reply
    return Written(
        result,
        window,
        mixed == 1,
        None if listed < 0 else listed,
        None if before < 0 else before,
        pending & 1 == 1,
        pending & 2 == 2,  # noqa: PLR2004 - a bit
        _read_due(due),
        tuple(rest),
    )


def _read_dated(reply: Any) -> Written:
    now, written = reply
    return read_written(written)._replace(now=now)


_CAME: Final = tuple(
    Written(came, None, None, None, None, False, False, None, ()) for came in (0, 1)
)


class Mark(NamedTuple):
    """A sighting, validated: strings and milliseconds, ``info`` as JSON."""

    user: str
    age: int = 0
    kind: names.Kind | None = None
    session: str = ""
    away: bool | None = None
    info: str | None = None
    replaces: str | None = None
    usual: bool = False
    """Whether it is a beat: of its kind only where the user is offline, and did not leave hidden."""

    @property
    def plain(self) -> bool:
        """Whether it says only that the user is here, now."""
        return self[1:] == _PLAIN


_PLAIN: Final = (0, None, "", None, None, None, False)


def clean(sighting: Sighting) -> Mark:
    """Validate a sighting."""
    user = names.clean_user(sighting.user)
    replaces = None if sighting.replaces is None else names.clean_user(sighting.replaces)
    if replaces == user:
        raise ValueError("a user does not replace themselves")
    return Mark(
        user,
        names.age_milliseconds(sighting.age, "an age"),
        None if sighting.kind is None else names.clean_kind(sighting.kind),
        names.clean_session(sighting.session),
        names.clean_away(sighting.away),
        names.encode_info(sighting.info),
        replaces,
    )


def beat(
    user: object, kind: object, session: str, away: object, info: Mapping[str, object] | None
) -> Mark:
    """Validate what a held session's beat says."""
    mark = clean(Sighting(user, cast("Any", kind), session, cast("Any", away), info))
    return mark._replace(usual=True)


def simple(user: object, kind: object = None, replaces: object = None) -> Mark:
    """Validate a sighting that says no more than who, as what, in whose place."""
    name = names.clean_user(user)
    if kind is None and replaces is None:
        return Mark(name)
    replaced = None if replaces is None else names.clean_user(replaces)
    if replaced == name:
        raise ValueError("a user does not replace themselves")
    return Mark(name, kind=None if kind is None else names.clean_kind(kind), replaces=replaced)


def listed(sightings: Iterable[object]) -> list[object]:
    """Take what `mark_online_many` takes, once; one string is not many."""
    return names.clean_many(sightings, "many is a list of users or Sightings")


def clean_all(sightings: Iterable[object]) -> list[Mark]:
    """Validate users, or Sightings."""
    return [
        clean(one) if isinstance(one, Sighting) else Mark(names.clean_user(one))
        for one in sightings
    ]


def encode_all(sightings: Sequence[object]) -> list[str] | None:
    """Validate many Sightings of now column by column, a few passes over all of them, and encode them.

    None where that is not enough: `clean` then has a look at each, and says what is wrong.
    """
    if {*map(type, sightings)} != {Sighting}:
        return None
    many = cast("Sequence[Sighting]", sightings)
    users, sessions = [one.user for one in many], [one.session for one in many]
    kinds, aways = [one.kind for one in many], [one.away for one in many]
    ages = [one.age for one in many]
    if not (
        names.all_users(users)
        and names.all_sessions(sessions)
        and {*map(type, kinds)} <= {str, _NONE}
        and {*kinds} <= _LETTERS.keys()
        and {*map(type, aways)} <= {bool, _NONE}
        and {type(one.replaces) for one in many} == {_NONE}
        and {*map(type, ages)} <= {int, float}
        and not any(ages)
    ):
        return None
    infos = [names.encode_info(one.info) or "" for one in many]
    return [
        f"{user}\t\t{_LETTERS[kind]}\t{session}\t{_AWAYS[away]}\t{info}\t"
        for user, kind, session, away, info in zip(
            users, kinds, sessions, aways, infos, strict=True
        )
    ]


_NONE: Final = type(None)
_LETTERS: Final[dict[Any, str]] = {None: "", **LETTERS}
_AWAYS: Final = {None: "", True: "1", False: "0"}


def touch_encoded(
    scope: Scope, sightings: Sequence[str], *, naming: bool = False
) -> Operation[Written]:
    """Record what `encode_all` gave."""
    return _touch(scope, "strict", sightings, naming=naming)


def _touch(
    scope: Scope, how: str, sightings: Sequence[Argument], *, naming: bool, date: str = ""
) -> Operation[Written]:
    script = lua.load("sighting/touch")
    wanted, head = scope.writing(naming=naming)
    if date:
        head = head._replace(now=date)
    args = (*head, how, *sightings)  # in its order: this is asked for often
    return Operation(script, wanted, args, _read_dated if date else read_written)


def mark_plain(scope: Scope, user: str, *, mixed: bool) -> Operation[Written | None]:
    """Mark one user and say nothing more; None where nothing is done, and a touch is to do it.

    ``mixed``: the room is taken to have others than members in it, or sessions.
    """
    if mixed:
        return cast("Operation[Written | None]", touch_users(scope, (user,)))
    now = scope.now()
    day = scope.day(scope, now)
    script = lua.load("sighting/mark")
    wanted = keys.of(scope.keys, script)
    args = (now, scope.window, user)  # in its order, which takes longer to look up than all else
    if day is None:
        return Operation(script, wanted, args, _read_marked)
    uniques = keys.uniques_keys(scope.prefix, scope.room, day)[0]
    return Operation(script, (*wanted, uniques), (*args, day), _read_marked)


def _read_marked(reply: Any) -> Written | None:
    return None if reply is None else read_written(reply)


def touch_users(scope: Scope, users: Sequence[str], *, naming: bool = False) -> Operation[Written]:
    """Mark users, and say nothing more of any of them."""
    return _touch(scope, "plain", [*dict.fromkeys(users)], naming=naming)


def touch(
    scope: Scope,
    marks: Sequence[Mark],
    ages: Sequence[int] | None = None,
    *,
    naming: bool = False,
    lenient: bool = False,
    date: str = "",
) -> Operation[Written]:
    """Record at most `MOST_AT_ONCE` marks; ``lenient`` refuses one at a time, not all.

    ``ages`` are those in milliseconds where they are not the marks' own; ``date`` is when they were right
    (see `dated`), where the store is to add what it comes to them late by.
    """
    if ages is None:
        ages = [mark.age for mark in marks]
    sightings: list[Argument]
    if all([mark[2:] == _PLAIN[1:] for mark in marks]):  # noqa: C419 - nothing but when
        users = [mark.user for mark in marks]
        if not any(ages):
            how, sightings = "plain", [*dict.fromkeys(users)]
        else:
            how, sightings = "aged", [one for pair in zip(users, ages, strict=True) for one in pair]
    else:
        how = "lenient" if lenient else "strict"
        sightings = [*map(_encode, marks, ages)]
    return _touch(scope, how, sightings, naming=naming, date=date)


def dated(now: int | None) -> str:
    """Write the moment of the store's clock at which a call is made, at the latest; None: not known."""
    return "@" if now is None else f"@{now}"


def _encode(mark: Mark, age: int) -> str:
    user, _, kind, session, away, info, replaces, usual = mark
    letter = _LETTERS[kind].upper() if usual else _LETTERS[kind]
    head = f"{user}\t{age or ''}\t{letter}\t{session}\t{_AWAYS[away]}"
    return f"{head}\t{info or ''}\t{replaces or ''}"


def sightings_in(operation: Operation[Any]) -> int:
    """How many sightings an operation records: 0 for what marks nobody."""
    if operation.script.name == "mark":
        return 1
    if operation.script.name != "touch":
        return 0
    how, sightings = _sightings(operation)
    return len(sightings) // 2 if how == "aged" else len(sightings)


def _sightings(touch: Operation[Any]) -> tuple[str, tuple[str, ...]]:
    first = touch.script.args.index("sightings")
    how, *sightings = cast("tuple[str, ...]", touch.args[first - 1 :])
    return how, tuple(sightings)


def users_of(operation: Operation[Any]) -> list[str]:
    """Whom an operation marks; nobody for what is no touch."""
    if operation.script.name != "touch":
        return []
    how, said = _sightings(operation)
    if how == "plain":
        return [*said]
    return [*said[::2]] if how == "aged" else [one.partition("\t")[0] for one in said]


def chunks(marks: Sequence[M], most: int = MOST_AT_ONCE) -> list[Sequence[M]]:
    """Split marks, or users, into what one script call takes."""
    return [marks[i : i + most] for i in range(0, len(marks), most)]


def leave(
    scope: Scope, user: object, session: object = None, *, naming: bool = False
) -> Operation[Written]:
    """End one session of a user, or (None) everything of theirs."""
    name = names.clean_user(user)
    ended = None if session is None else names.clean_session(session)
    return end(scope, [(name, ended)], naming=naming)


def end(
    scope: Scope, ended: Sequence[tuple[str, str | None]], *, naming: bool = False
) -> Operation[Written]:
    """End at most `MOST_AT_ONCE` sessions, each of a user and a clean name; None is all of theirs."""
    script = lua.load("sighting/leave")
    wanted, head = scope.writing(naming=naming)
    leaves: list[str] = []
    for user, session in ended:
        leaves += (user, "all", "") if session is None else (user, "session", session)
    return Operation(script, wanted, script.order(*head, rest=leaves), read_written)
