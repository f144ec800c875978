"""What a request means: facts in, marks and leaves out. Pure, and the same for every adapter.

A `Policy` belongs to one site, a `Visit` to one request. The rules:

- What ``identify`` returns is final. By default whoever is logged in is a member, anybody else a
  `Stranger`: a guest, or a bot by their user agent.
- Whoever brings credentials that nobody has read yet is not marked: never a member as a guest.
- A login takes the place of the guest, also of one who was marked earlier in the same request, and takes
  that guest out of all rooms. A guest who comes back after midnight takes the place of yesterday's name.
- A logout, or another login, ends the session ``""`` of whoever was logged in before, in all rooms.
- Rooms are marked beside ``site``, linked to it, and only for answers that are no errors: a page that is
  not found is in no room. So rooms wait for the status, unless a page on which nothing went wrong yet
  asks about one: then the visitor finds themselves there.
- Requests that browsers make by themselves (``OPTIONS``), static files and excluded paths mark nobody.
- Guests and bots are bounded, and rooms are.

Nothing here waits, knows a framework or calls a store. Acts come from generators: what follows from
them is remembered when all were performed, so an act that fails is given again at the next question.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from typing import Final, NamedTuple, TypeAlias

from herenow.models import Visitor
from herenow.names import clean_kind, clean_room, clean_user
from herenow.web.bounds import Bound
from herenow.web.guests import DayKeys, Guests, Stranger

_FIRST_ERROR: Final = 400
Who: TypeAlias = Visitor | Stranger
RoomsOf: TypeAlias = Callable[[], "Iterable[object] | object | None"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request tells before anybody has looked into it; ``static`` is a file of the site."""

    method: str = "GET"
    path: str = "/"
    address: str | None = None
    agent: str | None = None
    static: bool = False


class Login(NamedTuple):
    """Who is logged in, by id.

    None is nobody; or nobody knows yet, where the request brings credentials (a session, a token)
    that are ``unread``.
    """

    user: str | None = None
    unread: bool = False


class Mark(NamedTuple):
    """Somebody is active: on the site or, linked to it, in a ``room``; ``replaces`` leaves with it."""

    who: Who
    replaces: str | Stranger | None = None
    room: str | None = None


class Leave(NamedTuple):
    """Somebody leaves all rooms, and (not ``rooms_only``) the site; by one session or (None) all."""

    user: str | Stranger
    session: str | None = None
    rooms_only: bool = False


Act: TypeAlias = Mark | Leave


class Policy:
    """The rules of one site.

    ``by_default`` is False where the site has an ``identify`` of its own; ``window`` gives the room
    `site`'s, in seconds, and must hold no app: marks that wait hold it.
    """

    def __init__(
        self,
        *,
        window: Callable[[], float],
        by_default: bool = True,
        has_rooms: bool = False,
        secret: str | None = None,
        exclude: Iterable[str] = (),
        max_guests: int = 50_000,
        max_rooms: int = 10_000,
    ) -> None:
        self.by_default = by_default
        self.has_rooms = has_rooms
        self.guests = Guests(
            DayKeys(secret), Bound(max_guests, "HERENOW_MAX_GUESTS", window), window
        )
        self.rooms = Bound(max_rooms, "HERENOW_MAX_ROOMS", window)
        self._excludes = excluding(exclude)

    def counts(self, facts: Facts) -> bool:
        """Whether a request is somebody's visit."""
        return not (facts.static or facts.method == "OPTIONS" or self._excludes(facts.path))

    def stranger(self, facts: Facts) -> Stranger:
        """Whoever makes a request, as if they were not logged in."""
        return self.guests.stranger(facts.address, facts.agent)

    def admits(self, who: Who) -> bool:
        """Whether somebody may be marked: guests and bots are bounded, strangers when they are named."""
        if isinstance(who, Stranger) or who.kind not in {"guest", "bot"}:
            return True
        return self.guests.bound.admits(who.user)


