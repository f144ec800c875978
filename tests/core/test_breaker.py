"""The circuit breaker's rules, without a store: on a clock of the test's."""

import os
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from herenow.store.breaker import (
    FIRST,
    LONG,
    LOST,
    MOST,
    OVERDUE,
    PAUSE,
    TRIPS,
    Breaker,
    shared_breaker,
)

SLOW = 0.25


def state(breaker: Breaker) -> str:
    return breaker.state


def fail(breaker: Breaker, now: float, cost: float = SLOW) -> float:
    """A call that begins now, and is not answered; when it ended."""
    assert breaker.admit(now)
    breaker.failed(now, now + cost, "no answer")
    return now + cost


def opened(cost: float = SLOW) -> tuple[Breaker, float]:
    breaker, now = Breaker(dice=lambda: 0), 100.0
    for _ in range(TRIPS):
        assert state(breaker) == "closed"
        now = fail(breaker, now, cost)
    assert state(breaker) == "open"
    return breaker, now


def test_it_opens_after_failures_in_a_row_alone() -> None:
    breaker, now = Breaker(), 100.0
    for _ in range(TRIPS - 1):
        now = fail(breaker, now)
    breaker.answered()
    for _ in range(TRIPS - 1):
        now = fail(breaker, now)
    assert state(breaker) == "closed"
    fail(breaker, now)
    assert state(breaker) == "open"


def test_what_fails_together_counts_once() -> None:
    breaker = Breaker()
    for i in range(50):
        breaker.failed(100 + i / 1000, 100.25 + i / 1000, "no answer")
    assert state(breaker) == "closed"


def test_while_it_is_open_nobody_goes_through_and_the_tries_are_further_and_further_apart() -> None:
    breaker, now = opened()
    waits = []
    for _ in range(9):
        wait = breaker.due_in(now)
        assert not breaker.admit(now + wait / 2)
        assert not breaker.take(now + wait * 0.99)
        assert breaker.take(now + wait)
        assert state(breaker) == "half-open"
        assert not breaker.take(now + wait)
        assert not breaker.admit(now + wait + 0.1)
        breaker.failed(now + wait, now + wait + SLOW, "no answer")
        assert state(breaker) == "open"
        now += wait + SLOW
        waits.append(wait)
    assert waits == [min(FIRST * 2**i, MOST) for i in range(9)]


def test_tries_of_many_processes_are_spread() -> None:
    waits = set()
    for i in range(11):
        breaker = Breaker(dice=lambda i=i: i / 10)  # type: ignore[misc]
        for _ in range(TRIPS):
            fail(breaker, 100.0)
            breaker._failed = 0.0
        waits.add(round(breaker.due_in(100.25), 6))
    assert len(waits) == 11
    assert max(waits) == FIRST
    assert min(waits) == FIRST * 0.75


def test_the_first_answer_closes_it_whoever_got_it() -> None:
    breaker, now = opened()
    breaker.answered()
    assert state(breaker) == "closed"
    assert breaker.ok
    for _ in range(TRIPS - 1):
        now = fail(breaker, now)
    assert state(breaker) == "closed"  # it counts anew


def test_a_late_failure_of_what_began_before_changes_nothing() -> None:
    breaker, now = opened()
    due = breaker.due_in(now)
    breaker.failed(90.0, now + due / 2, "a call of long ago")
    assert breaker.due_in(now) == due
    assert breaker.take(now + due)
    breaker.failed(90.0, now + due + 0.1, "another")
    assert state(breaker) == "half-open"


def test_what_fails_at_once_may_be_tried_again_soon_by_one() -> None:
    breaker, now = opened(cost=0.001)
    assert not breaker.admit(now)
    assert not breaker.admit(now + PAUSE * 0.9)
    now += PAUSE * 1.001
    assert breaker.admit(now)
    assert not breaker.admit(now)  # one at a time
    breaker.failed(now, now + SLOW, "now it hangs")
    assert not breaker.admit(now + 2 * PAUSE + SLOW)


