"""A line: one watch of a room, and the readers who are told what it tells.

It knows who watches whom, so that an event costs what those cost who are told it; when readers begin,
start over or change lines is for `feeds` to say.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from herenow.models import Event
from herenow.service.streaming.frames import Frame, Net, event_frame
from herenow.service.streaming.reader import Reader
from herenow.watching.aio_watchers import AsyncEvents


class Mode(Enum):
    """What readers without a watch-list are told."""

    EACH = "each"
    DIFF = "diff"
    COUNTS = "counts"


class Room(Protocol):
    """What a line needs of the room that it watches."""

    mode: Mode
    hidden: bool

    def start_over(self, readers: list[tuple[Reader, int]]) -> None:
        """Have readers sent a snapshot, and go on from it."""

    def recount(self) -> None:
        """Have it counted anew."""

    def happened(self, line: "Line", event: Event) -> None:
        """Note an event that a line sent."""


class Line:
    """A watch of a room, and whoever is told what it tells."""

    __slots__ = ("_feed", "_listed", "_plain", "_users", "net", "watch")

    def __init__(self, feed: Room, watch: AsyncEvents) -> None:
        self._feed = feed
        self.watch = watch
        self.net = Net()
        self._plain: dict[Reader, int] = {}
        self._listed: dict[Reader, int] = {}
        self._users: dict[str, dict[Reader, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._plain or self._listed)

    def add(self, reader: Reader, at: int) -> None:
        """Tell a reader, of whose rooms this is the one ``at``."""
        reader.lines[at] = self
        if reader.users is None:
            self._plain[reader] = at
        else:
            self._listed[reader] = at
            for user in reader.users:
                self._users.setdefault(user, {})[reader] = at

    def remove(self, reader: Reader) -> None:
        """Tell a reader no more."""
        at = self._plain.pop(reader, None)
        if at is None:
            at = self._listed.pop(reader, None)
            for user in reader.users or () if at is not None else ():
                readers = self._users[user]
                del readers[reader]
                if not readers:
                    del self._users[user]
        if at is not None:
            reader.lines[at] = None

    def drop_plain(self) -> list[tuple[Reader, int]]:
        """Let go of the readers without a watch-list."""
        dropped, self._plain = list(self._plain.items()), {}
        for reader, at in dropped:
            reader.lines[at] = None
        self.net.clear()
        return dropped

    def drop_all(self) -> list[tuple[Reader, int]]:
        """Let go of everybody."""
        listed = list(self._listed.items())
        for reader, _ in listed:
            self.remove(reader)
        return self.drop_plain() + listed

    @property
    def has_listed(self) -> bool:
        """Whether it tells anybody who has a watch-list."""
        return bool(self._listed)

    def drain(self) -> None:
        """Tell all that waits."""
        while batch := self.watch.take():
            self.take(batch)

    def take(self, batch: Iterable[Event]) -> None:
        """Tell events, or note them for the next diff."""
        feed = self._feed
        frames: list[Frame] = []
        each = feed.mode is Mode.EACH
        for event in batch:
            if event.type == "reset":
                self._send(frames)
                frames = []
                feed.start_over(self.drop_all())
                feed.recount()
                continue
            readers = self._users.get(str(event.user)) if self._users else None
            frame = None
            if self._plain and each:
                frame = event_frame(event, hidden=feed.hidden)
                frames.append(frame)
            elif self._plain and feed.mode is Mode.DIFF:
                self.net.add(event)
            if readers:
                frame = frame or event_frame(event, hidden=feed.hidden)
                for reader, at in readers.items():
                    if _is_news(reader, at, event):
                        reader.tell(at, frame)
            feed.happened(self, event)
        self._send(frames)

    def _send(self, frames: list[Frame]) -> None:
        if frames:
            whole = frames[0].whole if len(frames) == 1 else b"".join([one.whole for one in frames])
            for reader, at in self._plain.items():
                reader.tell_all(at, frames, whole)

    def tell_plain(self, frame: Frame) -> None:
        """Tell everybody without a watch-list."""
        for reader, at in self._plain.items():
            reader.tell(at, frame)

    def tell_listed(self, frame: Frame) -> None:
        """Tell everybody with one."""
        for reader, at in self._listed.items():
            reader.tell(at, frame)

    def change_over(self, to: "Line") -> None:
        """Have another line tell whoever this one tells: they are at the same place."""
        for reader, at in self.drop_all():
            if reader.believed is not None:
                reader.believed.pop(at, None)  # all that the list said is told now
            to.add(reader, at)


def _is_news(reader: Reader, at: int, event: Event) -> bool:
    """Whether an event is not in what the list of a reset told already: joins and leaves alternate.

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
