"""The lines of logs as records: small, in any order, then sorted by time.

A record is a line of bytes: the moment in milliseconds (15 digits), the local day (7), the letter of the
visitor's kind, the host. `HEAD` is where the visitor begins.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from herenow.accesslog.formats import Line, Parser
from herenow.accesslog.sorting import Sorter

HEAD: Final = 22
_STAMPS: Final = 200_000


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
        parts: Iterable[Sequence[bytes]],
        parser: Parser,
        kind_of: Callable[[Line], bytes] | None = None,
    ) -> None:
        """Read lines; ``kind_of`` tells ``m``, ``g`` or ``b`` of one, or nothing: it is skipped.

        Each is kept as a record: the moment, the local day, the kind and the host.
        """
        split, heads = parser.split, _Heads(parser)
        for part in parts:
            records: list[bytes] = []
            keep = records.append
            self.lines += len(part)
            for line in part:
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
            if records:
                earliest = int(min(records)[:15])
                self.earliest = min(earliest, self.earliest or earliest)
            self.sorter.extend(records)


class _Heads(dict[bytes, bytes]):
    """The head of a record by the stamp of its line; empty for one that is no moment."""

    def __init__(self, parser: Parser) -> None:
        super().__init__()
        self._read = parser.read_time

    def __missing__(self, stamp: bytes) -> bytes:
        moment = self._read(stamp)
        head = b"" if moment is None else b"%015d%07d" % moment
        if len(self) >= _STAMPS:
            self.clear()
        self[stamp] = head
        return head
