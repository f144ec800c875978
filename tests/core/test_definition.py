"""The store gives what the definition of presence gives, after each act of any story."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import herenow
import herenow.lua
from tests import definition
from tests.conftest import LONG, PHASES, Clock
from tests.definition import KINDS, Act
from tests.operations import LONG_AGO, SOON
from tests.servers import Server

START = 1_000_000_000
USERS = ("a", "b", "c", "ü")
WAITS = (0, 1, 30_000, 59_999, 150_000, 299_999, 300_000, 700_000)
acts = st.builds(
    Act,
    at=st.sampled_from(WAITS),  # after the one before
    user=st.sampled_from(USERS),
    kind=st.none() | st.sampled_from(KINDS),
    session=st.sampled_from(["", "", "t", "u"]),
    replaces=st.none() | st.sampled_from(USERS),
    leaves=st.sampled_from([False] * 5 + [True]),
    ends=st.sampled_from([False] * 4 + [True]),
)


@pytest.mark.parametrize("fast", [True, False], ids=["fast paths", "none"])
def test_the_store_agrees_with_the_definition(
    server: Server, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(herenow.lua, "FAST", fast)
    herenow.lua.load.cache_clear()

    @settings(
        max_examples=(40 if fast else 20) * (20 if LONG else 1),
        deadline=None,
        phases=PHASES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(acts, min_size=10, max_size=30))
    def check(story: list[Act]) -> None:
        server.control.flushall()
        clock = Clock(START / 1000)
        with herenow.Presence(server.unix_url, resolution=0, clock=clock, timeout=5) as presence:
            tell(presence, clock, story)

    check()
    herenow.lua.load.cache_clear()


def tell(presence: herenow.Presence, clock: Clock, story: list[Act]) -> None:
    """Do one act after the other, and compare all that can be asked."""
    done: list[Act] = []
    now = START
    for act in story:
        now += act.at
        clock.now = now / 1000
        other = None if act.leaves or act.ends or act.replaces == act.user else act.replaces
        done.append(Act(now, act.user, act.kind, act.session, other, act.leaves, act.ends))
        do(presence, done[-1])
        compare_now(presence, done, now)
    compare_past(presence, done, now)


def do(presence: herenow.Presence, act: Act) -> None:
    if act.leaves or act.ends:
        presence.mark_offline(act.user, None if act.leaves else act.session)
    else:
        presence.mark_online(act.user, act.kind, act.session, replaces=act.replaces)  # type: ignore[arg-type]


def compare_now(presence: herenow.Presence, done: list[Act], now: int) -> None:
    found = presence.counts()
    assert tuple(getattr(found, kind) for kind in KINDS) == definition.counts(done, now)
    for kind in KINDS:
        shown = presence.page_online_users(kind=kind, include_hidden=kind == "hidden").users  # type: ignore[arg-type]
        assert [one.user for one in shown if one.kind == kind] == definition.online(done, kind, now)
    looked_up = presence.lookup(USERS, include_hidden=True)
    for user in USERS:
        one = definition.known(done, user, now)
        assert looked_up[user].online is bool(one.here), user
        remembered = one.here or one.kind in ("member", "hidden")  # others are forgotten
        assert looked_up[user].last_seen == (at(one.seen) if remembered else None), user


def compare_past(presence: herenow.Presence, done: list[Act], now: int) -> None:
    moments = definition.moments(done)
    for i, kind in enumerate(KINDS):
        most = max(counts[i] for _, counts in moments)
        first = next(moment for moment, counts in moments if counts[i] == most)
        peak = presence.peak(kind, include_hidden=True)  # type: ignore[arg-type]
        assert (peak.count, peak.at) == (most, at(first) if most else None), kind
    for sample in presence.history(LONG_AGO, SOON, include_hidden=True):
        begin = round(sample.at.timestamp() * 1000)
        before = [act for act in done if act.at < begin]
        of_minute = [counts for moment, counts in moments if begin <= moment < begin + 60_000]
        most_of = map(max, zip(definition.counts(before, begin), *of_minute, strict=True))
        assert tuple(getattr(sample.counts, kind) for kind in KINDS) == (*most_of,), sample.at


def at(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
