"""Who is marked by facts: named when she is sent, exactly where she would have been before."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from herenow import Counts, StoreError
from herenow.operations.marking import Mark
from herenow.outbox.buffer import MOST_A_FLIGHT, Unnamed
from tests.conftest import SERVER
from tests.core.sides import SIDES, Side, opened
from tests.servers import Server, binary, poll, start_server


class Names:
    """Names by address, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str | None, float]] = []

    def make(self, address: str | None, agent: str | None, ago: float) -> Mark | None:
        self.asked.append((address, agent, ago))
        return Mark(f"guest-{address}", kind="guest") if address else None

    def seen(self, address: str) -> Any:
        return Unnamed(self.make, address, "Firefox")


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


def test_she_is_named_once_when_she_is_sent_and_whoever_asks_finds_her(
    buffered: Side, names: Names
) -> None:
    for _ in range(3):
        until, leaves = buffered.mark_unnamed(names.seen("1"))
        assert (until <= time.monotonic(), leaves) == (True, 0)  # the window is not known yet
    buffered.mark_unnamed(names.seen("2"))
    buffered.mark_unnamed(names.seen(""))
    assert names.asked == []
    assert buffered.counts() == Counts(guest=2)
    assert sorted(one[:2] for one in names.asked) == [
        ("", "Firefox"),
        ("1", "Firefox"),
        ("2", "Firefox"),
    ]
    assert all(0 <= ago < 5 for _, _, ago in names.asked)
    assert sorted(buffered.get_online_users(kind="guest")) == ["guest-1", "guest-2"]


def test_until_when_she_is_no_news(buffered: Side, names: Names) -> None:
    buffered.mark_online("alice")
    buffered.flush()
    began = time.monotonic()
    until, leaves = buffered.mark_unnamed(names.seen("1"))
    assert began + 5 <= until <= time.monotonic() + 5  # a sixtieth of the window
    assert leaves == buffered.leaves
    buffered.mark_offline("guest-1")
    assert buffered.leaves > leaves
    assert buffered.counts() == Counts(member=1)


def test_unbuffered_she_is_named_and_sent_at_once(name: str, server: Server, names: Names) -> None:
    server.control.flushall()
    with opened(name, server.unix_url) as side, opened(name, server.unix_url) as other:
        side.mark_unnamed(names.seen("1"))
        assert names.asked == [("1", "Firefox", 0.0)]
        assert other.counts() == Counts(guest=1)
        side.mark_unnamed(names.seen(""))
        assert other.counts() == Counts(guest=1)


def test_what_waits_while_the_store_is_away_is_told_with_its_age_however_much(
    name: str, names: Names
) -> None:
    many = 2 * MOST_A_FLIGHT + 7
    with start_server(binary(SERVER)) as own:
        own.kill()
        with opened(name, own.unix_url, buffered=True) as side:
            for i in range(many):
                side.mark_unnamed(names.seen(f"a{i}"))
            with pytest.raises(StoreError):
                side.counts()
            time.sleep(1.2)
            own.restart()
            poll(lambda: side.counts() == Counts(guest=many), "what waited", not_yet=StoreError)
            explained = side.explain("guest-a0")
            assert (explained.now - explained.presence.last_seen).total_seconds() > 1.1
            assert side.health().dropped == 0


def test_a_name_that_fails_takes_no_other_along(buffered: Side, names: Names) -> None:
    def fail(*_: object) -> Mark | None:
        raise RuntimeError("no name today")

    buffered.mark_unnamed(names.seen("1"))
    buffered.mark_unnamed(Unnamed(fail, "2", None))
    buffered.mark_unnamed(names.seen("3"))
    assert buffered.counts() == Counts(guest=2)
