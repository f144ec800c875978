"""What adapters and the service need of a Presence beyond its public methods.

Marks that are resolved when they are sent, leaves of every room, and when a mark is due again.

`Port` is for a Presence, `AsyncPort` for an AsyncPresence, each in one room. It is made of either and
holds it. All raise `StoreError` and `ValueError` as those do.
"""

# ruff: noqa: SLF001 - a port is a door into a Presence that its users do not see

from collections.abc import Iterable
from datetime import date
from typing import Any

from herenow import names
from herenow.models import Peak
from herenow.operations import rooms as rooms_
from herenow.operations import single
from herenow.operations.marking import Mark
from herenow.outbox.deferred import Deferred
from herenow.outbox.outbox import Ended


class _Port:
    """What asks no store."""

    def __init__(self, presence: Any) -> None:
        self._presence = presence
        self._outbox = presence._outbox
        self._scope = presence._scope

    @property
    def leaves(self) -> int:
        """How often this process has sent leaves: a mark made before one is no repeat after it."""
        return int(self._outbox.throttle.cleared)

    def repeats_until(self) -> float:
        """Until when a mark of now need not be made again, in seconds of `clocks.steady`; 0: it must."""
        return float(self._outbox.repeats_until(self._scope))

    @property
    def beat_seconds(self) -> float:
        """How often a session of this room is to be marked, in seconds: a third of the window."""
        return float(self._outbox.rooms.window(self._scope) / 3000)

    @property
    def beat_due(self) -> float:
        """How many seconds after its last mark a held session is to be marked again.

        A third of the window, or soon where marks are buffered and none has learned what that is.
        """
        return float(self._outbox.beat_due(self._scope))

    def note_rooms(self) -> None:
        """Have noted from now on in which rooms users are: `leave_rooms` looks into no others then.

        For sites of many rooms: every process that marks users in them must do so, before it does.
        """
        self._outbox.rooms.user_rooms.on = True

    def _target(self, room: object) -> Any:
        return self._scope if room is None else self._outbox.scopes.room(room)


class Port(_Port):
    """The port of a Presence."""

    def defer(self, deferred: Deferred, room: object = None) -> None:
        """Record that somebody is active now, in this room or another, by what is known when it is sent.

        Buffered it never waits. Else one round trip, two more where it is linked to another room, and
        one where a stranger wants a key.
        """
        self._presence._act(self._outbox.defer(self._target(room), deferred))

    def leave_rooms(self, user: object, session: str | None = None) -> int:
        """Take a user, or (named) one session of theirs, out of every room but this; out of how many.

        Three round trips where rooms are noted (`note_rooms`); else one for the list of rooms, and two a
        hundred that somebody is in.
        """
        name = names.clean_user(user)
        plan = self._outbox.leave_rooms(self._scope, name, session)
        self._presence.flush()
        return int(self._presence._run(plan, None, (name,)))

    def day_key(self, day: date) -> str:
        """The random key of a day (UTC), the same for whoever asks; the first makes it. O(1).

        Guests are named by it; it is gone two days later, and with it who they were.
        """
        return str(self._presence._act(single(self._outbox.day_key(day))))

    def room_peaks(
        self,
        rooms: Iterable[object],
        kind: names.Kind | None = None,
        *,
        include_hidden: bool = False,
    ) -> dict[str, Peak]:
        """The records of several rooms, as `Presence.peak` gives one. One round trip a node."""
        plan = rooms_.peaks(self._outbox.scopes.named(rooms), kind, include_hidden=include_hidden)
        found: dict[str, Peak] = self._presence._run(plan, None)
        return found

    def mark_session(self, mark: Mark) -> None:
        """Mark a held session."""
        self._presence._act(self._outbox.mark_session(self._scope, mark))

    def beat(self, mark: Mark) -> names.Kind | None:
        """Mark a held session; as what its user is online then, None: is not. One round trip."""
        found: names.Kind | None = self._presence._run(self._outbox.beat(self._scope, mark))
        return found


class AsyncPort(_Port):
    """The port of an AsyncPresence; see `Port`."""

    async def defer(self, deferred: Deferred, room: object = None) -> None:
        """See `Port.defer`."""
        await self._presence._act(self._outbox.defer(self._target(room), deferred))

    async def leave_rooms(self, user: object, session: str | None = None) -> int:
        """See `Port.leave_rooms`."""
        name = names.clean_user(user)
        plan = self._outbox.leave_rooms(self._scope, name, session)
        await self._presence.flush()
        return int(await self._presence._run(plan, None, (name,)))

    async def day_key(self, day: date) -> str:
        """See `Port.day_key`."""
        return str(await self._presence._act(single(self._outbox.day_key(day))))

    async def room_peaks(
        self,
        rooms: Iterable[object],
        kind: names.Kind | None = None,
        *,
        include_hidden: bool = False,
    ) -> dict[str, Peak]:
        """See `Port.room_peaks`."""
        plan = rooms_.peaks(self._outbox.scopes.named(rooms), kind, include_hidden=include_hidden)
        found: dict[str, Peak] = await self._presence._run(plan, None)
        return found

    async def end_sessions(self, ended: Iterable[Ended]) -> list[Ended]:
        """End many sessions at once; those that the store did not take. One round trip a node."""
        many = list(ended)
        plan = self._outbox.end_sessions(many)
        left: list[Ended] = await self._presence._run(plan, None, {user for _, user, _ in many})
        return left

    async def mark_session(self, mark: Mark) -> None:
        """See `Port.mark_session`."""
        await self._presence._act(self._outbox.mark_session(self._scope, mark))

    async def beat(self, mark: Mark) -> names.Kind | None:
        """See `Port.beat`."""
        found: names.Kind | None = await self._presence._run(self._outbox.beat(self._scope, mark))
        return found
