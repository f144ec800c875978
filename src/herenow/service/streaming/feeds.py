"""A room as streams show it: each event at once, a diff an interval, or counts alone.

A `Feed` is a room as those see it who may, or may not, see the hidden. Its main line watches from the
moment that somebody first came; whoever comes later is on a line of its own, which watches from their
snapshot or from where they left off, until that line is where the main line is, and they change over.
So each reader follows one watch without gap or overlap, and nearly all share the same one.

- **Each event**: readers count joins and leaves themselves; one that comes back from diffs starts over.
- **Diffs**: events are netted, line by line, until the tick; then all lines send theirs, with the counts,
  which are absolute; and readers change lines at no other moment, for a net belongs to its line.
- **Counts**: nobody's list is kept up any more, which ``only`` says, with an id that knows no place.

Going down over a threshold, every reader without a watch-list starts over from a snapshot. Those with
one are sent their users' events in all of these; and the counts, an interval apart.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from herenow.aio import AsyncPresence
from herenow.errors import StoreError
from herenow.models import Counts, Event
from herenow.service.streaming.frames import Frame, counts_frame, narrow, reset_frame
from herenow.service.streaming.ids import Known
from herenow.service.streaming.lines import Line, Mode, send
from herenow.service.streaming.reader import Reader
from herenow.service.streaming.settings import MAX_USERS, StreamSettings

T = TypeVar("T")
_log: Final = logging.getLogger("herenow")
_PAUSES: Final = (0.01, 0.3)
_PATIENCE: Final = (0.2, 3.0)
_LOOKUPS_AT_ONCE: Final = 20
_LEAST_SNAPSHOT: Final = 50


class Host(Protocol):
    """What a room needs of the service that it is followed for: `streams.Streams`."""

    presence: AsyncPresence
    settings: StreamSettings
    dirty: "dict[Feed, None]"

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Have something done beside."""

    def hurry(self, feed: "Feed") -> None:
        """Have a room's tick before its time."""

    def started_over(self) -> None:
        """Note that a room's past is gone."""


