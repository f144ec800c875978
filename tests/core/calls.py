"""Every public method that asks the store, called as one would; and something for it to find."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from herenow import Sighting
from tests.core.sides import Side, enter

LONG_AGO, SOON = datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
Call = Callable[[Side], Any]
WRITES: dict[str, Call] = {
    "mark_online": lambda p: p.mark_online("new"),
    "mark_online again": lambda p: p.mark_online("alice"),
    "mark_online a session": lambda p: p.mark_online("alice", session="t", info={"a": 1}),
    "mark_online, replacing": lambda p: p.mark_online("new", "bot", replaces="alice"),
    "mark_online_many": lambda p: p.mark_online_many(["new", Sighting("alice", "guest")]),
    "mark_offline": lambda p: p.mark_offline("alice"),
    "mark_offline a session": lambda p: p.mark_offline("bob", "tab"),
    "session": lambda p: enter(lambda: p.session("alice")),
    "sweep": lambda p: p.sweep(),
    "forget": lambda p: p.forget("alice"),
}
READS: dict[str, Call] = {
    "is_online": lambda p: p.is_online("alice"),
    "get_user_last_activity": lambda p: p.get_user_last_activity("alice"),
    "lookup": lambda p: p.lookup(["alice", "bob"]),
    "get_online_users": lambda p: p.get_online_users(),
    "page_online_users": lambda p: p.page_online_users(),
    "count_online_users": lambda p: p.count_online_users(),
    "counts": lambda p: p.counts(),
    "count_active_users": lambda p: p.count_active_users(3600),
    "get_active_users": lambda p: p.get_active_users(3600),
    "peak": lambda p: p.peak(),
    "snapshot": lambda p: p.snapshot(),
    "explain": lambda p: p.explain("alice"),
    "history": lambda p: p.history(LONG_AGO, SOON),
    "unique_users": lambda p: p.unique_users(),
    "rooms": lambda p: p.rooms(),
    "room_counts": lambda p: p.room_counts(["site", "elsewhere"]),
}
APART = {"watch"}
"""Tried by tests/watch."""
ASKS_NOTHING = {
    "name",
    "room",
    "health",
    "flush",
    "client",
    "close",
}


def stock(side: Side) -> None:
    """Put something under each of a room's ten keys."""
    side.mark_online("left", "hidden")
    side.mark_offline("left")
    side.mark_online("gone")
    side.mark_offline("gone")
    side.mark_online("alice")
    side.mark_online_many([Sighting("a guest", "guest"), Sighting("a bot", "bot")])
    side.mark_online("a hidden one", "hidden")
    side.mark_online("bob", session="tab", info={"a": 1})