class Visit:
    """One request, from the first look at it to its answer; ``before`` was logged in when it came."""

    __slots__ = ("_before", "_first", "_marked", "_policy", "_rooms", "counts", "facts")

    def __init__(self, policy: Policy, facts: Facts, before: str | None = None) -> None:
        self._policy = policy
        self.facts = facts
        self.counts = policy.counts(facts)
        self._before = before if policy.by_default else None
        self._first: Visitor | None = None
        self._marked: Who | None = None
        self._rooms: list[object] | None = None

    def who(self, login: Login) -> Who | None:
        """Who makes the request, by default; None for whoever may be anybody yet."""
        if login.user is not None:
            return Visitor(login.user)
        return None if login.unread else self._stranger()

    def identified(self, answer: object) -> Visitor | None:
        """Who makes the request, by the answer of the site's ``identify``; ValueError for no id.

        A login takes the place of whom the first answer named.
        """
        named = clean_visitor(answer)
        if self._first is None:
            self._first = named
        return named

    def logout(self, logged_in: Callable[[], str | None]) -> Iterator[Act]:
        """What follows from who is logged in at the end: whoever was before, and is not, leaves."""
        before = self._before
        if before is not None and logged_in() != before:
            self._before = None
            yield Leave(before, session="")

    def mark(
        self,
        who: Who | None,
        rooms: RoomsOf | None = None,
        status: int | None = None,
        *,
        asks_of_room: bool = False,
    ) -> Iterator[Act]:
        """What follows from who makes the request; ``status`` is the answer's, None before the end.

        ``rooms`` names the rooms of the request, and is called where they are marked. ``asks_of_room``:
        the page, on which nothing went wrong yet, asks about a room.
        """
        policy = self._policy
        if who is None or not policy.admits(who):
            return
        fresh = self._marked is None or _name(self._marked) != _name(who)
        replaces = self._replaced(who)
        if fresh:
            yield Mark(who, replaces)
            logged_in = isinstance(who, Visitor) and who.kind != "guest"
            if policy.has_rooms and replaces is not None and logged_in:
                yield Leave(replaces, rooms_only=True)
        in_rooms = asks_of_room if status is None else status < _FIRST_ERROR
        if policy.has_rooms and rooms is not None and self._rooms is None and in_rooms:
            self._rooms = listed(rooms())
            fresh = True
        if fresh:
            for room in map(clean_room, self._rooms or ()):
                if policy.rooms.admits(room):
                    yield Mark(who, replaces, room)
        self._marked = who

    def _replaced(self, who: Who) -> str | Stranger | None:
        """Whose place they take: what they were earlier in this request, as a guest, or yesterday."""
        earlier = self._marked or self._first
        if earlier is not None and _name(earlier) != _name(who) and _is_guest(earlier):
            return _name(earlier)
        if not self._policy.by_default or isinstance(who, Stranger):
            return None  # a stranger's own mark takes yesterday's place
        if who.kind is None and self._before is None:  # logged in just now
            guest = self._stranger()
            return _name(guest) if _is_guest(guest) else None
        if who.kind == "guest":
            return self._policy.stranger(self.facts).before_midnight()
        return None

    def _stranger(self) -> Who:
        """The guest or bot that makes the request; by name where no key must be learned for it."""
        stranger = self._policy.stranger(self.facts)
        named = None if stranger.wanted() else stranger.visitor()
        return stranger if named is None else named


def _name(who: Who) -> str | Stranger:
    return who if isinstance(who, Stranger) else who.user


def _is_guest(who: Who) -> bool:
    return isinstance(who, Stranger) or who.kind == "guest"


def clean_visitor(answer: object) -> Visitor | None:
    """Check what an ``identify`` gave: a user's id, a Visitor, or None for nobody."""
    if answer is None:
        return None
    if not isinstance(answer, Visitor):
        return Visitor(clean_user(answer))
    kind = None if answer.kind is None else clean_kind(answer.kind)
    return Visitor(clean_user(answer.user), kind)


def listed(rooms: object) -> list[object]:
    """List the rooms that a site's ``rooms`` gave: None, one, or several."""
    if rooms is None:
        return []
    return [*rooms] if isinstance(rooms, list | tuple | set | frozenset) else [rooms]


def excluding(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Make what tells whether a path marks nobody; ``*`` in a pattern stands for anything."""
    many = [translate(one) for one in patterns]
    if not many:
        return lambda _: False
    whole = re.compile("|".join(many))
    return lambda path: whole.match(path) is not None
