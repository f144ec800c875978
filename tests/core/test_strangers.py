"""Strangers: who is marked by facts, and named when the mark is sent."""

import time
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import pytest

from herenow import Counts, StoreError
from herenow.clocks import steady
from herenow.operations.marking import Mark
from herenow.outbox.buffer import MOST_A_FLIGHT
from herenow.outbox.deferred import Deferred
from tests.conftest import SERVER
from tests.core.sides import SIDES, Side, opened
from tests.servers import Server, binary, poll, start_server

DAY = date(2026, 3, 5)


class Names:
    """Names by address, which take the key of a day where it ``wants`` one; and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self.key: str | None = "known"

    def seen(self, address: str) -> Deferred:
        return Deferred(Address(self, address))


class Address(NamedTuple):
    names: Names
    address: str

    def wanted(self, ago: float) -> list[date]:
        return [] if ago < -9 or self.names.key is not None else [DAY]

    def learn(self, day: date, key: str) -> None:
        assert day == DAY
        self.names.key = key

    def mark(self, ago: float) -> Mark | None:
        self.names.asked.append((self.address, ago))
        if self.address == "bad":
            raise RuntimeError("no name today")
        return Mark(f"guest-{self.address}", kind="guest") if self.address else None


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture(params=SIDES)
def name(request: pytest.FixtureRequest) -> str:
    """Which facade."""
    return str(request.param)


@pytest.fixture
def buffered(name: str, server: Server) -> Iterator[Side]:
    server.control.flushall()
    with opened(name, server.unix_url, buffered=True) as side:
        yield side


def test_a_stranger_is_named_once_when_sent_and_whoever_asks_finds_them(
    buffered: Side, names: Names
) -> None:
    for _ in range(3):
        buffered.port.defer(names.seen("1"))
        assert buffered.port.repeats_until() <= steady()  # the window is not known yet
        assert buffered.port.leaves == 0
    buffered.port.defer(names.seen("2"))
    buffered.port.defer(names.seen(""))
    assert names.asked == []
    assert buffered.counts() == Counts(guest=2)
    assert sorted(address for address, _ in names.asked) == ["", "1", "2"]
    assert all(0 <= ago < 5 for _, ago in names.asked)
    assert sorted(buffered.get_online_users(kind="guest")) == ["guest-1", "guest-2"]


def test_until_when_a_mark_is_a_repeat(buffered: Side, names: Names) -> None:
    buffered.mark_online("alice")
    buffered.flush()
    began, leaves = steady(), buffered.port.leaves
    buffered.port.defer(names.seen("1"))
    until = buffered.port.repeats_until()
    assert began + 5 <= until <= steady() + 5  # a sixtieth of the window
    assert leaves == buffered.port.leaves
    buffered.mark_offline("guest-1")
    assert buffered.port.leaves > leaves
    assert buffered.counts() == Counts(member=1)


def test_unbuffered_a_stranger_is_named_and_sent_at_once(
    name: str, server: Server, names: Names
) -> None:
    server.control.flushall()
    with opened(name, server.unix_url) as side, opened(name, server.unix_url) as other:
        side.port.defer(names.seen("1"))
        assert names.asked == [("1", 0.0)]
        assert other.counts() == Counts(guest=1)
        side.port.defer(names.seen(""))
        assert other.counts() == Counts(guest=1)


def test_what_waits_while_the_store_is_unavailable_is_sent_with_its_age_however_much(
    name: str, names: Names
) -> None:
    many = 2 * MOST_A_FLIGHT + 7
    with start_server(binary(SERVER)) as own:
        own.kill()
        with opened(name, own.unix_url, buffered=True) as side:
            for i in range(many):
                side.port.defer(names.seen(f"a{i}"))
            with pytest.raises(StoreError):
                side.counts()
            time.sleep(1.2)
            own.restart()
            poll(lambda: side.counts() == Counts(guest=many), "what waited", not_yet=StoreError)
            explained = side.explain("guest-a0")
            assert (explained.now - explained.presence.last_seen).total_seconds() > 1.1
            assert side.health().dropped == 0


def test_a_name_that_fails_takes_no_other_along(buffered: Side, names: Names) -> None:
    for address in ("1", "bad", "3"):
        buffered.port.defer(names.seen(address))
    assert buffered.counts() == Counts(guest=2)


@pytest.mark.parametrize("is_buffered", [False, True])
def test_the_key_that_a_name_takes_is_learned_first(
    name: str, server: Server, names: Names, is_buffered: bool
) -> None:
    server.control.flushall()
    names.key = None
    with opened(name, server.unix_url, buffered=is_buffered) as side:
        side.port.defer(names.seen("1"))
        side.port.defer(names.seen("2"))
        assert side.counts() == Counts(guest=2)
        assert names.key == side.port.day_key(DAY)


def test_a_stranger_is_in_a_linked_room_too_and_is_replaced_in_both(
    buffered: Side, names: Names
) -> None:
    names.key = None
    stranger = names.seen("1").user
    buffered.port.defer(Deferred(stranger))
    buffered.port.defer(Deferred(stranger, linked_to="site"), "thread")
    assert buffered.room("thread").get_online_users(kind="guest") == ["guest-1"]
    buffered.port.defer(Deferred("alice", None, stranger))
    buffered.port.defer(Deferred("alice", None, stranger, "site"), "thread")
    for side in (buffered.room("thread"), buffered):
        assert side.counts() == Counts(member=1)


def test_what_is_deferred_waits_as_it_is_where_the_store_is_unavailable(
    name: str, names: Names
) -> None:
    names.key = None
    with start_server(binary(SERVER)) as own, opened(name, own.unix_url, buffered=True) as side:
        own.kill()
        side.port.defer(names.seen("1"))
        with pytest.raises(StoreError):
            side.counts()
        assert names.asked == []  # the key is not known
        own.restart()
        poll(lambda: side.counts() == Counts(guest=1), "the guest", not_yet=StoreError)
