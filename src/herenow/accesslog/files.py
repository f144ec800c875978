r"""The files that lines are read from: plain, gzip (recognized by its first bytes), standard input.

Lines end at ``\n`` and nowhere else; what follows the last one is a line too, where there is anything. Of
a line without end only the beginning is kept: memory is bounded, whatever is in a file. Lines are given
many at a time, as bytes: whoever looks at all of them at once need not take them apart.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Final, cast

STDIN: Final = "-"
_CHUNK: Final = 1 << 20
LONGEST: Final = 1 << 16
"""Bytes of a line that are looked at."""
_GZIP: Final = b"\x1f\x8b"


def read_lines(
    paths: Sequence[str], progress: Callable[[int], object] = lambda _: None
) -> Iterator[bytes]:
    r"""Read the lines of some files, one after the other, some thousands at a time, each with its ``\n``.

    ``progress`` is called with the number of bytes that each part took on disk, 0 of a pipe. Raises
    OSError for an unreadable file; a broken gzip file yields its good part first.
    """
    for path in paths:
        if path == STDIN:
            yield from _lines_of(sys.stdin.buffer, "standard input", progress)
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - a str, as it was given
                yield from _lines_of(file, path, progress)


def _lines_of(file: IO[bytes], name: str, progress: Callable[[int], object]) -> Iterator[bytes]:
    raw = io.BufferedReader(
        cast("io.RawIOBase", file)
    )  # of its own, for standard input may have none
    stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP else raw
    rest, before = b"", 0
    try:
        while chunk := stream.read(_CHUNK):
            lines, end, rest = (rest + chunk).rpartition(b"\n")
            rest = rest[:LONGEST]
            if end:
                yield lines + end
            at = raw.tell() if raw.seekable() else before
            progress(at - before)
            before = at
    except (EOFError, zlib.error) as error:
        raise OSError(f"{name}: {error}") from None
    finally:
        raw.detach()
    if rest:
        yield rest + b"\n"
