"""A stream as a client sees it: how it begins, what it is told, in one room and in several."""

import time
from functools import partial

import herenow
from herenow.names import KINDS
from tests.servers import Server
from tests.service.conftest import Stream
from tests.service.following import raw
from tests.waiting import poll


def test_a_stream_begins_with_a_snapshot_and_goes_on_with_events(
    stream: Stream, presence: herenow.Presence
) -> None:
    presence.mark_online("alice")
    following = stream().follow()
    assert following.status == 200
    assert following.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert following.headers["cache-control"] == "no-store"
    assert following.headers["x-accel-buffering"] == "no"
    following.until(lambda: following.told)
    presence.mark_online("bob", session="tab", info={"page": "/ü"})
    presence.mark_online("bob", session="tab", away=True)
    presence.mark_offline("alice")
    following.until(lambda: len(following.told) == 4)
    assert following.brief() == [
        ("reset", None),
        ("join", "bob"),
        ("update", "bob"),
        ("leave", "alice"),
    ]
    reset, join, update, leave = (data for _, data in following.told)
    assert reset["snapshot"]["counts"] == {"member": 1, "guest": 0, "bot": 0}
    assert [one["user"] for one in reset["snapshot"]["users"]] == ["alice"]
    assert (join["kind"], join["info"], join["session"]) == ("member", {"page": "/ü"}, "tab")
    assert update["away"] is True
    assert leave["reason"] == "left"
    assert following.ids == [one["id"] for one in (reset, join, update, leave)]
    assert following.room().online == {"bob"}


def test_a_comment_at_once_and_when_nothing_happens(stream: Stream) -> None:
    serving = stream(heartbeat=1.0, retry=2.0)
    with raw(serving.port) as (_, lines):
        first = next(lines)
        assert first.startswith(b":")
        retry = next(lines)
        assert retry.startswith(b"retry: ")
        assert 2000 <= int(retry[7:]) <= 4000
        began = time.monotonic()
        while next(lines) != b":":
            pass
        assert time.monotonic() - began < 4


def test_nobody_sees_the_hidden_without_the_right(
    stream: Stream, presence: herenow.Presence
) -> None:
    presence.mark_online("alice")
    presence.mark_online("spy", kind="hidden")
    serving = stream()
    outside, inside = serving.follow(), serving.follow(hidden="1")
    listed = serving.follow(user=["spy", "bob"])
    for one in (outside, inside, listed):
        one.until(partial(len, one.told))
    presence.mark_online("spy2", kind="hidden")
    presence.mark_online("alice", kind="hidden")
    presence.mark_online("alice", kind="member")
    presence.mark_offline("spy")
    presence.mark_online("bob")
    for one in (outside, inside, listed):
        one.until_told("join", "bob")
    listed.until_told("counts")
    assert outside.brief()[1:] == [("leave", "alice"), ("join", "alice"), ("join", "bob")]
    assert inside.brief()[1:] == [
        ("join", "spy2"),
        ("update", "alice"),
        ("update", "alice"),
        ("leave", "spy"),
        ("join", "bob"),
    ]
    assert inside.told[2][1]["was"] == "member"
    for one in (outside, listed):
        said = str(one.told)
        assert "spy" not in said
        assert "hidden" not in said
    assert {event for event, _ in listed.told} == {"reset", "join", "counts"}
    assert outside.room().counts == {"member": 2, "guest": 0, "bot": 0}
    assert inside.room().counts == {"member": 2, "hidden": 1, "guest": 0, "bot": 0}
    assert inside.room().online == {"alice", "bob", "spy2"}


def test_counts_follow_from_the_events_of_every_kind(
    stream: Stream, presence: herenow.Presence
) -> None:
    following = stream().follow(hidden="1")
    following.until(lambda: following.told)
    for i in range(60):
        user, kind = f"u{i % 7}", KINDS[(i * 5) % 4]
        if i % 5 == 4:
            presence.mark_offline(user)
        else:
            presence.mark_online(user, kind=kind)
    presence.mark_online("last")
    following.until(lambda: following.brief()[-1] == ("join", "last"))
    counts = presence.counts()
    assert following.room().counts == {kind: getattr(counts, kind) for kind in KINDS}


def test_several_rooms_in_one_stream_are_resumed_each_where_it_was(
    stream: Stream, presence: herenow.Presence
) -> None:
    names = ["site", "doc:1", "doc:{2} ü"]
    rooms = [presence.room(name) for name in names]
    rooms[0].mark_online("alice")
    serving = stream()
    following = serving.follow(room=names)
    following.until(lambda: len(following.told) == 3)
    assert [event for event, _ in following.told] == ["reset"] * 3
    rooms[1].mark_online("bob")
    rooms[2].mark_online("carol")
    following.until(lambda: len(following.told) == 5)
    following.close()
    assert len(set(following.ids)) == 5
    rooms[0].mark_offline("alice")
    rooms[1].mark_offline("bob")
    rooms[2].mark_online("dave")
    resumed = serving.follow(following.last, following.rooms, room=names)
    rooms[1].mark_online("erin")
    resumed.until(lambda: len(resumed.told) == 4)
    assert "reset" not in {event for event, _ in resumed.told}
    for name, room in zip(names, rooms, strict=True):
        assert resumed.room(name).online == set(room.get_online_users())
    resumed.close()
    others = serving.follow(resumed.last, room=names[:2])
    others.until(lambda: len(others.told) == 2)
    assert [event for event, _ in others.told] == ["reset"] * 2


def test_bad_questions_are_refused_before_the_stream_begins(stream: Stream) -> None:
    serving = stream(max_streams=1)
    for params in (
        {"room": [f"r{i}" for i in range(33)]},
        {"user": [f"u{i}" for i in range(501)]},
        {"room": "\n"},
        {"who": "alice", "session": "x" * 120},
    ):
        assert serving.follow(**params).status == 400, params
    for last in ("x", "r~", "r" + "A" * 3000, "1-2-3-4", "-1", "r" + "A" * 13 + "="):
        assert serving.follow(last).status == 400, last
    first = serving.follow("r" + "A" * 40)  # of other rooms: it starts over
    first.until(lambda: first.told)
    assert serving.follow().status == 503
    first.close()
    poll(lambda: serving.count()["open"] == 0, "the first to go")
    assert serving.follow().status == 200


def test_an_id_from_another_store_starts_over(stream: Stream, presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    serving = stream()
    for last in ("9999999999999999", "1", "17-h" + "a" * 40, "c"):
        following = serving.follow(last)
        following.until(partial(len, following.told))
        assert following.brief() == [("reset", None)], last
        assert following.room().online == {"alice"}


def test_streams_share_one_watch_once_they_have_caught_up(
    stream: Stream, presence: herenow.Presence, server: Server
) -> None:
    presence.mark_online("alice")
    serving = stream()
    followings = [serving.follow() for _ in range(10)]
    for one in followings:
        one.until(partial(len, one.told))
    poll(lambda: serving.count()["feeds"] == [0], "all on the main line")
    presence.mark_online("bob")
    for one in followings:
        one.until_told("join", "bob")
        assert one.room().online == {"alice", "bob"}
    last = followings[0].last
    for one in followings:
        one.close()
    presence.mark_offline("alice")
    again = [serving.follow(last, one.rooms) for one in followings]
    for one in again:
        one.until_told("leave", "alice")
        assert one.brief() == [("leave", "alice")]
    poll(lambda: serving.count()["feeds"] == [0], "all on the main line")
