"""Which places are taken: how many streams are open, of all, of an address, and of a token.

A place is taken before anything is awaited, so that of many who ask at once none gets in between.
"""

from collections import Counter

from herenow.service.streaming.reader import Reader
from herenow.service.streaming.settings import StreamSettings


class TooManyStreams(Exception):
    """This process has as many streams open as it may, or is about to end."""


class TooManyOfOne(TooManyStreams):
    """An address, or a token, has as many streams open as it may."""


class Taken:
    """The places of one service. An address and a token differ by name; None has no bound."""

    def __init__(self) -> None:
        self._of: dict[Reader, list[tuple[str, str]]] = {}
        self._count: Counter[tuple[str, str]] = Counter()

    def take(
        self, reader: Reader, settings: StreamSettings, address: str | None, token: str | None
    ) -> None:
        """Take a place, or raise TooManyStreams; `give_back` it, however the stream ends."""
        if len(self._of) >= settings.max_streams:
            raise TooManyStreams(f"at most {settings.max_streams} streams are open")
        wanted = (
            ("address", address, settings.of_address),
            ("token", token, settings.max_streams_per_token),
        )
        held = [((what, name), most) for what, name, most in wanted if name is not None]
        for key, most in held:
            if self._count[key] >= most:
                raise TooManyOfOne(f"at most {most} streams of one {key[0]} are open")
        self._of[reader] = [key for key, _ in held]
        self._count.update(self._of[reader])

    def give_back(self, reader: Reader) -> None:
        """Give a place back; once is enough."""
        for key in self._of.pop(reader, ()):
            self._count[key] -= 1
            if not self._count[key]:
                del self._count[key]
