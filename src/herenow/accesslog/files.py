r"""The files that lines are read from: plain, gzip (recognized by its first bytes), standard input.

Lines end at ``\n`` and nowhere else; what follows the last one is a line too, where there is anything. Of
a line without end only the beginning is kept: memory is bounded, whatever is in a file. Lines are given
many at a time, as bytes: whoever looks at all of them at once need not take them apart.
"""

import gzip
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final, cast

STDIN: Final = "-"
_CHUNK: Final = 1 << 20
LONGEST: Final = 1 << 16
"""Bytes of a line that are looked at."""
_GZIP: Final = b"\x1f\x8b"


def read_lines(
    paths: Sequence[str], progress: Callable[[int], object] = lambda _: None
) -> Iterator[bytes]:
    r"""Read the lines of some files, one after the other, some thousands at a time, each with its ``\n``.

    ``progress`` is called with the number of bytes that each part took on disk. Raises OSError for an
    unreadable file; a broken gzip file yields its good part first.
    """
    for path in paths:
        if path == STDIN:
            yield from _lines_of(sys.stdin.buffer, sys.stdin.buffer, progress)
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - a str, as it was given
                yield from _lines_of(file, file, progress)


def _lines_of(raw: Any, file: IO[bytes], progress: Callable[[int], object]) -> Iterator[bytes]:
    counted = _Counted(raw)
    begun = counted.read(2)
    counted.back = begun
    stream = gzip.GzipFile(fileobj=cast("Any", counted)) if begun == _GZIP else counted
    rest, before = b"", 0
    try:
        while chunk := stream.read(_CHUNK):
            lines, end, rest = (rest + chunk).rpartition(b"\n")
            rest = rest[:LONGEST]
            if end:
                yield lines + end
            progress(counted.count - before)
            before = counted.count
    except (EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise OSError(f"{getattr(file, 'name', 'standard input')}: {error}") from None
    if rest:
        yield rest + b"\n"


class _Counted(io.RawIOBase):
    """A file that counts what is read of it, and takes back its first bytes: stdin can't be rewound."""

    def __init__(self, file: Any) -> None:
        self._read = file.read
        self.back = b""
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes."""
        if self.back:
            found, self.back = self.back, b""
            return found
        found = self._read(size)
        self.count += len(found)
        return cast("bytes", found)
