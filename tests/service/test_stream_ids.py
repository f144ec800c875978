"""The id of a stream of several rooms carries each room's place, and is small."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herenow.operations.events import Place
from herenow.service.streaming.ids import MOST, Known, StreamId, read_id

HISTORIES = st.sampled_from(["", "a" * 40, "0" + "b" * 39, "00f", "7"])
NUMBERS = st.integers(0, 10**16 - 1)


def place(number: int, moment: int, history: str, shown: int | None) -> Place:
    return Place(number, moment, history, None if shown == number else shown)


PLACES = st.none() | st.builds(
    Known,
    st.builds(place, NUMBERS, NUMBERS | st.just(0), HISTORIES, st.none() | NUMBERS),
    st.booleans(),
)


@given(st.lists(st.tuples(st.integers(0, 6), PLACES), max_size=30), st.integers(2, 7))
def test_an_id_reads_back_as_it_was_written(
    moves: list[tuple[int, Known | None]], count: int
) -> None:
    rooms = [f"room {i}" for i in range(count)]
    stream_id = StreamId(rooms)
    places: list[Known | None] = [None] * count
    for room, place in moves:
        stream_id.move(room % count, place)
        places[room % count] = place
    assert read_id(str(stream_id), rooms) == places
    assert read_id(str(stream_id), rooms[:1]) == [None]


def test_the_largest_is_bounded() -> None:
    rooms = [f"room {i}" for i in range(32)]
    stream_id = StreamId(rooms)
    for i in range(32):
        stream_id.move(i, Known(place(10**16 - 1, 10**16 - 1, f"{i:040x}", 10**15), netted=True))
    assert len(str(stream_id)) <= MOST


def test_an_event_id_is_that_of_a_stream_of_one_room() -> None:
    assert read_id("17-3-hab", ["site"]) == [Known(Place(17, 3, "ab"))]
    assert read_id("d17-3-hab", ["site"]) == [Known(Place(17, 3, "ab"), netted=True)]
    assert read_id("17", ["site", "doc"]) == [None, None]
    assert read_id("c", ["site"]) == read_id(None, ["site"]) == [None]


@given(st.text(max_size=40) | st.binary(max_size=60).map(lambda raw: "r" + raw.hex()))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    try:
        read = read_id(text, ["site", "doc"])
    except ValueError:
        return
    assert len(read) == 2


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_one_that_was_cut_is_refused_or_starts_over(cut: int) -> None:
    stream_id = StreamId(["site", "doc"])
    stream_id.move(0, Known(Place(1732457857000, 0, "a" * 40)))
    stream_id.move(1, Known(Place(1732457857001, 1732457857000, "a" * 40)))
    whole = str(stream_id)
    with contextlib.suppress(ValueError):
        assert read_id(whole[:-cut], ["site", "doc"]) == [None, None]
