"""History: the most online in each minute, hour and day; how many different users; outages.

The store keeps minutes, and the maxima of each hour beside them. Those of days are made here. What a
writing script can't do itself, for it is given no key by the store's own clock, is done after it:
`file` and `count` (see lua/history/_sampling.lua).
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from herenow import lua, names
from herenow.models import Counts, Sample
from herenow.operations import Operation, Plan, answer, keys, text, texts
from herenow.operations.marking import Due
from herenow.operations.scope import Scope, moment

_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_HOURS_AT_ONCE: Final = 24 * 31
_HOURS_FILED_AT_ONCE: Final = 48
_FILES: Final = 16
"""Calls that file hours in a round trip."""
_USERS_AT_ONCE: Final = 1000


class _Maxima(NamedTuple):
    people: int = 0
    member: int = 0
    hidden: int = 0
    guest: int = 0
    bot: int = 0


def _unpack(packed: Any) -> _Maxima:
    return _Maxima(*map(int, text(packed).split()))


class _Curve:
    """Maxima and gaps by the minute that a step begins with, merged as they are read."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.maxima: dict[int, _Maxima] = {}
        self.gaps: dict[int, int] = {}

    def add(self, minute: int, maxima: _Maxima) -> None:
        start = minute - minute % self.step
        before = self.maxima.get(start)
        self.maxima[start] = maxima if before is None else _Maxima(*map(max, before, maxima))

    def add_gaps(self, hour: int, letters: str) -> None:
        for i, letter in enumerate(letters):
            if letter == "1":
                start = (hour * 60 + i) - (hour * 60 + i) % self.step
                self.gaps[start] = self.gaps.get(start, 0) + 1

    def sample(self, start: int) -> Sample:
        people, *of_kinds = self.maxima.get(start, _Maxima())
        return Sample(moment(start * _MINUTE), people, Counts(*of_kinds), self.gaps.get(start, 0))


# ------------------------------------------------------------ reading


class _Recent(NamedTuple):
    now: int
    since: int | None
    kept: int
    minutes: list[tuple[int, _Maxima]]


def _recent(scope: Scope, *, include_hidden: bool) -> Operation[_Recent]:
    def read(reply: Any) -> _Recent:
        now, since, kept, *flat = reply
        minutes = [
            (int(minute), _unpack(packed))
            for minute, packed in zip(flat[::2], flat[1::2], strict=True)
        ]
        return _Recent(now, None if int(since) < 0 else int(since), int(kept), minutes)

    script = lua.load("reading/recent")
    args = script.order(*scope.looking(), with_hidden="1" if include_hidden else "")
    return Operation(script, keys.of(scope.keys, script), args, read)


def _filed(scope: Scope, hours: Sequence[int], step: int) -> Operation[list[Any]]:
    which = tuple(keys.samples_key(scope.prefix, scope.room, hour) for hour in hours)
    script = lua.load("reading/samples")
    return Operation(script, which, script.order(step="minute" if step == 1 else "hour"), list)


