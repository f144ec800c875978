"""What the ``id:`` of a stream's events holds: where the stream is, in each of its rooms.

In a stream of one room it is the id of the event, or ``c`` where its counts alone are sent, so that who
is online is not known and a resumed stream starts over; after a diff, ``d`` stands before it, for
its counts are not those of that place. In a stream of several rooms it is opaque, and at most `MOST`
letters: ``r`` and, in base64, a digest of which rooms they are and, as msgpack, the histories of the
store and for each room its place.
"""

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from herenow.operations.events import Place

UNKNOWN: Final = "c"
MOST: Final = 2_600
_TAG: Final = 6


class Known(NamedTuple):
    """Up to where a client knows a room. ``netted``: by diffs, so that it can't count on from there."""

    place: Place
    netted: bool = False

    def __str__(self) -> str:
        return f"d{self.place}" if self.netted else str(self.place)


class _Piece(Struct, array_like=True, forbid_unknown_fields=True):
    """A place, packed; its history by number."""

    number: int
    moment: int
    history: Annotated[int, Meta(ge=0)]
    shown: int | None
    netted: bool


class _Packed(Struct, array_like=True, forbid_unknown_fields=True):
    """The places of a stream, packed; None where one is not known."""

    histories: list[bytes]
    pieces: list[_Piece | None]


class StreamId:
    """The places of a stream, room by room; ``str`` is what the client is to come back with."""

    __slots__ = ("_packed", "_tag")

    def __init__(self, rooms: Sequence[str]) -> None:
        self._tag = _tag(rooms)
        self._packed = _Packed([], [None] * len(rooms))

    def move(self, room: int, known: Known | None) -> None:
        """Note where it is in a room; None: not known."""
        packed = self._packed
        if known is None:
            packed.pieces[room] = None
            return
        number, moment, history, shown = known.place
        hexadecimal = _even(history)
        if hexadecimal not in packed.histories:
            self._forget(room)
            packed.histories.append(hexadecimal)
        packed.pieces[room] = _Piece(
            number, moment, packed.histories.index(hexadecimal), shown, known.netted
        )

    def _forget(self, room: int) -> None:
        """Drop the histories of no other room."""
        packed = self._packed
        packed.pieces[room] = None
        pieces = [one for one in packed.pieces if one is not None]
        kept = sorted({one.history for one in pieces})
        packed.histories = [packed.histories[one] for one in kept]
        for one in pieces:
            one.history = kept.index(one.history)

    def __str__(self) -> str:
        raw = self._tag + msgspec.msgpack.encode(self._packed)
        return "r" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


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
        raise ValueError(f"Last-Event-ID must have at most {MOST} letters; it has {len(given)}")
    try:
        raw = base64.b64decode(given[1:] + "=" * ((1 - len(given)) % 4), b"-_", validate=True)
        if raw[:_TAG] != _tag(rooms):
            return unknown  # of other rooms
        packed = msgspec.msgpack.decode(raw[_TAG:], type=_Packed)
        places = [None if one is None else _known(one, packed.histories) for one in packed.pieces]
    except (msgspec.MsgspecError, ValueError, IndexError):
        raise ValueError(
            f"Last-Event-ID must be one that a stream gave; got {given!a:.80}"
        ) from None
    if len(places) != len(rooms):
        raise ValueError(f"Last-Event-ID must be one that a stream gave; got {given!a:.80}")
    return places


def _known(piece: _Piece, histories: Sequence[bytes]) -> Known:
    history = histories[piece.history].hex()
    place = Place(piece.number, piece.moment, history[2 - (history[0] == "0") :], piece.shown)
    return Known(Place.parse(str(place)), piece.netted)  # its sizes are checked


def _even(history: str) -> bytes:
    """Pack hexadecimal digits, of which there may be an odd number."""
    return bytes.fromhex(("0" if len(history) % 2 else "10") + history)


def _tag(rooms: Sequence[str]) -> bytes:
    return blake2b("\0".join(rooms).encode(), digest_size=_TAG).digest()