def test_a_prober_that_does_not_come_is_not_waited_for() -> None:
    breaker, now = opened()
    due = now + breaker.due_in(now)
    assert not breaker.admit(due + OVERDUE * 0.9)
    assert breaker.admit(due + OVERDUE)
    assert not breaker.admit(due + OVERDUE)


def test_a_try_that_is_interrupted_lets_another_try() -> None:
    breaker, now = opened()
    now += breaker.due_in(now)
    assert breaker.take(now)
    breaker.interrupted(now)
    assert state(breaker) == "open"
    assert breaker.take(now + breaker.due_in(now))


def test_the_prober_looks_again_soon_after_a_callers_try() -> None:
    breaker, now = opened()
    now += breaker.due_in(now) + OVERDUE
    assert breaker.admit(now)
    assert breaker.due_in(now) <= FIRST  # whoever tries ends soon, and wakes nobody
    assert not breaker.take(now)
    breaker.failed(now, now + SLOW, "it hangs on")
    now += SLOW
    assert breaker.due_in(now) <= 2 * FIRST
    assert breaker.take(now + breaker.due_in(now))


def test_a_try_that_never_ends_lets_another_try_one_day() -> None:
    breaker, now = opened()
    now += breaker.due_in(now)
    assert breaker.take(now)
    assert not breaker.admit(now + LOST - 1)
    assert breaker.admit(now + LOST)


def test_a_call_that_waits_for_long_opens_it_for_the_others() -> None:
    breaker = Breaker()
    breaker.watch("a call", 100.0)
    breaker.notice(100 + LONG)
    assert state(breaker) == "closed"
    breaker.notice(100.1 + LONG)
    assert state(breaker) == "open"
    breaker.unwatch("a call")
    breaker.answered()
    breaker.notice(200.0)
    assert state(breaker) == "closed"


def test_a_last_chance_is_given() -> None:
    breaker, now = opened()
    breaker.hasten()
    assert breaker.admit(now)
    assert not breaker.admit(now)


def test_one_a_store() -> None:
    mine = shared_breaker(("redis://a", 1))
    assert shared_breaker(("redis://a", 1)) is mine
    assert shared_breaker(("redis://b", 1)) is not mine


def test_a_child_starts_with_what_is_known_and_no_try_under_way() -> None:
    breaker, now = opened()
    assert breaker.take(now + breaker.due_in(now))
    with breaker._lock:  # as another thread may hold it
        child = os.fork()
        if child == 0:
            answers = state(breaker) == "open" and not breaker.admit(now)
            breaker.answered()
            os._exit(0 if answers and breaker.closed else 1)
        deadline = time.monotonic() + 10
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, "the child hangs"
            time.sleep(0.01)
    assert ended[1] == 0
    assert state(breaker) == "half-open"


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 3), st.sampled_from(["call", "prober"]), st.floats(0.001, 1), st.booleans()
    ),
    max_size=80,
)


@given(EVENTS)
def test_whatever_happens(events: list[tuple[float, str, float, bool]]) -> None:
    breaker, now, row, free_at = Breaker(), 1000.0, 0, 0.0
    for wait, who, cost, answers in events:
        now += wait
        was = state(breaker)
        assert was != "half-open"  # each try ends before the next
        due = breaker.due_in(now)
        goes = breaker.take(now) if who == "prober" else breaker.admit(now)
        if was == "closed":
            assert goes is (who == "call")
        elif who == "prober":
            assert goes is (due == 0)
        elif now < free_at:
            assert not goes
        if not goes:
            continue
        if was == "open":
            assert state(breaker) == "half-open"
            assert not breaker.admit(now)
            assert not breaker.take(now)
        if answers:
            breaker.answered()
            row = 0
        else:
            breaker.failed(now, now + cost, "no answer")
            row += 1
            now += cost
            free_at = now + PAUSE
        assert breaker.closed is (row < TRIPS)
        assert breaker.ok is (row == 0)
        assert breaker.due_in(now) <= MOST or breaker.closed


def test_threads_let_one_try() -> None:
    breaker, now = opened(cost=0.001)
    gate, through = threading.Barrier(8), []

    def call() -> None:
        gate.wait()
        through.append(breaker.admit(now + 1))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert through.count(True) == 1