def read(
    scope: Scope, start: object, end: object, step: object, *, include_hidden: bool
) -> Plan[list[Sample]]:
    """Read the samples from ``start`` to before ``end``: one round trip, and one more for filed hours."""
    minutes = names.clean_step(step)
    first, last = names.clean_moment(start, "a start"), names.clean_moment(end, "an end")
    if last < first:
        raise ValueError("a history ends after it starts")
    [outcome] = yield [_recent(scope, include_hidden=include_hidden)]
    recent: _Recent = answer(outcome)
    if recent.since is None:
        return []
    begin = max(first, recent.since, recent.now - recent.kept) // _MINUTE
    if first < begin * _MINUTE:
        begin -= begin % minutes
    else:
        begin = first // _MINUTE - first // _MINUTE % minutes
    stop = -(-min(last, recent.now + 1) // _MINUTE)
    curve = _Curve(minutes)
    for minute, maxima in recent.minutes:
        curve.add(minute, maxima)
    if stop <= begin:
        return []
    hours = range(begin // 60, (stop - 1) // 60 + 1)
    parts = [hours[i : i + _HOURS_AT_ONCE] for i in range(0, len(hours), _HOURS_AT_ONCE)]
    outcomes = yield [_filed(scope, part, minutes) for part in parts]
    for part, outcome in zip(parts, outcomes, strict=True):
        for hour, (gaps, *flat) in zip(part, answer(outcome), strict=True):
            if gaps:
                curve.add_gaps(hour, text(gaps))
            for field, packed in zip(texts(flat[::2]), flat[1::2], strict=True):
                curve.add(hour * 60 if field == "top" else int(field), _unpack(packed))
    return [curve.sample(at) for at in range(begin, stop, minutes)]


def uniques(scope: Scope, days: object, kind: object, *, include_hidden: bool) -> Plan[int]:
    """Count the different users of the last ``days`` days, today among them."""
    which = names.clean_kind(kind)
    wanted = names.clean_days(days, which)
    kinds: list[names.Kind] = [which]
    if include_hidden and which == "member":
        kinds.append("hidden")
    if which == "hidden" and not include_hidden:
        return 0
    now = scope.now()
    today = scope.day(scope, now)
    if today is None:  # this process knows of no history here; the store may
        today = int(now or 0) // _DAY
    while True:
        [outcome] = yield [_uniques(scope, now, today, wanted, kinds)]
        found, today_there = answer(outcome)
        if found >= 0:
            return int(found)
        today = today_there


def _uniques(
    scope: Scope, now: Any, today: int, days: int, kinds: Sequence[names.Kind]
) -> Operation[list[int]]:
    first = today - days
    which = tuple(
        keys.uniques_keys(scope.prefix, scope.room, day)[keys.ONLINE[kind] - 1]
        for day in range(first, today + 2)
        for kind in kinds
    )
    script = lua.load("reading/uniques")
    args = script.order(now=now, first=first, kinds=len(kinds), days=days)
    return Operation(script, which, args, list)


# ------------------------------------------------------------ what is done after a write


def after(scope: Scope, dues: Sequence[Due]) -> Plan[None]:
    """Do what a room's history wants done. What fails is done by a later write, hours at least."""
    operations: list[Operation[Any]] = [
        _count(scope, day, kind, users[i : i + _USERS_AT_ONCE], due.kept)
        for due in dues
        for (day, kind), users in due.uncounted.items()
        for i in range(0, len(users), _USERS_AT_ONCE)
    ]
    hour = min((due.hour for due in dues if due.hour is not None), default=None)
    before = max((due.before for due in dues), default=0)
    while operations or hour is not None:
        if hour is not None:
            operations += _files(scope, hour, before)
        outcomes = yield operations
        operations = []
        if hour is not None:
            following = outcomes[-1]
            hour = following if isinstance(following, int) and following > hour else None


def _count(
    scope: Scope, day: int, kind: names.Kind, users: Sequence[str], kept: int
) -> Operation[int]:
    script = lua.load("history/uniques_add")
    key = keys.uniques_keys(scope.prefix, scope.room, day)[lua.UNIQUES.index(f"uniques:{kind}")]
    return Operation(script, (key,), script.order(ttl=kept + 2 * _DAY, rest=users), int)


def _files(scope: Scope, first: int, now: int) -> list[Operation[int | None]]:
    """File hours from ``first`` on; the last answers the first that is still to be filed."""
    stop = min(now, first + _HOURS_FILED_AT_ONCE * _FILES)
    starts = range(first, max(stop, first + 1), _HOURS_FILED_AT_ONCE)
    return [_file(scope, one, now, more=one != starts[-1]) for one in starts]


def _file(scope: Scope, first: int, now: int, *, more: bool) -> Operation[int | None]:
    last = min(now, first + _HOURS_FILED_AT_ONCE)
    which = [keys.samples_key(scope.prefix, scope.room, hour) for hour in range(first, last)]
    script = lua.load("history/file")
    args = script.order(first=first, now=now, more="1" if more else "")
    return Operation(
        script,
        (*keys.of(scope.keys, script), *which),
        args,
        lambda reply: None if reply < 0 else int(reply),
    )


def outage(scope: Scope, start: int, end: int) -> list[Operation[int]]:
    """Record an outage from ``start`` to ``end``, in milliseconds: how many new gaps.

    A gap is a minute all of which lies between them and in which nobody wrote. None where there is no
    such minute, nor in a room without a history.
    """
    return _gaps(scope, -(-start // _MINUTE), end // _MINUTE, "")


def missed(scope: Scope, start: int, end: int) -> list[Operation[int]]:
    """Record that who writes here knew nothing of from ``start`` to ``end``, in ms: how many new gaps.

    Each minute that they touch is a gap, for what came late cannot tell its maximum.
    """
    return _gaps(scope, start // _MINUTE, end // _MINUTE + 1, "1")


def _gaps(scope: Scope, first: int, stop: int, whole: str) -> list[Operation[int]]:
    if stop <= first:
        return []
    hours = range(first // 60, (stop - 1) // 60 + 1)[-_HOURS_AT_ONCE:]
    which = [keys.samples_key(scope.prefix, scope.room, hour) for hour in hours]
    script = lua.load("history/outage")
    args = script.order(first=max(first, hours[0] * 60), last=stop - 1, all=whole)
    return [Operation(script, (*keys.of(scope.keys, script), *which), args, int)]
