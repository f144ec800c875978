"""The lines of logs as records: small, in any order, then sorted by time.

A record is a line of bytes: the moment in milliseconds (15 digits), the local day (7), the letter of the
visitor's kind, the host. `HEAD` is where the visitor begins.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from herenow.accesslog.formats import Line, Parser
from herenow.accesslog.sorting import Sorter
from herenow.accesslog.times import Moment, read_clf

HEAD: Final = 22
_STAMPS: Final = 20_000
_USUAL_STAMP: Final = 26
_SECONDS: Final = {b":%02d" % second: 1000 * second for second in range(60)}


@dataclass
class Log:
    """Lines read, and those that count, sorted by time."""

    sorter: Sorter = field(default_factory=Sorter)
    lines: int = 0
    malformed: int = 0
    skipped: int = 0
    earliest: int | None = None
    """The first moment of all, in milliseconds."""

    def read(
        self,
        parts: Iterable[bytes],
        parser: Parser,
        kind_of: Callable[[Line], bytes] | None = None,
    ) -> None:
        """Read lines, many at a time; ``kind_of`` returns ``m``, ``g`` or ``b``, or nothing to skip it.

        Each is kept as a record: the moment, the local day, the kind and the host.
        """
        heads, members = _Heads(parser, b""), _Heads(parser, b"m")
        for part in parts:
            records = None
            if kind_of is None and parser.split_lines is not None:
                records = self._glance(parser.split_lines(part), parser, members)
            if records is None:
                lines = part[:-1].split(b"\n")
                records = self._look(lines, parser, heads, kind_of)
            if records:
                earliest = int(min(records)[:15])
                self.earliest = min(earliest, self.earliest or earliest)
            self.sorter.extend(records)

    def _glance(
        self, found: Sequence[tuple[bytes, bytes, bytes]], parser: Parser, heads: "_Heads"
    ) -> list[bytes] | None:
        """The records of lines that are as usual, or nearly all; None where one has a bad stamp."""
        records = [heads[stamp] + host + b"\n" for host, stamp, _ in found]
        if not heads.bad or heads.bad.isdisjoint(stamp for _, stamp, _ in found):
            self.lines += len(found)
            return records
        if any(stamp in heads.bad for host, stamp, _ in found if host):
            return None
        records = [heads[stamp] + host + b"\n" for host, stamp, _ in found if host]
        self.lines += len(records)
        others = [line for host, _, line in found if not host]
        return records + self._look(others, parser, _Heads(parser, b""), None)

    def _look(
        self,
        lines: Sequence[bytes],
        parser: Parser,
        heads: "_Heads",
        kind_of: Callable[[Line], bytes] | None,
    ) -> list[bytes]:
        """The records of lines that are looked at one by one."""
        records: list[bytes] = []
        keep, split = records.append, parser.split
        self.lines += len(lines)
        for line in lines:
            if kind_of is None:
                found = split(line)
                kind = b"m"
            else:
                whole = parser.whole(line)
                found = whole and whole[:2]
                kind = b"m" if whole is None else kind_of(whole)
            head = found and heads[found[1]]
            if not head or found is None:
                self.malformed += 1
            elif kind:
                keep(head + kind + found[0] + b"\n")
            else:
                self.skipped += 1
        return records


class _Heads(dict[bytes, bytes]):
    """The head of a record, and what follows it, by the stamp of its line; empty where that is no moment.

    Most stamps are another second of a minute that is known.
    """

    def __init__(self, parser: Parser, tail: bytes) -> None:
        super().__init__()
        self._read, self._tail = parser.read_time, tail
        self._minutes: dict[bytes, Moment | None] | None = {} if self._read is read_clf else None
        self.bad: set[bytes] = set()
        """Stamps that are no moments."""

    def __missing__(self, stamp: bytes) -> bytes:
        if len(self) >= _STAMPS:
            self.clear()
            self.bad.clear()
            if self._minutes:
                self._minutes.clear()
        moment = self._moment(stamp)
        head = b"" if moment is None else b"%015d%07d%s" % (*moment, self._tail)
        if not head:
            self.bad.add(stamp)
        self[stamp] = head
        return head

    def _moment(self, stamp: bytes) -> tuple[int, int] | None:
        """Read ``01/Aug/1995:00:00:01 -0400`` by its minute, and others as they are."""
        seconds = _SECONDS.get(stamp[17:20])
        if self._minutes is None or seconds is None or len(stamp) != _USUAL_STAMP:
            return self._read(stamp)
        minute = stamp[:17] + stamp[20:]
        if minute not in self._minutes:
            self._minutes[minute] = self._read(stamp[:17] + b":00" + stamp[20:])
        begins = self._minutes[minute]
        return None if begins is None else (begins.ms + seconds, begins.day)
