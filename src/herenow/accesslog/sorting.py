"""Sorting more than memory holds: sorted runs in temporary files, merged.

Records are lines, bytes that end in their only newline, in the order of bytes; equal ones are kept once.
Memory is bounded by the size of a run, whatever their number; nothing is written while one will do.
"""

import heapq
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Final, Self

_RUN: Final = 500_000
"""Distinct records of one run: of a log's some 60 MB."""
_MERGED_AT_ONCE: Final = 100


class Sorter:
    """Takes records in any order, gives them back sorted, each once; a context, for its files."""

    def __init__(self, run: int = _RUN) -> None:
        self._most = run
        self._run: dict[bytes, None] = {}
        self._files: list[Path] = []
        self._made = 0
        self._spilt = 0
        self._folder: TemporaryDirectory[str] | None = None

    def extend(self, records: list[bytes]) -> None:
        """Take some records."""
        self._run.update(dict.fromkeys(records))
        if len(self._run) >= self._most:
            self._spilt += len(self._run)
            self._spill(iter(self._take()))

    def __len__(self) -> int:
        """How many it holds; what is in two runs is counted twice."""
        return self._spilt + len(self._run)

    def _take(self) -> list[bytes]:
        run, self._run = self._run, {}
        return sorted(run)  # what comes nearly in order, as it does in logs, is sorted in one pass

    def _spill(self, records: Iterator[bytes]) -> None:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="herenow-sort-")
        self._made += 1
        path = Path(self._folder.name, str(self._made))
        with path.open("wb") as file:
            file.writelines(records)
        self._files.append(path)
        if len(self._files) >= _MERGED_AT_ONCE:
            merged, self._files = self._files, []
            self._spill(_merge(merged))
            for one in merged:
                one.unlink()

    def __iter__(self) -> Iterator[bytes]:
        """All records so far, sorted, each once."""
        if not self._files:
            return iter(self._take())
        if self._run:
            self._spilt += len(self._run)
            self._spill(iter(self._take()))
        return _merge(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run = {}
        if self._folder is not None:
            self._folder.cleanup()


def _merge(paths: list[Path]) -> Iterator[bytes]:
    files: list[IO[bytes]] = []
    try:
        files.extend(path.open("rb") for path in paths)
        last = None
        for record in heapq.merge(*files):
            if record != last:
                last = record
                yield record
    finally:
        for file in files:
            file.close()
