"""Presence: who is online, for code that blocks. A line an operation; see `aio` for asyncio's.

A Presence is thread-safe and meant to be kept, one a process. It opens its connection at the first
use, so that it may be made before a fork. Every operation is one round trip unless it says otherwise,
and raises `StoreError` (`StoreUnavailable`, `StoreTimeout`) for trouble with the store, `ValueError`
for arguments that break a rule, and nothing else.

After a few calls in a row that the store did not answer, no call waits for it: a breaker, which all that
ask one store in a process share, has them raise StoreUnavailable at once until the store answers again.
See `breaker`.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar

from herenow import names
from herenow.models import (
    Counts,
    Explanation,
    Health,
    Page,
    Peak,
    Room,
    Sample,
    Snapshot,
    UserPresence,
)
from herenow.operations import Operation, Plan, history, online
from herenow.operations import rooms as rooms_
from herenow.operations import users as users_
from herenow.outbox.flushing import Flushing
from herenow.outbox.outbox import Outbox, Owner
from herenow.outbox.scopes import DEFAULT_TIMEOUT
from herenow.outbox.sessions import OpenSession
from herenow.store.engine import Engine
from herenow.store.opening import opener, same_store
from herenow.watching.watchers import Events, Watchers

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Seconds = float | timedelta
Rooms = Collection[str] | None
DEFAULT_URL: Final = "redis://localhost:6379/0"


class Presence:
    """Who is online in one room, and in those that `room` gives.

    ``store`` is a URL (redis, rediss, unix, valkey, valkeys, redis+sentinel, redis+cluster,
    embedded) or a client of redis-py or valkey-py, single or cluster, which stays the caller's.
    ``window`` is how many seconds a sighting keeps a user online (a room's stored one holds; naming one
    here stores it for the room ``site``); ``retention`` how long a member's last seen is remembered;
    ``resolution`` how many seconds a repeat sighting is dropped in the process (None: window/60, 0:
    exact); ``buffered`` sends marks in batches, twice a second; ``history`` is True, False or how many
    seconds it is kept (True: 31 days; not named, the room ``site`` keeps one, and others do not);
    ``clock`` gives Unix seconds instead of the store's own; ``timeout`` is that of a connection made
    here, in seconds.
    """

    def __init__(
        self,
        store: Any = DEFAULT_URL,
        *,
        window: Seconds | None = None,
        retention: Seconds | None = None,
        resolution: Seconds | None = None,
        buffered: bool = False,
        history: bool | Seconds | None = None,
        prefix: str = "herenow:",
        clock: Callable[[], float] | None = None,
        timeout: Seconds = DEFAULT_TIMEOUT,
    ) -> None:
        settings: dict[str, Any] = {
            "window": window,
            "retention": retention,
            "resolution": resolution,
            "buffered": buffered,
            "history": history,
            "prefix": prefix,
            "clock": clock,
        }
        self._made_of = (store, {**settings, "timeout": timeout})
        self._outbox = Outbox(**settings)
        seconds = names.milliseconds(timeout, "a timeout") / 1000
        self._engine = Engine(
            opener(store, seconds, asynchronous=False), same_store(store, seconds, "sync")
        )
        self._scope = self._outbox.scopes.site
        self._owner = Owner()
        self._flushing = Flushing(self._outbox, self._engine, seconds, self._owner)
        self._watchers = Watchers(self._outbox, self._engine)

    # sightings

    def mark_online(
        self,
        user: object,
        kind: names.Kind | None = None,
        session: str = "",
        away: bool | None = None,
        info: Mapping[str, Any] | None = None,
        replaces: object | None = None,
    ) -> bool | None:
        """Record that a user is active now; True when this made them online.

        ``None`` leaves a thing as it is: an offline user comes back hidden if they left hidden, else as a
        member; ``info={}`` clears it. ``replaces`` leaves another user in the same moment (a login: the
        guest becomes a member). A repeat that says nothing new within the resolution costs no round
        trip. Buffered: None, and never waits. ValueError for a 33rd session.
        """
        mark = self._outbox.mark_online(self._scope, user, kind, session, away, info, replaces)
        return mark if mark is None or mark is False else self._flushing.mark(self._scope, mark)

    def mark_online_many(self, sightings: Iterable[object]) -> int | None:
        """Record many sightings, users or `Sighting`s; how many came online.

        One round trip, atomic by the thousand. Buffered: None, and never waits.
        """
        return self._act(self._outbox.mark_many(self._scope, sightings))

    def mark_offline(self, user: object, session: str | None = None) -> bool:
        """Record that a user, or (named) one session of theirs, is gone; True if this made them offline.

        When their last named session ends they leave; ending a session they do not have changes nothing.
        """
        name = names.clean_user(user)
        plan = self._outbox.leave(self._scope, name, session)
        return self._run(plan, ending=(name,))

    def session(
        self,
        user: object,
        kind: names.Kind | None = None,
        session: str | None = None,
        away: bool | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> AbstractContextManager[OpenSession]:
        """Hold a session open: kept fresh every third of the window, ended on the way out.

        ``session`` is its name, a random one unless given. A thread a session; a store that is
        unavailable meanwhile is tried again at the next beat.
        """
        return OpenSession(self, user, session, kind, away, info).held()

    # who is online

    def is_online(self, user: object, *, include_hidden: bool = False) -> bool:
        """Tell whether a user is online now. O(log n)."""
        return self._one(user, include_hidden=include_hidden).online

    def get_user_last_activity(
        self, user: object, *, include_hidden: bool = False
    ) -> datetime | None:
        """When a user was last seen, aware and in UTC; None when that is longer ago than the retention.

        Not whether they are online: see `is_online`. Guests and bots are forgotten when they leave.
        """
        return self._one(user, include_hidden=include_hidden).last_seen

    def _one(self, user: object, *, include_hidden: bool) -> UserPresence:
        name = names.clean_user(user)
        return self._call(users_.lookup(self._scope, [name], include_hidden=include_hidden))[0]

    def lookup(self, users: Iterable[K], *, include_hidden: bool = False) -> dict[K, UserPresence]:
        """Look up users, keyed by what was passed; one that is unknown is not online.

        Hundreds in one round trip; O(log n) each.
        """
        return self._run(users_.lookup_all(self._scope, users, include_hidden=include_hidden))

    def get_online_users(
        self,
        window: Seconds | None = None,
        kind: names.Kind = "member",
        limit: int | None = None,
        *,
        include_hidden: bool = False,
    ) -> list[str]:
        """List who is online, newest first: within ``window`` seconds, at most the room's.

        ``include_hidden`` lists hidden members among the members; without it the kind ``hidden`` is
        empty. O(n): for a page of many, see `page_online_users`.
        """
        return self._call(
            online.users(self._scope, window, kind, limit, include_hidden=include_hidden)
        )

    def page_online_users(
        self,
        limit: int = 50,
        cursor: str | None = None,
        window: Seconds | None = None,
        kind: names.Kind = "member",
        *,
        include_hidden: bool = False,
    ) -> Page:
        """One page of who is online, newest first, and the cursor of the next. O(log n + limit).

        Nobody is skipped or repeated whose last seen did not change meanwhile.
        """
        return self._call(
            online.page(self._scope, limit, cursor, window, kind, include_hidden=include_hidden)
        )

    def count_online_users(
        self,
        window: Seconds | None = None,
        kind: names.Kind = "member",
        *,
        include_hidden: bool = False,
    ) -> int:
        """Count exactly those whom `get_online_users` lists. O(log n); nothing is transferred."""
        return self._call(online.count(self._scope, window, kind, include_hidden=include_hidden))

    def counts(self, *, include_hidden: bool = False) -> Counts:  # noqa: ARG002
        """Count who is online, each kind. O(log n).

        The hidden are counted apart, whatever ``include_hidden`` says (taken as by every read): a
        Counts is for code, which decides what a page shows.
        """
        return self._call(online.counts(self._scope))

    def count_active_users(self, window: Seconds, *, include_hidden: bool = False) -> int:
        """Count members seen within ``window`` seconds, gone or not, up to the retention. O(log n)."""
        return self._call(online.active_count(self._scope, window, include_hidden=include_hidden))

    def get_active_users(
        self, window: Seconds, limit: int = 50, *, include_hidden: bool = False
    ) -> list[str]:
        """List members seen within ``window`` seconds, gone or not, newest first. O(log n + limit)."""
        return self._call(
            online.active_users(self._scope, window, limit, include_hidden=include_hidden)
        )

    def peak(self, kind: names.Kind | None = None, *, include_hidden: bool = False) -> Peak:
        """The most ever online at once, exactly, and when: of a kind, or of all but bots. O(1).

        Of all but bots the hidden are among them only with ``include_hidden``.
        """
        return self._call(online.peak(self._scope, kind, include_hidden=include_hidden))

    def history(
        self,
        start: datetime,
        end: datetime,
        step: names.Step = "minute",
        *,
        include_hidden: bool = False,
    ) -> list[Sample]:
        """The most online in each minute, hour or day from ``start`` to before ``end``.

        Datetimes with a time zone. Steps are of UTC, by the store's clock; the list begins where the
        room's history does, and ends now. Empty where the room keeps none: ``site`` does, others where
        ``history=`` says so. Two round trips.

        Exact for sightings that reach the store in the order of their moments. One that is recorded late
        (an ``age``, or buffered) counts from its own moment on, but not before the last join that the
        store knew of, nor in minutes that were closed, nor before the history began. Of minutes that come
        twice, as the store's clock is set back, the larger number counts. The hidden are counted, apart
        (``people`` has them too); to outsiders the history begins when the first who was not hidden came.
        """
        return self._run(history.read(self._scope, start, end, step, include_hidden=include_hidden))

    def unique_users(
        self, days: int = 1, kind: names.Kind = "member", *, include_hidden: bool = False
    ) -> int:
        """Count the different users seen on the last ``days`` days, today among them, in UTC: 1, 7, 30.

        By HyperLogLogs: within a percent or so. A user counts on each day with a sighting, of each kind
        that they were; a hidden one among the members only with ``include_hidden``. Guests are told apart
        for a day only. One round trip. `forget` can't take anybody out of it.
        """
        return self._run(history.uniques(self._scope, days, kind, include_hidden=include_hidden))

    def snapshot(self, limit: int = 50, *, include_hidden: bool = False) -> Snapshot:
        """Counts, the newest members and the last event, as one moment. O(log n + limit)."""
        return self._call(online.snapshot(self._scope, limit, include_hidden=include_hidden))

    def watch(
        self,
        after: str | None = None,
        users: Iterable[object] | None = None,
        *,
        include_hidden: bool = False,
    ) -> Events:
        """Tell what happens in this room, as it happens: an iterator of `Event`, until it is closed.

        It begins now, or ``after`` the id of an Event or the ``event_id`` of a Snapshot, without gap or
        overlap. Where what came since is not there any more (trimmed, another store, a failover, a user
        forgotten, a reader too slow) a ``reset`` event brings a snapshot to start over from, its first
        50 members with it. Of ``users`` alone; the snapshot of their reset has those who are online.

        A leave by timeout comes within a second. A store that is unavailable makes it wait, never raise;
        bad arguments raise ValueError at once. ``with``, ``close()``, or the end of the loop free what it
        holds: watches of one Presence share a connection a node and a read a room.
        """
        return self._watchers.watch(self._scope, after, users, include_hidden=include_hidden)

    def explain(self, user: object, *, include_hidden: bool = False) -> Explanation:
        """Why a user is, or is not, online: their sessions, sightings, when they expire, last events.

        For people who ask; it looks through the last 200 event entries.
        """
        return self._call(users_.explain(self._scope, user, include_hidden=include_hidden))

    # rooms

    @property
    def name(self) -> str:
        """The room's name."""
        return self._scope.room

    def room(
        self,
        name: object,
        window: Seconds | None = None,
        history: bool | Seconds | None = None,
    ) -> Self:
        """The same API in another room; cheap.

        A ``window`` or ``history`` named here is stored at the first write.
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._scope = self._outbox.scopes.room(name, window, history)
        return other

    def rooms(self, limit: int = 50, *, include_hidden: bool = False) -> list[Room]:
        """The rooms that somebody is in, busiest first. Two round trips a hundred rooms looked at."""
        most, scopes = names.clean_limit(limit), self._outbox.scopes
        self.flush()
        found = rooms_.busiest(scopes.prefix, most, scopes.of, include_hidden=include_hidden)
        return self._engine.run(found)

    def room_counts(
        self,
        rooms: Iterable[object],
        *,
        include_hidden: bool = False,  # noqa: ARG002
    ) -> dict[str, Counts]:
        """Count several rooms, as `counts` does one. One round trip a node."""
        return self._run(rooms_.counts(self._outbox.scopes.named(rooms)), None)

    # upkeep

    def sweep(self) -> int:
        """Expire now whoever's window is over, at most 250 a call; how many those were.

        Nothing depends on it: counts and lists are exact without. It tells leaves in time.
        """
        return self._run(self._outbox.sweep(self._scope))

    def forget(self, user: object) -> int:
        """Erase all that was recorded of a user before the call; in how many rooms there was anything.

        Round trips: one a hundred rooms, and one for their list.
        """
        name = names.clean_user(user)
        self.flush()
        return self._run(self._outbox.forget(name), None, (name,))

    def health(self) -> Health:
        """How the store does, by one PING, or at once where the breaker is open. Never raises for it."""
        return self._engine.health(self._outbox.dropped)

    def flush(self) -> None:
        """Send what is buffered, now. Reads do that by themselves."""
        self._flushing.send_all()

    @property
    def client(self) -> Any:
        """The client it was given, or made."""
        return self._engine.client

    def close(self) -> None:
        """Send what is buffered and close the connection, for all rooms; it opens again when used."""
        self._watchers.close()
        try:
            self._flushing.close()
        finally:
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _act(self, plan: Plan[T] | None) -> T | None:
        """Run what the outbox gave for now, if anything."""
        return None if plan is None else self._engine.run(plan)

    def _call(self, operation: Operation[T]) -> T:
        return self._flushing.call(self._scope, operation)

    def _run(self, plan: Plan[T], rooms: Rooms = (), ending: Collection[str] = ()) -> T:
        """Run a plan after what waits for this room, or (None) for all; see `Flushing.run`."""
        return self._flushing.run((self._scope.room,) if rooms == () else rooms, plan, ending)