class Feed:
    """A room, as those see it who may see the hidden, or may not."""

    def __init__(self, streams: Host, name: str, *, hidden: bool) -> None:
        self.name, self.hidden = name, hidden
        self.mode = Mode.EACH
        self.total = 0
        self._streams = streams
        self._settings = streams.settings
        self._room = streams.presence.room(name)
        self._counts = Counts()
        self._sent: dict[bool, Counts] = {}
        self.lines: dict[Reader, Line] = {}
        """The line of each reader that does not wait to start over."""
        self._main = Line(self, self._room.watch(include_hidden=hidden))
        self._sides: set[Line] = set()
        self._resuming: dict[Known | None, Line] = {}
        self._newcomers: list[tuple[Reader, int]] = []
        self._gathering = False
        self._ready = asyncio.Event()
        self._readers = 0
        self.closed = False
        streams.spawn(self._follow())

    # who reads

    def enter(self, reader: Reader, at: int, known: Known | None) -> None:
        """Take in a reader, of whose rooms this is the one ``at``, from a place or from now."""
        self._readers += 1
        if known is not None and reader.users is not None:
            known = Known(known.place)  # the counts are sent anew in any case
        if known is None or (known.netted and self.mode is Mode.EACH and self._ready.is_set()):
            self.start_over([(reader, at)])
        elif known in self._resuming and self._resuming[known].watch.place is None:
            self._add(self._resuming[known], reader, at)  # it has sent nothing yet
        else:
            line = Line(self, self._room.watch(after=str(known.place), include_hidden=self.hidden))
            self._resuming[known] = line
            self._add(line, reader, at)
            self._streams.spawn(self._catch_up(line, known))

    def leave(self, reader: Reader) -> bool:
        """Let a reader go; whether nobody is left."""
        if reader in self.lines:
            self.lines[reader].remove(reader)
        self._readers -= 1
        if not self._readers:
            self.closed = True
            self._ready.set()  # nobody is to wait for it
            self._streams.spawn(self._main.watch.aclose())
        return self.closed

    def start_over(self, readers: list[tuple[Reader, int]]) -> None:
        """Have readers sent a snapshot, and go on from it."""
        if not readers:
            return
        self._newcomers += readers
        if not self._gathering:
            self._gathering = True
            self._streams.spawn(self._gather())

    def _add(self, line: Line, reader: Reader, at: int) -> None:
        line.add(reader, at)
        if self.mode is not Mode.EACH or reader.users is not None:
            self._sent.clear()  # it may not know the counts that the others were sent last
            self._streams.dirty[self] = None
        if self.mode is Mode.COUNTS and self._ready.is_set() and reader.users is None:
            send({reader: at}, self._counts_only())

    def _counts_only(self) -> Frame:
        return counts_frame(self.name, self._counts, None, hidden=self.hidden)

    # lines

    async def _follow(self) -> None:
        """Run the main line."""
        watch = self._main.watch
        async with watch:
            counts = await self._patiently(self._room.counts)
            if counts is None:
                return
            self._counts, self.total = counts, self._shown(counts)
            self.mode = self._mode_of(self.total)
            self._ready.set()
            self._streams.dirty[self] = None
            while batch := await watch.batch():
                self._main.take(batch)
                self._main.drain()

    async def _gather(self) -> None:
        """Send newcomers a snapshot: all who came while the one before was made, the same one."""
        await self._ready.wait()
        limit = max(self._settings.every_event_below, _LEAST_SNAPSHOT)
        while self._newcomers and not self.closed:
            taken, self._newcomers = self._newcomers, []
            try:
                snapshot = await self._patiently(
                    lambda: self._room.snapshot(limit, include_hidden=self.hidden)
                )
                if snapshot is None:
                    break
                frame = reset_frame(self.name, snapshot, hidden=self.hidden)
                lists = await self._lists([one for one in taken if one[0].users is not None])
            except Exception:  # noqa: BLE001 - whatever it is, none may wait for ever
                _log.exception("streams could not begin")
                for reader, _ in taken:
                    reader.cut()
                continue
            line = Line(self, self._room.watch(after=snapshot.event_id, include_hidden=self.hidden))
            for reader, at in taken:
                if reader.closed:
                    continue
                listed = lists.get(reader)
                if listed is None:
                    send({reader: at}, frame)
                else:
                    online = [one for one in listed.values() if one.online]
                    own = reset_frame(self.name, narrow(snapshot, online), hidden=self.hidden)
                    send({reader: at}, own)
                    reader.believed = reader.believed or {}
                    reader.believed[at] = {name: one.online for name, one in listed.items()}
                self._add(line, reader, at)
            self._streams.spawn(self._catch_up(line))
        self._gathering = False

    async def _lists(self, readers: list[tuple[Reader, int]]) -> dict[Reader, dict[str, Any]]:
        """Look up the watch-lists of readers."""
        found: dict[Reader, dict[str, Any]] = {}

        async def look_up(reader: Reader) -> None:
            users = sorted(reader.users or ())[:MAX_USERS]
            looked = await self._patiently(
                lambda: self._room.lookup(users, include_hidden=self.hidden)
            )
            found[reader] = looked or {}

        for i in range(0, len(readers), _LOOKUPS_AT_ONCE):
            part = readers[i : i + _LOOKUPS_AT_ONCE]
            await asyncio.gather(*(look_up(reader) for reader, _ in part if not reader.closed))
        return found

    async def _catch_up(self, line: Line, known: Known | None = None) -> None:
        """Run a line until the main line is where it is."""
        self._sides.add(line)
        pause, most = _PAUSES
        try:
            async with line.watch as watch:
                await self._ready.wait()
                if self._resuming.get(known) is line:
                    del self._resuming[known]
                if known is not None and self.mode is Mode.COUNTS:  # not sent to who came early
                    send(line.plain, self._counts_only())
                if known is not None and known.netted and self.mode is Mode.EACH:
                    self.start_over(line.drop())
                line.drain()
                while line and not self.closed:
                    if self.mode is not Mode.DIFF and self._meets(line):
                        line.change_over(self._main)
                        return
                    line.take(await watch.batch(pause))
                    line.drain()
                    pause = min(most, 2 * pause)
        finally:
            self._sides.discard(line)
            if self._resuming.get(known) is line:
                del self._resuming[known]

    def _meets(self, line: Line) -> bool:
        """Whether a line is where the main line is, and all is sent that was due at its snapshot."""
        self._main.drain()
        line.drain()
        place = line.watch.place
        return place is not None and not place.moment and place == self._main.watch.place

    # what is sent

    def happened(self, line: Line, event: Event) -> None:
        """Note an event of a line."""
        if line is self._main and event.type != "update":
            self.total += 1 if event.type == "join" else -1
        if self.mode is not Mode.EACH or line.listed:
            self._streams.dirty[self] = None
        elif self.total >= self._settings.every_event_below:
            self._streams.hurry(self)

    def recount(self) -> None:
        """Have it counted anew: what was known is over."""
        self._streams.hurry(self)
        self._streams.started_over()

    def tick(self, counts: Counts) -> None:
        """Send what came together since the last tick."""
        if not self._ready.is_set() or self.closed:
            return
        self._counts, self.total = counts, self._shown(counts)
        before, self.mode = self.mode, self._mode_of(self.total)
        lines = [self._main, *self._sides]
        if before is not self.mode and not (before is Mode.EACH or self.mode is Mode.COUNTS):
            for line in lines:
                self.start_over(line.drop())
        elif self.mode is not Mode.EACH:
            is_new = self._is_new(listed=False) or before is not self.mode
            for line in lines:
                line.drain()
            for line in lines:
                self._sum_up(line, is_new=is_new)
            if self.mode is Mode.DIFF:
                self._join(lines[1:])
        listed = [line for line in lines if line.listed]
        if listed and self._is_new(listed=True):
            self._send_counts(listed)

    def _join(self, sides: list[Line]) -> None:
        for line in sides:
            if self._meets(line):
                line.change_over(self._main)
            else:
                self._streams.dirty[self] = None  # at the next tick, perhaps

    def _send_counts(self, lines: list[Line]) -> None:
        for line in lines:
            line.drain()
            place = line.watch.place
            if place is not None:
                frame = counts_frame(self.name, self._counts, place, hidden=self.hidden)
                send(line.listed, frame)

    def _sum_up(self, line: Line, *, is_new: bool) -> None:
        """Send what a line's interval came to: a diff, or counts; for too large a diff, a snapshot."""
        place, net, settings = line.watch.place, line.net, self._settings
        if self.mode is Mode.COUNTS:
            place = None
            net.clear()
        elif place is None:
            return  # it starts over, or has not begun
        if len(net) > settings.max_diff:
            self.start_over(line.drop())
            return
        frame = net.frame(self.name, self._counts, place, hidden=self.hidden)
        if frame is None and is_new:
            frame = counts_frame(self.name, self._counts, place, hidden=self.hidden, netted=True)
        if frame is not None and len(frame.whole) > settings.max_waiting // 2:
            self.start_over(line.drop())
        elif frame is not None:
            send(line.plain, frame)
        net.clear()

    def _is_new(self, *, listed: bool) -> bool:
        """Whether the counts, as far as they show, are not those sent last."""
        counts = self._counts
        shown = counts if self.hidden else Counts(counts.member, 0, counts.guest, counts.bot)
        if self._sent.get(listed) == shown:
            return False
        self._sent[listed] = shown
        return True

    def _shown(self, counts: Counts) -> int:
        return counts.people + counts.bot - (0 if self.hidden else counts.hidden)

    def _mode_of(self, total: int) -> Mode:
        """What is sent of a room with so many online; it goes back only well below a threshold."""
        settings = self._settings
        slack = 1 - settings.slack
        was = self.mode if self._ready.is_set() else Mode.EACH
        if total >= settings.counts_only_from * (slack if was is Mode.COUNTS else 1):
            return Mode.COUNTS
        if total >= settings.every_event_below * (1 if was is Mode.EACH else slack):
            return Mode.DIFF
        return Mode.EACH

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Ask the store until it answers; None when nobody is here any more."""
        pause, most = _PATIENCE
        while not self.closed:
            with suppress(StoreError):
                return await ask()
            await asyncio.sleep(pause)
            pause = min(most, 2 * pause)
        return None
