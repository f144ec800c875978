"""What sites ask with: the methods of `Presence`, of which none raises for the store.

What is asked gets an empty answer while the store fails: [], None, False; numbers are None, for unknown
is not 0. Bad arguments stay errors. `breaker` and `store` log what is wrong, once a change. The reads are
made of the facade: see `reads`.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from herenow.models import Health, UserPresence
from herenow.names import Kind, clean_room, clean_user
from herenow.operations.users import clean_ids
from herenow.presence import Presence
from herenow.web.asking import fail_open, unknown
from herenow.web.online_page import Content
from herenow.web.people import Names, People, absent, present
from herenow.web.reads import Reads
from herenow.web.trouble import Trouble

K = TypeVar("K", bound=Hashable)


class FailOpen(Reads):
    """Who is online in one room, asked so that no page fails for the store."""

    def __init__(
        self,
        get: Callable[[bool, str | None], Presence],
        trouble: Callable[[], Trouble],
        names: Names | None = None,
        room: str | None = None,
    ) -> None:
        super().__init__(get, trouble, room)
        self.__names = names

    mark_online = fail_open(Presence.mark_online, bool, asks=False)
    mark_online_many = fail_open(Presence.mark_online_many, int, asks=False)
    mark_offline = fail_open(Presence.mark_offline, bool, asks=False)

    def lookup(self, users: Iterable[K], *, include_hidden: bool = False) -> dict[K, UserPresence]:
        """Look up users, keyed by what was passed; not online, never seen, while the store fails."""
        wanted = list(users)
        named = clean_ids(wanted)
        found = super().lookup(wanted, include_hidden=include_hidden)
        if found is not None:
            return found
        return {
            key: UserPresence(name, "member", False, False, None, None, {}, ())
            for key, name in named.items()
        }

    _page = fail_open(Presence.page_online_users, unknown)

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
            snapshot = self.snapshot(limit)
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
        found = super().lookup(wanted)
        if found is None:
            return absent(wanted, self.__names)
        return present([found[one] for one in wanted], self.__names)

    def room(self, name: object) -> "FailOpen":
        """The same in another room."""
        return FailOpen(self._reach, self._trouble, self.__names, clean_room(name))

    def health(self) -> Health:
        """How the store does, by one PING. Never raises for the store."""
        return self._get(reading=False).health()
