"""Resolution: repeat sightings that say nothing new, dropped in the process.

Owns what was recorded of whom, when, for a few seconds. Bounded: two generations of entries, the older
thrown away when the newer is full. Every method is a few dict operations, atomic enough under threads:
the worst a race can do is to let one repeat through.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from herenow.operations.marking import Mark
from herenow.operations.scope import Scope

_GENERATION: Final = 65_536
_SESSIONS: Final = 64


class _Recorded(NamedTuple):
    moment: float
    away: bool | None
    info: str | None


class _User:
    __slots__ = ("kind", "sessions")

    def __init__(self) -> None:
        self.kind: object = None
        self.sessions: dict[str, _Recorded] = {}


class Throttle:
    """What this process has recorded of users lately, by room, user and session.

    ``wanted`` is the resolution in seconds, None for a sixtieth of a room's window; ``windows`` has
    those that are known, in milliseconds, by room; ``now`` gives the moment.
    A kind is any value: that of a mark in a linked room stands for whatever its user is in the other.
    """

    def __init__(
        self,
        wanted: float | None,
        windows: Mapping[str, int],
        now: Callable[[], float],
    ) -> None:
        self._wanted = wanted
        self._windows = windows
        self._now = now
        self._new: dict[tuple[str, str], _User] = {}
        self._old: dict[tuple[str, str], _User] = {}
        self.cleared = 0

    def resolution(self, scope: Scope) -> float:
        """For how many seconds a mark in a room makes others of the same repeats."""
        # a room whose window is not known yet might have a very short one
        window = self._windows.get(scope.room)
        if window is None:
            return 0
        if self._wanted is None:
            return window / 60_000
        return min(self._wanted, window / 2000)

    def repeats(
        self, scope: Scope, user: str, session: str, kind: object, away: object, info: object
    ) -> bool:
        """Whether all of that was recorded less than the resolution ago."""
        key = (scope.room, user)
        known = self._new.get(key) or self._old.get(key)
        if known is None:
            return False
        last = known.sessions.get(session)
        return (
            last is not None
            and (kind is None or kind == known.kind)
            and (away is None or away is last.away)
            and (info is None or info == last.info)
            and 0 <= self._now() - last.moment < self.resolution(scope)
        )

    def drop(self, scope: Scope, marks: Iterable[Mark]) -> list[Mark]:
        """Drop the marks that say nothing new. Late ones are all kept."""
        if self.resolution(scope) == 0:
            return list(marks)
        return [
            mark
            for mark in marks
            if mark.age
            or mark.replaces
            or mark.usual
            or not self.repeats(scope, mark.user, mark.session, mark.kind, mark.away, mark.info)
        ]

    def record(
        self, room: str, mark: Mark, moment: float, *, kind: object = None, came: bool = False
    ) -> None:
        """Remember a mark of ``moment``, of another ``kind`` where that is given.

        Of who ``came`` online by it nothing else is known any more.
        """
        key = (room, mark.user)
        known = self._new.get(key)
        if known is None:
            if len(self._new) >= _GENERATION:
                self._old, self._new = self._new, {}
            known = self._new[key] = self._old.get(key) or _User()
        if came or len(known.sessions) >= _SESSIONS:
            known.kind, known.sessions = None, {}
        before = known.sessions.get(mark.session)
        if kind is not None or mark.kind is not None:
            known.kind = mark.kind if kind is None else kind
        known.sessions[mark.session] = _Recorded(
            moment,
            before.away if before and mark.away is None else mark.away,
            before.info if before and mark.info is None else mark.info,
        )

    def sent(
        self,
        scope: Scope,
        marks: Iterable[Mark],
        moment: float,
        cleared: int,
        *,
        kind: object = None,
        came: bool = False,
    ) -> None:
        """Remember marks of ``moment``, so that repeats are dropped; see `record`.

        ``cleared`` is this one's count before they were sent: nothing is remembered that a leave may have
        overtaken.
        """
        if self._wanted == 0:
            return
        for mark in marks:
            if mark.replaces is not None:
                self.clear(scope.room, mark.replaces)
            elif not mark.age and cleared == self.cleared:
                self.record(scope.room, mark, moment, kind=kind, came=came)

    def clear(self, room: str, user: str) -> None:
        """Forget one user of one room: the next sighting is sent.

        ``cleared`` counts these: a mark that was sent meanwhile must not be recorded.
        """
        self.cleared += 1
        self._new.pop((room, user), None)
        self._old.pop((room, user), None)

    def clear_user(self, user: str) -> None:
        """Forget one user in every room."""
        self.cleared += 1
        for generation in (self._new, self._old):
            for key in [key for key in list(generation) if key[1] == user]:
                generation.pop(key, None)
