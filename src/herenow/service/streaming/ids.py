"""What the ``id:`` of a stream's events says: where the stream is, in each of its rooms.

In a stream of one room it is the id of the event, or ``c`` where the room tells counts alone, so that
who is online is not known and a resumed stream starts over; after a diff, ``d`` stands before it, for
its counts are not those of that place. In a stream of several rooms it is opaque,
and at most `MOST` letters: ``r`` and, in base64, which rooms they are, the histories of the store, and
for each room its place.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from herenow.operations.events import Place

UNKNOWN: Final = "c"
MOST: Final = 2_600
_TAG: Final = 6
_WIDTH: Final = 7  # bytes of a number: 16 digits
_MOMENT: Final = 0x80
_NETTED: Final = 0x40
_SHOWN: Final = 1 << 55  # no number is that large
_NOTHING: Final = b"\0"
"""The piece of a room whose place is not known."""


class Known(NamedTuple):
    """Up to where a client knows a room. ``netted``: by diffs, so that it can't count on from there."""

    place: Place
    netted: bool = False

    def __str__(self) -> str:
        return f"d{self.place}" if self.netted else str(self.place)


class StreamId:
    """The places of a stream, room by room; ``str`` is what the client is to come back with."""

    __slots__ = ("_histories", "_pieces", "_places", "_tag")

    def __init__(self, rooms: Sequence[str]) -> None:
        self._tag = _tag(rooms)
        self._places: list[Known | None] = [None] * len(rooms)
        self._pieces: list[bytes] = [_NOTHING] * len(rooms)
        self._histories: list[str] = []

    def move(self, room: int, known: Known | None) -> None:
        """Note where it is in a room; None: not known."""
        self._places[room] = known
        history = "" if known is None else known.place.history
        if history and history not in self._histories:
            places = [one.place for one in self._places if one is not None]
            self._histories = sorted({one.history for one in places if one.history})
            self._pieces = [self._piece(one) for one in self._places]
        else:
            self._pieces[room] = self._piece(known)

    def _piece(self, known: Known | None) -> bytes:
        if known is None:
            return _NOTHING
        place, netted = known.place, _NETTED if known.netted else 0
        history = self._histories.index(place.history) + 1 if place.history else 0
        head, numbers = netted | 1 + history, [place.number]
        if place.moment:
            head |= _MOMENT
            numbers.append(place.moment)
        if place.shown is not None:
            numbers[0] |= _SHOWN
            numbers.append(place.shown)
        return bytes((head,)) + b"".join(one.to_bytes(_WIDTH) for one in numbers)

    def __str__(self) -> str:
        histories = b"".join(
            bytes((len(one),)) + bytes.fromhex(one.zfill(len(one) + len(one) % 2))
            for one in self._histories
        )
        packed = b"".join((self._tag, bytes((len(self._histories),)), histories, *self._pieces))
        return "r" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_id(given: str | None, rooms: Sequence[str]) -> list[Known | None]:
    """Tell where a stream of these rooms was; None for a room where that is not known.

    Raises ValueError for what no stream and no event ever had as its id.
    """
    unknown: list[Known | None] = [None] * len(rooms)
    if given is None or given == UNKNOWN:
        return unknown
    if not given.startswith("r"):
        netted = given.startswith("d")
        place = Known(Place.parse(given[1:] if netted else given), netted)
        return [place] if len(rooms) == 1 else unknown
    if len(given) > MOST:
        raise ValueError(f"Last-Event-ID has at most {MOST} letters")
    try:
        packed = base64.b64decode(
            given[1:] + "=" * ((1 - len(given)) % 4),
            altchars=b"-_",
            validate=True,
        )
    except (ValueError, binascii.Error):
        raise ValueError("Last-Event-ID is one that a stream gave") from None
    if packed[:_TAG] != _tag(rooms):
        return unknown  # of other rooms
    try:
        return _places(packed, len(rooms))
    except IndexError:
        raise ValueError("Last-Event-ID is one that a stream gave") from None


def _tag(rooms: Sequence[str]) -> bytes:
    return blake2b("\0".join(rooms).encode(), digest_size=_TAG).digest()


def _places(packed: bytes, count: int) -> list[Known | None]:
    at = _TAG + 1
    histories = [""]
    for _ in range(packed[_TAG]):
        letters = packed[at]
        end = at + 1 + (letters + 1) // 2
        histories.append(packed[at + 1 : end].hex()[-letters:] if letters else "")
        at = end
    places: list[Known | None] = []
    for _ in range(count):
        head = packed[at]
        at += 1
        if not head:
            places.append(None)
            continue
        parts = 1 + bool(head & _MOMENT) + bool(packed[at] >> 7)  # _SHOWN
        end = at + _WIDTH * parts
        packed[end - 1]  # it ends too early: IndexError
        number, *others = (int.from_bytes(packed[i : i + _WIDTH]) for i in range(at, end, _WIDTH))
        moment = others.pop(0) if head & _MOMENT else 0
        history = ["", *histories][head & ~_MOMENT & ~_NETTED]
        shown = others.pop() if others else None
        place = Place.parse(
            str(Place(number & ~_SHOWN, moment, history, shown))
        )  # its sizes are checked
        places.append(Known(place, bool(head & _NETTED)))
        at = end
    if at != len(packed):
        raise IndexError("it goes on")
    return places
