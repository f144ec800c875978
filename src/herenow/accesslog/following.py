"""Following a log that is being written, through whatever is done to it meanwhile.

A log may be renamed and made anew, copied and truncated, truncated, removed; the writer may go on for a
while in the renamed one; its last line may be half written. So several files may be followed at once,
oldest first. How far each was read is a `Place`: a device, an inode, an offset at the end of a line, and
what stands at the file's beginning and right before that offset: by numbers alone, a new file might
pass for the old one. `Follower.places` can be kept, and given to another Follower after a restart.

Knows nothing of stores, nor of what is in a line.
"""

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from herenow.accesslog.files import LONGEST

_CHUNK: Final = 1 << 18
MOST: Final = 1000
"""Lines of one part: as many as may be marked at once."""
_ROTATED: Final = re.compile(r"[.\-_]\d[\dT.:_-]*")
"""What a rotated log's name has behind the log's: .1, -20240229, .2024-02-29."""
_SEEN: Final = 256
"""Bytes that a file is known by, at its beginning and before the offset."""


def recorded_at(places: str) -> float:
    """When `Follower.places` was asked for, in Unix seconds."""
    return float(json.loads(places)["at"]) / 1e9


@dataclass(frozen=True, slots=True)
class Place:
    """How far one file was read."""

    device: int
    inode: int
    offset: int
    head: str
    before: str


