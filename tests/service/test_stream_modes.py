"""What a stream tells by how many are online: every event, diffs, or counts; and watched users always.

Each test looks at what clients know from their streams alone, at moments when nothing happens any more.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import herenow
from herenow.names import KINDS
from tests.conftest import LONG
from tests.servers import Server
from tests.service.conftest import Stream, Streaming
from tests.service.following import Following, Knowledge
from tests.service.test_stream_clients import Writers
from tests.waiting import poll

SETTINGS = {"every_event_below": 10, "counts_only_from": 30, "interval": 0.1}
WATCHED = [f"u{i}" for i in range(0, 50, 10)]


class Truth:
    """A room that is filled and emptied, and what must be known of it."""

    def __init__(self, presence: herenow.Presence) -> None:
        self.presence = presence
        self.count = 0

    def fill(self, count: int) -> None:
        """Have so many members be there: u0, u1, and so on."""
        for i in range(self.count, count):
            self.presence.mark_online(f"u{i}")
        for i in range(self.count - 1, count - 1, -1):
            self.presence.mark_offline(f"u{i}")
        self.count = count

    def counts(self) -> dict[str, int]:
        counts = self.presence.counts()
        return {"member": counts.member, "guest": counts.guest, "bot": counts.bot}

    def is_known(self, known: Knowledge, *, only: bool) -> bool:
        """Whether a client without a watch-list knows it; ``only``: it is told counts alone."""
        if known.counts != self.counts():
            return False
        if only:
            return known.online == set()
        members = {one for one in known.online if known.kinds[one] == "member"}
        return known.complete and members == set(self.presence.get_online_users())

    def is_known_of(self, known: Knowledge) -> bool:
        """Whether a client knows it that watches some."""
        return known.online == here(self.presence.lookup(WATCHED)) and known.counts == self.counts()


def has(following: Following, done: Callable[[Knowledge], bool]) -> None:
    following.until(lambda: following.error is None and done(following.room()), 5)


def test_both_thresholds_each_way_on_one_open_stream(
    stream: Stream, presence: herenow.Presence
) -> None:
    truth = Truth(presence)
    truth.fill(3)
    serving = stream(**SETTINGS)
    plain, watching = serving.follow(), serving.follow(user=WATCHED)
    resuming = serving.follow()
    seen: list[set[str]] = []
    for count in (3, 8, 9, 10, 20, 29, 28, 45, 31, 27, 26, 15, 9, 8, 2, 40, 4, 12, 50, 20, 0):
        at = len(plain.told)
        truth.fill(count)
        # ten per cent below a threshold it is crossed back
        only = count >= 30 or (count in {27, 28, 31} and plain.room().online == set())
        has(plain, partial(truth.is_known, only=only))
        has(watching, truth.is_known_of)
        has(resuming, partial(truth.is_known, only=only))
        seen.append({event for event, _ in plain.told[at:]})
        resuming.close()
        if count % 2:
            resuming = serving.follow(resuming.last, resuming.rooms)
        else:  # it sleeps while more happens
            truth.fill(count + 1)
            truth.fill(count)
            resuming = serving.follow(resuming.last, resuming.rooms)
    assert seen[1] == {"join"}
    assert seen[4] <= {"diff", "join", "counts"}  # counts, for whoever resumes may not know them
    assert seen[7] <= {"diff", "counts"}
    assert "reset" in seen[9] | seen[10]
    assert "reset" in seen[13]
    events = {event for event, _ in watching.told}
    assert events == {"reset", "join", "leave", "counts"}
    assert watching.room().resets == 1
    assert set(plain.brief()) >= {("diff", None), ("counts", None), ("reset", None)}


def test_who_comes_and_goes_within_an_interval_is_in_no_diff(
    stream: Stream, presence: herenow.Presence
) -> None:
    truth = Truth(presence)
    truth.fill(12)
    following = stream(every_event_below=5, interval=1.0).follow()
    following.until(lambda: following.told)
    time.sleep(0.3)
    presence.mark_online("passing")
    presence.mark_offline("passing")
    presence.mark_offline("u1")
    presence.mark_online("u1")
    presence.mark_online("u2", session="tab", info={"page": "/"})
    presence.mark_online("u2", session="tab", away=True)
    presence.mark_offline("u3")
    presence.mark_online("new")
    following.until_told("diff")
    time.sleep(1.2)
    diffs = [data for event, data in following.told if event == "diff"]
    names = {what: [one["user"] for data in diffs for one in data[what]] for what in DIFF}
    assert "passing" not in str(diffs) or len(diffs) > 1  # the interval may have ended in between
    assert truth.is_known(following.room(), only=False)
    if len(diffs) == 1:
        assert names == {"leave": ["u3"], "join": ["new"], "update": ["u1", "u2"]}
        assert diffs[0]["update"][1]["away"] is True
        assert diffs[0]["update"][1]["info"] == {"page": "/"}


DIFF = ("leave", "join", "update")


KINDS_OR_NONE: tuple[Any, ...] = (None, None, *KINDS)


class Cut:
    """A reader that is cut at times, and resumes."""

    def __init__(self, serving: Streaming, params: dict[str, Any]) -> None:
        self.serving, self.params = serving, params
        self.following = serving.follow(**params)

    def cut(self, pause: float) -> None:
        one = self.following
        one.close()
        time.sleep(pause)
        self.following = self.serving.follow(one.last, one.rooms, **self.params)

    def is_right(self, presence: herenow.Presence, *, each: bool) -> bool:
        """Whether it knows what there is to be known."""
        hidden, known = "hidden" in self.params, self.following.room()
        counts = presence.counts()
        told = {"member": counts.member, "guest": counts.guest, "bot": counts.bot}
        if hidden:
            told["hidden"] = counts.hidden
        if known.counts != told:
            return False
        if "user" in self.params:
            return known.online == here(presence.lookup(WATCHED))
        if not each:
            return True
        online = {
            user
            for kind in KINDS
            for user in presence.get_online_users(kind=kind, include_hidden=hidden)
        }
        members = set(presence.get_online_users(include_hidden=hidden))
        return members <= known.online <= online


def here(found: dict[str, herenow.UserPresence]) -> set[str]:
    return {name for name, one in found.items() if one.online}


@pytest.mark.parametrize("seed", range(10 if LONG else 1))
def test_crossing_at_random_with_readers_that_are_cut(
    stream: Stream, presence: herenow.Presence, seed: int
) -> None:
    dice = random.Random(seed)
    serving = stream(**SETTINGS | {"max_diff": 8})
    sets: tuple[dict[str, Any], ...] = ({}, {}, {"hidden": "1"}, {"user": WATCHED})
    readers = [Cut(serving, params) for params in sets]
    users = [f"u{i}" for i in range(50)]
    level = 0.5
    for step in range(1500):
        if step % 100 == 0:
            level = dice.choice((0.0, 0.1, 0.3, 0.5, 0.9))
        user = dice.choice(users)
        if dice.random() < level:
            presence.mark_online(user, kind=dice.choice(KINDS_OR_NONE))
        else:
            presence.mark_offline(user)
        if dice.random() < 0.02:
            dice.choice(readers).cut(dice.choice((0, 0, 0.1, 0.2)))
    for total in (50, 20, 8):
        for user in users:
            presence.mark_offline(user)
        for i, user in enumerate(users[:total]):
            presence.mark_online(user, kind=KINDS[i % 4])
        for one in readers:
            one.following.until(partial(one.is_right, presence, each=total < 10))


def test_timeouts_are_netted(stream: Stream, presence: herenow.Presence) -> None:
    room = presence.room("doc", window=1)
    room.mark_online_many([f"u{i}" for i in range(20)])
    serving = stream(**SETTINGS)
    following = serving.follow(room="doc", hidden="1")
    late = []
    for _ in range(3):
        time.sleep(0.3)
        late.append(serving.follow(room="doc", hidden="1"))
    for one in (following, *late):
        one.until(partial(is_empty, one))
        assert one.room("doc").counts == {"member": 0, "hidden": 0, "guest": 0, "bot": 0}


def test_timeouts_are_sent_once_to_whoever_comes_meanwhile(
    stream: Stream, presence: herenow.Presence
) -> None:
    room = presence.room("doc", window=1)
    serving = stream()
    followings = [serving.follow(room="doc")]
    for i in range(40):
        room.mark_online(f"u{i}")
        if i >= 8:
            followings.append(serving.follow(room="doc"))
        time.sleep(0.03)
    for one in followings:
        one.until(partial(is_empty, one))
        assert one.room("doc").counts == {"member": 0, "guest": 0, "bot": 0}


def test_counts_that_changed_while_a_reader_came_are_sent_again(
    stream: Stream, presence: herenow.Presence
) -> None:
    presence.mark_online_many([f"u{i}" for i in range(5)])
    serving = stream(interval=1.0)
    first = serving.follow(user=WATCHED)
    first.until_told("counts")
    presence.mark_online("passing")
    second = serving.follow(user=WATCHED)
    second.until_told("reset")
    presence.mark_offline("passing")
    truth = Truth(presence)
    for one in (first, second):
        has(one, truth.is_known_of)
        time.sleep(1.2)
        assert truth.is_known_of(one.room())


def has_enough(following: Following) -> bool:
    return len(following.told) > 20


def test_watch_lists_are_right_from_the_first_event_on(
    stream: Stream, server: Server, presence: herenow.Presence
) -> None:
    watched = [f"w{i}-{j}" for i in range(2) for j in range(15)]
    serving = stream(interval=5.0)
    writers = Writers(server.unix_url, pause=0.0)
    for _ in range(30):
        following = serving.follow(user=watched)
        following.until(partial(has_enough, following))
        following.close()
    writers.stop()


def is_empty(following: Following) -> bool:
    return bool(following.told) and following.room("doc").online == set()


def test_a_watch_list_in_a_crowd_costs_what_its_users_do(
    stream: Stream, presence: herenow.Presence
) -> None:
    crowd = [f"c{i}" for i in range(100_000)]
    watched = [f"w{i}" for i in range(500)]
    presence.mark_online_many(watched[:250])
    for i in range(0, len(crowd), 10_000):
        presence.mark_online_many(crowd[i : i + 10_000])
    serving = stream(interval=0.5)
    following = serving.follow(user=watched)
    following.until(lambda: following.told, 20)
    room = following.room()
    assert room.online == set(watched[:250])
    assert following.bytes < 250 * 300
    poll(lambda: serving.count()["feeds"] == [0], "the main line")
    began, before = time.monotonic(), following.bytes
    for i in range(0, 20_000, 1000):
        for user in crowd[i : i + 20]:
            presence.mark_offline(user)
        presence.mark_online_many([f"n{i}-{j}" for j in range(1000)])
    following.until(lambda: room.counts is not None and room.counts["member"] > 119_000)
    seconds = time.monotonic() - began
    assert following.bytes - before < 200 * (seconds / 0.5 + 2)
    assert {event for event, _ in following.told} == {"reset", "counts"}
    for user in watched[:250]:
        presence.mark_offline(user)
    presence.mark_online_many(watched[250:])
    following.until(lambda: room.online == set(watched[250:]))
    assert len([one for one in following.brief() if one[0] in {"join", "leave"}]) == 500


def test_who_comes_back_from_diffs_to_events_starts_over(
    stream: Stream, presence: herenow.Presence
) -> None:
    """The counts of a diff are of its tick, not of its place: to count on from them would be wrong."""
    truth = Truth(presence)
    truth.fill(15)
    serving = stream(**SETTINGS)
    other, following = serving.follow(), serving.follow()
    following.until_told("reset")
    truth.fill(20)
    following.until_told("diff")
    has(following, partial(truth.is_known, only=False))
    following.close()
    assert following.last is not None
    assert following.last.startswith("d")
    truth.fill(5)
    has(other, partial(truth.is_known, only=False))
    again = serving.follow(following.last, following.rooms)
    has(again, partial(truth.is_known, only=False))
    assert again.brief() == [("reset", None)]
