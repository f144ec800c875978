"""The operations: every public method of a Presence once, and what one call of it costs.

Each test "for each operation" takes its rows from here; tests/core/test_facades.py fails where a public
method has none.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import herenow
from herenow import Sighting
from tests.core.sides import Side, enter

LONG_AGO, SOON = datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
Call = Callable[[Side], Any]
Sends = Literal["nothing", "room", "all"]


@dataclass(frozen=True)
class Operation:
    """A method, an ordinary call of it, and what it costs where the store knows the scripts.

    ``size`` is the most bytes that it sends. Where marks are buffered, ``sends`` is what of them goes to
    the store first: the room's, all rooms', or nothing, as the operation is a mark or local; it then
    takes ``with_waiting`` round trips, or (None) as many as ever.
    """

    name: str
    kind: Literal["read", "write", "local"]
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)
    case: str = ""
    round_trips: int = 1
    size: int = 800
    sends: Sends = "room"
    with_waiting: int | None = None

    @property
    def title(self) -> str:
        return f"{self.name}, {self.case}" if self.case else self.name

    def call(self, presence: Any, **other: Any) -> Any:
        """What the method returns, with ``other`` arguments where they are given."""
        method = getattr(herenow.Presence, self.name)
        if not callable(method):
            return getattr(presence, self.name)
        given = inspect.signature(method).bind(presence, *self.arguments, **self.named).arguments
        given = {name: value for name, value in given.items() if name != "self"} | other
        return getattr(presence, self.name)(**given)

    def __call__(self, side: Side, **other: Any) -> Any:
        """Do it on either facade: a session is entered, and left."""
        if self.name == "session":
            return enter(lambda: self.call(side, **other))
        return self.call(side, **other)

    def calling(self, parameter: str) -> Callable[[Side, Any], Any]:
        return lambda side, value: self(side, **{parameter: value})

    def takes(self, parameter: str) -> bool:
        method = getattr(herenow.Presence, self.name)
        return callable(method) and parameter in inspect.signature(method).parameters


OPERATIONS = (
    Operation("mark_online", "write", ("new",), sends="nothing", with_waiting=0),
    Operation("mark_online", "write", ("alice",), case="again", sends="nothing", with_waiting=0),
    Operation(
        *("mark_online", "write", ("alice",), {"session": "t", "info": {"a": 1}}),
        case="a session",
        sends="nothing",
        with_waiting=0,
    ),
    Operation(
        *("mark_online", "write", ("new", "bot"), {"replaces": "alice"}),
        case="replacing",
        sends="nothing",
        with_waiting=0,
    ),
    Operation(
        "mark_online_many",
        "write",
        (["new", Sighting("alice", "guest")],),
        sends="nothing",
        with_waiting=0,
    ),
    Operation("mark_offline", "write", ("alice",)),
    Operation("mark_offline", "write", ("bob", "tab"), case="a session"),
    Operation("session", "write", ("alice",), round_trips=2, size=1600, with_waiting=1),
    Operation("sweep", "write"),
    Operation("forget", "write", ("alice",), round_trips=2, size=1600, sends="all", with_waiting=3),
    Operation("is_online", "read", ("alice",)),
    Operation("get_user_last_activity", "read", ("alice",)),
    Operation("lookup", "read", (["alice", "bob"],)),
    Operation("get_online_users", "read"),
    Operation("page_online_users", "read"),
    Operation("count_online_users", "read"),
    Operation("counts", "read"),
    Operation("count_active_users", "read", (1800,)),
    Operation("get_active_users", "read", (1800,)),
    Operation("peak", "read"),
    Operation("snapshot", "read"),
    Operation("explain", "read", ("alice",)),
    Operation("history", "read", (LONG_AGO, SOON), round_trips=2, size=1600),
    Operation("unique_users", "read"),
    Operation("rooms", "read", round_trips=2, size=1600, sends="all", with_waiting=3),
    Operation("room_counts", "read", (["site", "elsewhere"],), size=1600, sends="all"),
    Operation("health", "local", size=50, sends="nothing"),  # a PING
    Operation("flush", "local", round_trips=0, sends="all", with_waiting=1),
    Operation("room", "local", ("doc",), round_trips=0, sends="nothing"),
    Operation("name", "local", round_trips=0, sends="nothing"),
    Operation("client", "local", round_trips=0, sends="nothing"),
)
APART = {
    "watch": "an iterator, tried by tests/watch",
    "close": "ends the others, tried by tests/core/test_endings.py",
}
"""Public methods that are no operation, and why."""

WRITES = {one.title: one for one in OPERATIONS if one.kind == "write"}
READS = {one.title: one for one in OPERATIONS if one.kind == "read"}
ASKING = READS | WRITES
"""All that ask the store, and raise where it does not answer."""


def methods(kind: str) -> list[str]:
    """The names of the methods of a kind."""
    return list(dict.fromkeys(one.name for one in OPERATIONS if one.kind == kind))


def taking(parameter: str) -> dict[str, Callable[[Side, Any], Any]]:
    """Calls of the operations that take a parameter, with a value for it."""
    found: dict[str, Callable[[Side, Any], Any]] = {}
    for one in OPERATIONS:
        if one.takes(parameter):
            found.setdefault(one.name, one.calling(parameter))
    return found


def stock(side: Side) -> None:
    """Put something under each of a room's keys."""
    side.mark_online("left", "hidden")
    side.mark_offline("left")
    side.mark_online("gone")
    side.mark_offline("gone")
    side.mark_online("alice")
    side.mark_online_many([Sighting("a guest", "guest"), Sighting("a bot", "bot")])
    side.mark_online("a hidden one", "hidden")
    side.mark_online("bob", session="tab", info={"a": 1})