class _File:
    """One open file, and how far it was read."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        stat = os.fstat(self.fd)
        self.identity = (stat.st_dev, stat.st_ino)
        self.grew = time.monotonic()
        self.go_to(offset)

    def go_to(self, offset: int) -> None:
        """Go on from an offset, the end of a line."""
        self.offset = offset
        self._too_long = False
        self._before = os.pread(self.fd, min(_SEEN, offset), max(0, offset - _SEEN))
        self._head = os.pread(self.fd, min(_SEEN, offset), 0)

    def go_to_end(self) -> None:
        """Go on from the end of the last whole line."""
        size = os.fstat(self.fd).st_size
        start = max(0, size - LONGEST)
        self.go_to(start + os.pread(self.fd, LONGEST, start).rfind(b"\n") + 1)

    @property
    def place(self) -> Place:
        return Place(*self.identity, self.offset, _hash(self._head), _hash(self._before))

    def is_at(self, place: Place) -> bool:
        """Whether it is the file that was read so far, or a copy of it."""
        offset = place.offset
        if offset == 0:
            return self.identity == (place.device, place.inode)
        head = os.pread(self.fd, min(_SEEN, offset), 0)
        before = os.pread(self.fd, min(_SEEN, offset), max(0, offset - _SEEN))
        size = os.fstat(self.fd).st_size
        return size >= offset and (_hash(head), _hash(before)) == (place.head, place.before)

    def read(self) -> list[bytes] | None:
        """Read some whole lines, without their newlines; None where it was truncated."""
        known = len(self._before)
        data = os.pread(self.fd, known + _CHUNK, self.offset - known)
        if data[:known] != self._before:
            return None
        end = data.rfind(b"\n") + 1
        if end <= known:
            if len(data) == known + _CHUNK:  # a line without end: its beginning is the line
                return self._take(data, known, len(data), ends=False)
            return []
        return self._take(data, known, end, ends=True)

    def _take(self, data: bytes, start: int, end: int, *, ends: bool) -> list[bytes]:
        lines = data[start : end - ends].split(b"\n")
        if len(lines) > MOST:
            del lines[MOST:]
            end, ends = start + sum(map(len, lines)) + MOST, True
        if self._too_long:
            lines = lines[1:]
        self._too_long = not ends
        self.offset += end - start
        self._before = data[max(0, end - _SEEN) : end]
        if len(self._head) < _SEEN:
            self._head = os.pread(self.fd, min(_SEEN, self.offset), 0)
        self.grew = time.monotonic()
        return [line[:LONGEST] for line in lines]

    def last_line(self) -> list[bytes]:
        """Take what follows the last newline, when nobody writes any more."""
        rest = os.pread(self.fd, LONGEST, self.offset)
        if not rest or self._too_long:
            return []
        self.go_to(os.fstat(self.fd).st_size)
        return [rest]

    def close(self) -> None:
        os.close(self.fd)


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


class Follower:
    """Follows the log of one name. `poll` often; `close` in the end.

    ``places`` is where another one was; without it the log is read from its beginning, or with ``at_end``
    from where it ends now. A file that is the log no more is followed for ``linger`` seconds after its
    last line. Raises OSError for a log that may not be read; one that is not there may come.
    """

    def __init__(
        self, path: Path, places: str | None = None, *, at_end: bool = False, linger: float = 60.0
    ) -> None:
        self._path = path
        self._linger = linger
        self._files: list[_File] = []
        self._current: _File | None = None
        self.moved = False
        """Whether files came or went since `places` was asked for."""
        if places is not None:
            self._resume(json.loads(places))
        self._look()
        if places is None and at_end and self._files:
            self._files[-1].go_to_end()

    # where it is

    def places(self) -> str:
        """How far everything was read, as text."""
        self.moved = False
        return json.dumps(
            {"at": time.time_ns(), "files": [asdict(one.place) for one in self._files]},
            separators=(",", ":"),
        )

    def _resume(self, kept: dict[str, object]) -> None:
        files, at = kept["files"], kept["at"]
        if not isinstance(files, list) or not isinstance(at, int):
            raise ValueError("no places of a log")
        found: list[_File] = []
        for place in (Place(**one) for one in files):
            file = self._find(place)
            if file is not None:
                file.go_to(place.offset)
                found.append(file)
        # what was rotated since, and never read
        identities = {one.identity for one in found}
        heads = {one.place.head for one in found if one.offset >= _SEEN}
        for path in self._siblings():
            stat = path.stat()
            if stat.st_mtime_ns > at and (stat.st_dev, stat.st_ino) not in identities:
                file = _File(path)
                if _hash(os.pread(file.fd, _SEEN, 0)) in heads:
                    file.close()
                else:
                    found.append(file)
        self._files = found

    def _siblings(self) -> list[Path]:
        """The log's rotated files that can be read, oldest first."""
        name, near = self._path.name, []
        for one in os.scandir(self._path.parent):
            if one.name.startswith(name) and _ROTATED.fullmatch(one.name, len(name)):
                with contextlib.suppress(FileNotFoundError):  # rotated on, this very moment
                    near.append((one.stat().st_mtime_ns, Path(one.path)))
        return [path for _, path in sorted(near)]

    def _find(self, place: Place) -> _File | None:
        """Find the file of a place, by whatever name: the same one before a copy."""
        found: _File | None = None
        for path in (self._path, *self._siblings()):
            try:
                file = _File(path)
            except OSError:
                continue
            same = file.identity == (place.device, place.inode)
            if file.is_at(place) and (same or found is None):
                if found is not None:
                    found.close()
                found = file
                if same:
                    break
            else:
                file.close()
        return found

    # what comes

    def _look(self) -> None:
        """Find the file that has the log's name now."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return
        identity = (stat.st_dev, stat.st_ino)
        if self._current is not None and self._current.identity == identity:
            return
        for file in self._files:
            if file.identity == identity:
                self._current = file
                return
        try:
            self._current = _File(self._path)
        except FileNotFoundError:
            return
        self._files.append(self._current)
        self.moved = True

    def poll(self) -> Iterator[list[bytes]]:
        """Read what has come, some lines at a time, until there is no more for now."""
        self._look()
        for file in list(self._files):
            while lines := self._read(file):
                yield lines
        now = time.monotonic()
        for file in list(self._files):
            if file is not self._current and now - file.grew > self._linger:
                if lines := file.last_line():
                    yield lines
                self._files.remove(file)
                file.close()
                self.moved = True

    def _read(self, file: _File) -> list[bytes] | None:
        lines = file.read()
        if lines is None:
            copy = self._find(file.place)
            if copy is not None and copy.identity != file.identity:
                copy.go_to(file.offset)
                self._files.insert(self._files.index(file), copy)
            elif copy is not None:
                copy.close()
            file.go_to(0)
            self.moved = True
            lines = self._read(copy) if copy is not None and copy in self._files else None
            return lines or file.read()
        return lines

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._files = []
        self._current = None
