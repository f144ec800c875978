"""In which rooms users are, noted in the store: so a login looks into these, not into all that are busy.

A site that takes users out of rooms has every process note, in one sorted set a user, each room that it
marks them in. The set lies in a slot of its own, so it is written beside the marks, in the same round
trip: at a user's first mark in a room and again after half a window, for two windows (for a day, where
the window is not known yet). Whoever left stays noted until then; a note says where to look, no more.
`UserRooms` owns what this process has noted, bounded by two generations; it does no I/O. A set that the
store lost is written again when they come online once more.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from herenow import clocks
from herenow.operations import Operation, Outcome, marking, rooms
from herenow.operations.marking import Written
from herenow.operations.scope import Scope

_GENERATION: Final = 65_536
_DAY: Final = 86_400_000
Notes: TypeAlias = Mapping[tuple[str, str], int]
"""For how many milliseconds a room and a user are noted."""
Sent: TypeAlias = Sequence[tuple[Scope, Operation[Any]]]


class UserRooms:
    """What one process has noted of users' rooms, all but one; nothing until it is ``on``."""

    def __init__(self, prefix: str, but: str, known_window: Callable[[Scope], int | None]) -> None:
        self.on = False
        self._prefix = prefix
        self._but = but
        self._known_window = known_window
        self._new: dict[tuple[str, str], float] = {}
        self._old: dict[tuple[str, str], float] = {}

    def due(self, scope: Scope, user: str) -> bool:
        """Whether a mark of a user in a room is to be noted."""
        if not self.on or scope.room == self._but:
            return False
        pair = (scope.room, user)
        until = self._new.get(pair) or self._old.get(pair)
        return until is None or clocks.steady() >= until

    def of(self, sent: Sent) -> Notes:
        """Say what is to be noted along with some writes."""
        if not self.on:
            return {}
        return {
            (scope.room, user): self._lasting(scope)
            for scope, operation in sent
            for user in marking.users_of(operation)
            if self.due(scope, user)
        }

    def missing(self, sent: Sent, outcomes: Sequence[Outcome], notes: Notes) -> Notes:
        """Say what is to be noted after some writes, by what they answered of a room, or of its users.

        Its window is longer than was thought; or more users came online than were noted just now: the
        store may have lost what this process had noted before.
        """
        more: dict[tuple[str, str], int] = {}
        if not self.on:
            return more
        for (scope, operation), outcome in zip(sent, outcomes, strict=False):
            if scope.room == self._but or not isinstance(outcome, Written):
                continue
            pairs = [(scope.room, user) for user in marking.users_of(operation)]
            lost = outcome.result > sum(pair in notes for pair in pairs)
            lasting = self._lasting(scope)
            for pair in pairs:
                if notes[pair] < lasting if pair in notes else lost:
                    more[pair] = lasting
        return more

    def operations(self, notes: Notes) -> list[Operation[int]]:
        """Make what writes notes: an operation a user, in their order."""
        by_user: dict[str, list[tuple[str, int]]] = {}
        for (room, user), lasting in notes.items():
            by_user.setdefault(user, []).append((room, lasting))
        return [rooms.note(self._prefix, user, named) for user, named in by_user.items()]

    def noted(self, notes: Notes, outcomes: Iterable[Outcome]) -> None:
        """Remember what the store took: the outcomes of `operations`."""
        users = dict.fromkeys(user for _, user in notes)
        took = {user for user, one in zip(users, outcomes, strict=False) if isinstance(one, int)}
        now = clocks.steady()
        for (room, user), lasting in notes.items():
            if user in took:
                if len(self._new) >= _GENERATION:
                    self._old, self._new = self._new, {}
                self._new[room, user] = now + lasting / 4000

    def _lasting(self, scope: Scope) -> int:
        window = self._known_window(scope)
        return max(_DAY, 2 * scope.window) if window is None else 2 * window
