"""What sites ask with: the methods of `Presence`, of which none raises for the store.

What is asked gets an empty answer while the store fails: [], None, False; numbers are None, for unknown
is not 0. Bad arguments stay errors. `breaker` and `store` log what is wrong, once a
change.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from herenow.errors import StoreError, StoreUnavailable
from herenow.models import Health, Page, Room, UserPresence
from herenow.names import Kind, clean_room, clean_user
from herenow.operations import users
from herenow.presence import Presence
from herenow.web.online_page import Content
from herenow.web.people import Names, People, absent, present

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")
_log: Final = logging.getLogger("herenow")


class Trouble:
    """Whether the store of a site lately answered. What is wrong with it, its breaker and it log."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._answers = True

    def note(self, error: StoreError | None) -> None:
        """Note how a call went."""
        if not self.enabled:
            return
        if error is not None and self._answers:
            _log.debug("pages are served without the store: %s", error)
        elif error is None and not self._answers:
            _log.debug("pages are served with the store again")
        self._answers = error is None


def _fail_open(
    method: Callable[Concatenate[Presence, P], T], otherwise: Callable[[], D], *, asks: bool = True
) -> Callable[Concatenate["FailOpen", P], T | D]:
    """Make a method of `Presence` one that gives ``otherwise()`` when the store fails.

    ``asks`` is whether it reads: then whoever asks is marked first, and an answer shows that the store
    is there (a mark may never reach it).
    """
    name = method.__name__  # as the Presence at hand has it

    @wraps(method)
    def call(here: "FailOpen", /, *args: P.args, **kwargs: P.kwargs) -> T | D:
        trouble = here._trouble()  # noqa: SLF001 - a method of it
        try:
            answer: T = getattr(here._get(reading=asks), name)(*args, **kwargs)  # noqa: SLF001
        except StoreError as error:
            trouble.note(error)
            return otherwise()
        if asks:
            trouble.note(None)
        return answer

    return call


def _nothing() -> None:
    return None


class FailOpen:
    """Who is online in one room, asked so that no page fails for the store."""

    def __init__(
        self,
        get: Callable[[bool, str | None], Presence],
        trouble: Callable[[], Trouble],
        names: Names | None = None,
        room: str | None = None,
    ) -> None:
        self.__get = get
        self.__trouble = trouble
        self.__names = names
        self.__room = room

    def _get(self, *, reading: bool) -> Presence:
        presence = self.__get(reading, self.__room)
        return presence if self.__room is None else presence.room(self.__room)

    def _trouble(self) -> Trouble:
        return self.__trouble()

    mark_online = _fail_open(Presence.mark_online, bool, asks=False)
    mark_online_many = _fail_open(Presence.mark_online_many, int, asks=False)
    mark_offline = _fail_open(Presence.mark_offline, bool, asks=False)
    is_online = _fail_open(Presence.is_online, bool)
    get_online_users = _fail_open(Presence.get_online_users, list[str])
    get_active_users = _fail_open(Presence.get_active_users, list[str])
    get_user_last_activity = _fail_open(Presence.get_user_last_activity, _nothing)
    count_online_users = _fail_open(Presence.count_online_users, _nothing)
    count_active_users = _fail_open(Presence.count_active_users, _nothing)
    counts = _fail_open(Presence.counts, _nothing)
    peak = _fail_open(Presence.peak, _nothing)
    page_online_users = _fail_open(Presence.page_online_users, lambda: Page((), None))
    rooms = _fail_open(Presence.rooms, list[Room])

    def lookup(
        self, ids: Iterable[Hashable], *, include_hidden: bool = False
    ) -> Mapping[Any, UserPresence]:
        """Look up users, keyed by what was passed; not online, never seen, while the store fails."""
        wanted = list(ids)
        named = users.clean_ids(wanted)
        found = self._lookup(wanted, include_hidden=include_hidden)
        if found is not None:
            return found
        return {
            key: UserPresence(name, "member", False, False, None, None, {}, ())
            for key, name in named.items()
        }

    _lookup = _fail_open(Presence.lookup, _nothing)
    _snapshot = _fail_open(Presence.snapshot, _nothing)
    _page = _fail_open(Presence.page_online_users, _nothing)

    # people, by name

    def online_users(self, limit: int = 50, kind: Kind = "member") -> People:
        """List who is online, newest first, by name: one round trip.

        Empty, and ``.known`` is False, while the store fails.
        """
        page = self._page(limit, None, None, kind)
        return People(known=False) if page is None else present(page.users, self.__names)

    def online_content(self, limit: int = 50, cursor: str | None = None) -> Content:
        """Find what a page of who is online shows: one round trip, two for a later page."""
        if cursor is None:
            snapshot = self._snapshot(limit)
            if snapshot is None:
                return Content(None, People(known=False))
            people = present(snapshot.users, self.__names)
            more = snapshot.counts.member - len(people) if snapshot.next_page else 0
            return Content(snapshot.counts, people, snapshot.next_page, max(0, more))
        page, counts = self._page(limit, cursor), self.counts()
        if page is None or counts is None:
            return Content(None, People(known=False))
        return Content(counts, present(page.users, self.__names), page.cursor)

    def people(self, ids: Iterable[object]) -> People:
        """Make people of ids, in their order, by name, online or not: one round trip for all."""
        wanted = [clean_user(one) for one in ids]
        found = self._lookup(wanted)
        if found is None:
            return absent(wanted, self.__names)
        return present([found[one] for one in wanted], self.__names)

    def room(self, name: object) -> "FailOpen":
        """The same in another room."""
        return FailOpen(self.__get, self.__trouble, self.__names, clean_room(name))

    def health(self) -> Health:
        """How the store does, by one PING. Never raises for the store."""
        return self._get(reading=False).health()


class Disabled(Presence):
    """The Presence of a site where herenow is disabled: no store, so none that answers.

    Whatever a Presence can be asked raises StoreUnavailable, but for what asks no store.
    """

    def __init__(self) -> None:
        super().__init__("redis://disabled.invalid")
        self._since = datetime.now(UTC)

    def health(self) -> Health:
        """Say that there is none."""
        return Health(False, self._since, None, 0)


def _disabled(*_: object, **__: object) -> Any:
    raise StoreUnavailable("herenow is disabled: HERENOW_ENABLED is false")


_ASKS_NOTHING: Final = frozenset(("close", "flush", "name", "room"))

for _name in ("_act", "_call", "_run"):  # by which a port asks
    setattr(Disabled, _name, _disabled)
for _name, _member in vars(Presence).items():
    if not (_name.startswith("_") or _name in _ASKS_NOTHING or _name in vars(Disabled)):
        setattr(
            Disabled, _name, property(_disabled) if isinstance(_member, property) else _disabled
        )
