"""A line: one watch of a room, and the readers to whom its events are sent.

It knows who watches whom, so that an event costs only the readers that it is sent to; when readers
begin, start over or change lines is for `feeds` to decide.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Protocol

from herenow.models import Event
from herenow.service.streaming.frames import Frame, Net, event_frame
from herenow.service.streaming.reader import Reader
from herenow.watching.aio_watchers import AsyncEvents


class Mode(Enum):
    """What is sent to readers without a watch-list."""

    EACH = "each"
    DIFF = "diff"
    COUNTS = "counts"


class Room(Protocol):
    """What a line needs of the room that it watches."""

    mode: Mode
    hidden: bool
    lines: "dict[Reader, Line]"

    def start_over(self, readers: list[tuple[Reader, int]]) -> None:
        """Have readers sent a snapshot, and go on from it."""

    def recount(self) -> None:
        """Have it counted anew."""

    def happened(self, line: "Line", event: Event) -> None:
        """Note an event that a line sent."""


class Line:
    """A watch of a room, and the readers of its events: ``plain``, and ``listed`` with a watch-list."""

    __slots__ = ("_feed", "_users", "listed", "net", "plain", "watch")

    def __init__(self, feed: Room, watch: AsyncEvents) -> None:
        self._feed = feed
        self.watch = watch
        self.net = Net()
        self.plain: dict[Reader, int] = {}
        self.listed: dict[Reader, int] = {}
        self._users: dict[str, dict[Reader, int]] = {}

    def __bool__(self) -> bool:
        return bool(self.plain or self.listed)

    def add(self, reader: Reader, at: int) -> None:
        """Take in a reader, of whose rooms this is the one ``at``."""
        self._feed.lines[reader] = self
        (self.plain if reader.users is None else self.listed)[reader] = at
        for user in reader.users or ():
            self._users.setdefault(user, {})[reader] = at

    def remove(self, reader: Reader) -> None:
        """Let go of a reader."""
        del self._feed.lines[reader]
        del (self.plain if reader.users is None else self.listed)[reader]
        for user in reader.users or ():
            readers = self._users[user]
            del readers[reader]
            if not readers:
                del self._users[user]

    def drop(self, *, listed: bool = False) -> list[tuple[Reader, int]]:
        """Let go of the readers without a watch-list, or of all."""
        dropped = [*self.plain.items(), *(self.listed.items() if listed else ())]
        for reader, _ in dropped:
            self.remove(reader)
        self.net.clear()
        return dropped

    def drain(self) -> None:
        """Take all events that wait."""
        while batch := self.watch.take():
            self.take(batch)

    def take(self, batch: Iterable[Event]) -> None:
        """Send events, or note them for the next diff."""
        feed = self._feed
        frames: list[Frame] = []
        each = feed.mode is Mode.EACH
        for event in batch:
            if event.type == "reset":
                send(self.plain, *frames)
                frames = []
                feed.start_over(self.drop(listed=True))
                feed.recount()
                continue
            readers = self._users.get(str(event.user)) if self._users else None
            frame = None
            if self.plain and each:
                frame = event_frame(event, hidden=feed.hidden)
                frames.append(frame)
            elif self.plain and feed.mode is Mode.DIFF:
                self.net.add(event)
            if readers:
                frame = frame or event_frame(event, hidden=feed.hidden)
                send({one: at for one, at in readers.items() if _is_news(one, at, event)}, frame)
            feed.happened(self, event)
        send(self.plain, *frames)

    def change_over(self, to: "Line") -> None:
        """Give the readers to another line, which is at the same place."""
        for reader, at in self.drop(listed=True):
            if reader.believed is not None:
                reader.believed.pop(at, None)  # all that the list held is sent now
            to.add(reader, at)


def send(readers: Mapping[Reader, int], *frames: Frame) -> None:
    """Send frames to readers, of whose rooms this is the one of the number."""
    whole = b"".join([one.whole for one in frames])
    for reader, at in readers.items() if frames else ():
        reader.send(at, frames, whole)


def _is_news(reader: Reader, at: int, event: Event) -> bool:
    """Whether an event is not in the list of a reset already: joins and leaves alternate.

    A watch-list is looked up a little later than the snapshot that its watch follows.
    """
    believed = None if reader.believed is None else reader.believed.get(at)
    if believed is None:
        return True
    user, joined = str(event.user), event.type == "join"
    if event.type == "update":
        return believed.get(user) is not False
    if believed.get(user) is joined:
        return False
    believed[user] = joined
    return True
