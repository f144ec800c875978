"""History against the plain truth: how many were online at every moment, by a list of what happened.

The oracle knows no minutes that are opened and closed, no sets and no sweeps: a user is online at a
moment when their last sighting by then is less than the window ago, and no leave came after it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, note, settings

import herenow
from herenow import Sighting
from herenow.operations import history
from tests.conftest import PHASES, Clock
from tests.servers import Server

START = 804_556_790_000  # ten seconds before a day, in 1995
USERS = ("a", "b", "c", "d")
KINDS = ("member", "guest", "hidden", "bot")
PAUSES = (
    0,
    1,
    999,
    7_000,
    20_000,
    59_999,
    60_000,
    61_001,
    240_000,
    299_999,
    300_000,
    1_500_000,
    36_000_000,
)
KIND_OF = dict(zip(USERS, KINDS, strict=True))

Happened = list[tuple[int, str, bool]]


def when(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def online(happened: Happened, at: int, window: int) -> dict[str, int]:
    """How many are online at a moment, each kind."""
    last: dict[str, tuple[int, bool]] = {}
    for ms, user, here in happened:
        if ms <= at:
            last[user] = (ms, here)
    there = [user for user, (ms, here) in last.items() if here and at - ms < window]
    counts = {kind: sum(KIND_OF[user] == kind for user in there) for kind in KINDS}
    return counts | {"people": len(there) - counts["bot"]}


def most(happened: Happened, minute: int, end: int, window: int) -> dict[str, int]:
    """The most in a minute: it can only rise where something happens."""
    first, last = minute * 60_000, min(minute * 60_000 + 59_999, end)
    looks = [
        online(happened[: i + 1], ms, window)  # who leaves in the very millisecond was there
        for i, (ms, _, _) in enumerate(happened)
        if first <= ms <= last
    ]
    if first >= happened[0][0]:
        looks.append(online([one for one in happened if one[0] < first], first, window))
    return {what: max((one[what] for one in looks), default=0) for what in (*KINDS, "people")}


def told(sample: herenow.Sample) -> dict[str, int]:
    return {kind: getattr(sample.counts, kind) for kind in KINDS} | {"people": sample.people}


def check(presence: Any, happened: Happened, now: int, window: int) -> None:
    begin = happened[0][0]
    samples = presence.history(when(begin), when(now + 1), include_hidden=True)
    minutes = range(begin // 60_000, now // 60_000 + 1)
    assert [one.at for one in samples] == [when(minute * 60_000) for minute in minutes]
    busy = {at // 60_000 + i for at, _, _ in happened for i in range(window // 60_000 + 2)}
    for sample, minute in zip(samples, minutes, strict=True):
        known = most(happened, minute, now, window) if minute in busy else {}
        assert told(sample) == (known or dict.fromkeys(told(sample), 0)), sample.at
    assert presence.peak(include_hidden=True).count == max(one.people for one in samples)
    for kind in KINDS:
        assert presence.peak(kind).count == max(told(one)[kind] for one in samples)
    for step, size in (("hour", 60), ("day", 1440)):
        wider = presence.history(when(begin), when(now + 1), step, include_hidden=True)
        assert [one.people for one in wider] == [
            max(
                told(sample)["people"]
                for sample, minute in zip(samples, minutes, strict=True)
                if minute // size == at
            )
            for at in range(begin // 60_000 // size, now // 60_000 // size + 1)
        ]
    days = {(user, at // 86_400_000) for at, user, here in happened if here}
    for kind in KINDS:
        seen = {user for user, day in days if day == now // 86_400_000 and KIND_OF[user] == kind}
        assert presence.unique_users(kind=kind, include_hidden=True) == len(
            seen
            | {
                u
                for u, day in days
                if kind == "member" and day == now // 86_400_000 and KIND_OF[u] == "hidden"
            }
        )


steps = st.lists(
    st.tuples(
        st.sampled_from(["mark", "mark", "mark", "leave", "sweep", "look"]),
        st.sampled_from(USERS),
        st.sampled_from(PAUSES),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.parametrize("window", [300, 60, 45, 5400])
def test_no_minute_is_wrong(server: Server, window: int) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=PHASES,
    )
    @given(steps)
    def run(steps: list[tuple[str, str, int]]) -> None:
        server.control.flushall()
        clock = Clock(START / 1000)
        with herenow.Presence(
            server.unix_url, window=window, resolution=0, clock=clock, history=timedelta(days=90)
        ) as presence:
            now = START
            happened: Happened = []
            for what, user, pause in steps:
                if what == "mark" or not happened:
                    presence.mark_online(user, None if user == "a" else KIND_OF[user])  # type: ignore[arg-type]
                    happened.append((now, user, True))
                elif what == "leave":
                    presence.mark_offline(user)
                    happened.append((now, user, False))
                elif what == "sweep":
                    presence.sweep()
                else:
                    check(presence, happened, now, window * 1000)
                now += pause
                clock.now = now / 1000
            check(presence, happened, now, window * 1000)

    run()


batches = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(USERS), st.sampled_from([0, 1, 999, 10_000, 30_000])),
            max_size=8,
        ),
        st.sampled_from([0, 1, 30_000, 100_000, 400_000]),
    ),
    min_size=1,
    max_size=10,
)


@pytest.mark.parametrize("kinds", [True, False], ids=["kinds", "members"])
def test_what_is_told_late_but_in_order_is_counted_at_its_own_moment(
    server: Server, kinds: bool
) -> None:
    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=PHASES,
    )
    @given(batches)
    def run(batches: list[tuple[list[tuple[str, int]], int]]) -> None:
        server.control.flushall()
        clock = Clock(START / 1000)
        presence = herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5)
        with presence:
            presence.mark_online("a")
            now = START
            happened: Happened = [(START, "a", True)]
            for sightings, pause in batches:
                now += pause
                moments = []
                for user, later in sightings:
                    now += later
                    moments.append((now, user, True))
                clock.now = now / 1000
                happened += moments
                presence.mark_online_many(
                    [
                        Sighting(user, KIND_OF[user] if kinds else None, age=(now - at) / 1000)  # type: ignore[arg-type]
                        for at, user, _ in moments
                    ]
                )
            samples = presence.history(when(START), when(now + 1), include_hidden=True)
            for sample in samples:
                minute = round(sample.at.timestamp()) // 60
                assert sample.people + sample.counts.bot <= 4
                truth = most(happened, minute, now, 300_000)
                note(f"{sample.at}: {happened}")
                people = truth["people"] if kinds else None
                if people is not None:
                    assert sample.people == people, sample.at
            assert presence.peak(include_hidden=True).count == max(one.people for one in samples)

    run()


def test_an_outage_is_a_gap_and_silence_is_none(server: Server) -> None:
    clock = Clock(START / 1000)
    with herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as presence:
        presence.mark_online("a")
        clock.now += 7200
        presence.mark_online("b")
        start = START + 3_600_000

        def away(seconds: int, since: int = start) -> int:
            operations = history.outage(presence._scope, since, since + seconds * 1000)
            return sum(presence._engine.call(one) for one in operations)

        assert away(20) == 0, "it lies in no whole minute"
        assert away(240) == 3
        assert away(240) == 0, "it is known"
        samples = presence.history(when(START), when(START + 7_200_001))
        gaps = [one for one in samples if one.gap]
        assert [one.people for one in gaps] == [0, 0, 0]
        assert gaps[0].at == when(start + 10_000)
        hours = presence.history(when(START), when(START + 7_200_001), "hour")
        assert sum(one.gap for one in hours) == 3
        # what somebody wrote in is known, whoever did not see it; and what was before the history
        for _ in range(3):
            clock.now += 120
            presence.mark_online("b")
        assert away(360, START + 7_200_000) == 3
        assert away(50 * 3600, START - 50 * 3_600_000) == 0
        assert away(50 * 3600, START + 7_200_000 - 50 * 3_600_000) == 119 - 3


def test_a_room_keeps_a_history_by_choice(server: Server) -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    with herenow.Presence(server.unix_url, resolution=0, timeout=5) as presence:
        silent, kept = presence.room("silent"), presence.room("kept", history=True)
        for room in (silent, kept, presence):
            room.mark_online("a")
        assert silent.history(now - hour, now + hour) == []
        assert silent.unique_users() == 0
        for room in (kept, presence, presence.room("kept")):
            assert max(one.people for one in room.history(now - hour, now + hour)) == 1
            assert room.unique_users() == 1
        with herenow.Presence(
            server.unix_url, resolution=0, timeout=5
        ) as other:  # which is not told so
            other.room("kept").mark_online("b")
            assert other.room("kept").unique_users() == 2
        presence.room("kept", history=False).mark_online("c")
        assert kept.history(now - hour, now + hour) == []


@pytest.mark.parametrize(
    "args, rule",
    [
        ((datetime(2026, 1, 1), datetime(2026, 1, 2)), "time zone"),  # noqa: DTZ001
        ((when(2000), when(1000)), "ends after it starts"),
        ((when(0), when(1000), "week"), "a step is one of minute, hour, day"),
    ],
)
def test_a_history_that_makes_no_sense_is_refused(
    presence: herenow.Presence, args: tuple[Any, ...], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        presence.history(*args)


@pytest.mark.parametrize(
    "days, kind", [(0, "member"), (True, "member"), (401, "bot"), (2, "guest")]
)
def test_days_that_make_no_sense_are_refused(
    presence: herenow.Presence, days: Any, kind: Any
) -> None:
    with pytest.raises(ValueError, match="days is"):
        presence.unique_users(days, kind)
