"""What herenow answers with: frozen dataclasses, times as aware UTC datetimes.

They hold no connection and do no work; `operations` makes them out of the store's replies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from herenow.names import Kind


@dataclass(frozen=True, slots=True)
class Sighting:
    """Evidence that a user was active at one moment, ``age`` seconds ago.

    ``None`` leaves kind, away and info as they are. An aged sighting never revives somebody who left
    after it, and says kind, away and info only where nothing newer of that user is recorded.
    """

    user: object
    kind: Kind | None = None
    session: str = ""
    away: bool | None = None
    info: Mapping[str, Any] | None = None
    age: float = 0.0
    replaces: object | None = None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who makes a request; ``kind`` None is a member, hidden where they hid themselves."""

    user: str
    kind: Kind | None = None

    @property
    def shown(self) -> "Visitor":
        """The same, with a kind for sure."""
        return self if self.kind else replace(self, kind="member")


@dataclass(frozen=True, slots=True)
class Session:
    """One fresh tab, device or connection of a user; ``""`` is the unnamed one."""

    name: str
    away: bool
    last_seen: datetime
    info: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class UserPresence:
    """What is known of one user in one room.

    ``last_seen`` is None when nothing is remembered; ``online_until`` is the moment they time out,
    None when offline. ``info`` is that of the session seen last among those that show any.
    """

    user: str
    kind: Kind
    online: bool
    away: bool
    last_seen: datetime | None
    online_until: datetime | None
    info: dict[str, Any] = field(hash=False)
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many are online, a kind."""

    member: int = 0
    hidden: int = 0
    guest: int = 0
    bot: int = 0

    @property
    def people(self) -> int:
        """All but bots."""
        return self.member + self.hidden + self.guest


@dataclass(frozen=True, slots=True)
class Page:
    """Some of who is online, newest first; ``cursor`` asks for the next page, None at the end."""

    users: tuple[UserPresence, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent moment of a room: counts, the first page, and the last event in it."""

    counts: Counts
    users: tuple[UserPresence, ...]
    next_page: str | None
    event_id: str


@dataclass(frozen=True, slots=True)
class Peak:
    """The most ever online at once, and when that was first reached (None: never anybody)."""

    count: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The most that were online at one moment of a minute, an hour or a day, which begins ``at``.

    ``counts`` has the largest number of each kind, each at its own moment; ``people`` that of all but
    bots at one moment, which may be less than their sum. Zero is a count: nobody was there. ``gap`` is
    how many minutes of it are not known: a watcher found the store unavailable all the while, and nobody
    wrote; or a log that is followed was read late.
    """

    at: datetime
    people: int
    counts: Counts
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """A room that somebody is in now."""

    name: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a room.

    ``type`` is join, leave (``reason`` left or timeout), update or reset; ``id`` is opaque, and
    resumes a watch. ``away``, ``session`` and ``info`` are None where the event says nothing of them;
    ``was`` is the kind that they were of, where an update moved them to another.
    """

    id: str
    type: Literal["join", "leave", "update", "reset"]
    room: str
    user: str | None
    kind: Kind | None
    at: datetime
    reason: Literal["left", "timeout"] | None = None
    away: bool | None = None
    session: str | None = None
    info: dict[str, Any] | None = field(default=None, hash=False)
    snapshot: Snapshot | None = None
    was: Kind | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a user is, or is not, online: all that the store knows of them, as one moment."""

    user: str
    room: str
    reason: str
    presence: UserPresence
    now: datetime
    window: float
    retention: float
    left_at: datetime | None
    events: tuple[Event, ...]

    def __str__(self) -> str:
        return f"{self.user} in {self.room}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Health:
    """How the store does, as this process sees it.

    ``since`` is when it became as it is; ``latency`` the seconds of one PING just now, None when it
    failed, or was not made because the breaker is open; ``dropped`` how many sightings were lost;
    ``breaker`` whether calls go through: ``closed``, ``open`` (they fail at once) or ``half-open`` (they
    do, and one try is under way).
    """

    ok: bool
    since: datetime
    latency: float | None
    dropped: int
    breaker: str | None = None
