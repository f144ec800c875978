"""Resolution: repeat sightings that say nothing new, dropped in the process.

Owns what was said of whom, when, for a few seconds. Bounded: two generations of entries, the older
thrown away when the newer is full. Every method is a few dict operations, atomic enough under threads:
the worst a race can do is to let one repeat through.
"""

from typing import Final, NamedTuple

from herenow.operations.marking import Mark

_GENERATION: Final = 65_536
_SESSIONS: Final = 64


class _Said(NamedTuple):
    moment: float
    away: bool | None
    info: str | None


class _User:
    __slots__ = ("kind", "sessions")

    def __init__(self) -> None:
        self.kind: str | None = None
        self.sessions: dict[str, _Said] = {}


class Throttle:
    """What this process has said of users lately, by room, user and session."""

    def __init__(self) -> None:
        self._new: dict[tuple[str, str], _User] = {}
        self._old: dict[tuple[str, str], _User] = {}
        self.cleared = 0

    def repeats(
        self,
        room: str,
        user: str,
        session: str,
        kind: object,
        away: object,
        info: object,
        now: float,
        resolution: float,
    ) -> bool:
        """Whether all of that was said less than ``resolution`` seconds ago."""
        key = (room, user)
        known = self._new.get(key) or self._old.get(key)
        if known is None:
            return False
        said = known.sessions.get(session)
        return (
            said is not None
            and 0 <= now - said.moment < resolution
            and (kind is None or kind == known.kind)
            and (away is None or away is said.away)
            and (info is None or info == said.info)
        )

    def last(self, room: str, user: str, kind: object) -> float | None:
        """When she was last said to be there, without a session, and of a kind (None: any), if ever."""
        key = (room, user)
        known = self._new.get(key) or self._old.get(key)
        if known is None or (kind is not None and kind != known.kind):
            return None
        said = known.sessions.get("")
        return None if said is None else said.moment

    def say(self, room: str, mark: Mark, moment: float, *, came: bool = False) -> None:
        """Remember what was said at ``moment``; of who ``came`` online nothing else is known any more."""
        key = (room, mark.user)
        known = self._new.get(key)
        if known is None:
            if len(self._new) >= _GENERATION:
                self._old, self._new = self._new, {}
            known = self._new[key] = self._old.get(key) or _User()
        if came or len(known.sessions) >= _SESSIONS:
            known.kind, known.sessions = None, {}
        before = known.sessions.get(mark.session)
        if mark.kind is not None:
            known.kind = mark.kind
        known.sessions[mark.session] = _Said(
            moment,
            before.away if before and mark.away is None else mark.away,
            before.info if before and mark.info is None else mark.info,
        )

    def clear(self, room: str, user: str) -> None:
        """Forget one user of one room: the next sighting is sent.

        ``cleared`` counts these: who sent a mark meanwhile must not say that it was.
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
