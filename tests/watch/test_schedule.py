"""When watched rooms are looked at: the schedule, by a clock of the test's."""

from herenow.watching.schedule import Schedule

A, B, C = b"a", b"b", b"c"


def test_rooms_are_taken_once_first_come_first() -> None:
    schedule = Schedule()
    schedule.soon([B, A])
    schedule.soon([B, C])
    assert schedule.seconds(0, 60) == 0
    assert (schedule.take(2), schedule.take(2), schedule.take(2)) == ([B, A], [C], [])
    assert schedule.seconds(0, 60) == 60


def test_a_room_is_woken_when_its_moment_comes_and_once() -> None:
    schedule = Schedule()
    schedule.later(A, 10)
    schedule.later(B, 5)
    assert schedule.seconds(1, 60) == 4
    assert (schedule.woken(4.9), schedule.take(9)) == ([], [])
    assert (schedule.woken(10), schedule.take(9)) == ([B, A], [B, A])
    assert (schedule.woken(11), schedule.take(9)) == ([], [])


def test_a_later_moment_takes_the_place_of_the_one_before() -> None:
    schedule = Schedule()
    schedule.later(A, 5)
    schedule.later(A, 8)
    assert schedule.woken(7) == []
    assert schedule.woken(8) == [A]


def test_a_forgotten_room_is_neither_taken_nor_woken() -> None:
    schedule = Schedule()
    schedule.soon([A])
    schedule.later(A, 5)
    schedule.forget(A)
    assert (schedule.woken(6), schedule.take(9)) == ([], [])


def test_moments_that_were_put_off_many_times_take_no_room() -> None:
    schedule = Schedule()
    for moment in range(10_000):
        schedule.later(A, moment)
    assert len(schedule._heap) < 1100
    assert schedule.woken(9_998) == []
    assert schedule.woken(9_999) == [A]
