"""A stream that is presence: it opens and its user is there, it ends and they leave; however it ends."""

import signal
import time

import herenow
from tests.conftest import SERVER
from tests.servers import binary, start_server
from tests.service.conftest import Stream
from tests.waiting import in_time, poll


def test_the_user_is_there_as_long_as_the_stream(
    stream: Stream, presence: herenow.Presence
) -> None:
    serving = stream()
    following = serving.follow(who="alice", session="tab", room=["site", "doc"])
    following.until(lambda: len(following.told) == 2)
    for room in (presence, presence.room("doc")):
        found = room.lookup(["alice"])["alice"]
        assert found.online
        assert [one.name.startswith("tab~") for one in found.sessions] == [True]
    assert {"alice"} == following.room().online == following.room("doc").online
    following.close()
    poll(lambda: not presence.is_online("alice"), "their leave", 20)
    poll(lambda: not presence.room("doc").is_online("alice"), "their leave", 20)


def test_the_late_end_of_a_connection_leaves_the_new_one_alone(
    stream: Stream, presence: herenow.Presence
) -> None:
    serving = stream()
    told = serving.follow()
    first = serving.follow(who="alice", session="tab", kind="guest")
    first.until_told("reset")
    second = serving.follow(first.last, who="alice", session="tab")
    second.until(lambda: serving.count()["open"] == 3)
    first.close()
    poll(lambda: serving.count()["open"] == 2, "the first to end")
    time.sleep(0.3)
    found = presence.lookup(["alice"])["alice"]
    assert found.online
    assert found.kind == "guest"
    assert len(found.sessions) == 1
    second.close()
    told.until_told("leave", "alice")
    assert ("leave", "alice") not in told.brief()[:-1]


def test_the_user_is_kept_fresh_in_a_short_window(
    stream: Stream, presence: herenow.Presence
) -> None:
    room = presence.room("doc", window=1)
    room.mark_online("first")
    serving = stream()
    following = serving.follow(who="alice", kind="guest", room="doc")
    following.until_told("reset")
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert room.is_online("alice")
        time.sleep(0.05)
    assert ("leave", "alice") not in following.brief()
    assert room.lookup(["alice"])["alice"].kind == "guest"


def test_a_33rd_session_is_refused_before_the_stream_begins(
    stream: Stream, presence: herenow.Presence
) -> None:
    for i in range(32):
        presence.room("doc").mark_online("alice", session=f"s{i}")
    serving = stream()
    refused = serving.follow(who="alice", room=["site", "doc"])
    assert refused.status == 409
    assert not presence.is_online("alice")
    assert serving.follow(who="bob", room="doc").status == 200


def test_users_of_a_killed_service_leave_within_the_window(
    stream: Stream, presence: herenow.Presence
) -> None:
    room = presence.room("doc", window=2)
    room.mark_online("first")
    other = stream()
    told = other.follow(room="doc")
    told.until_told("reset")

    def left() -> float:
        user = f"u{time.monotonic_ns()}"
        serving = stream()
        serving.follow(who=user, room="doc").until_told("reset")
        told.until_told("join", user)
        began = time.monotonic()
        serving.stop(signal.SIGKILL)
        told.until(lambda: ("leave", user) in told.brief(), 60)
        return time.monotonic() - began

    in_time(3.5, left)


def test_users_of_a_stopped_service_leave_at_once(
    stream: Stream, presence: herenow.Presence
) -> None:
    def stopped() -> float:
        serving = stream()
        for i in range(40):
            serving.follow(who=f"u{i}").until_told("reset")
        assert presence.count_online_users() == 40
        began = time.monotonic()
        assert serving.stop() in {0, -signal.SIGTERM}
        took = time.monotonic() - began
        assert presence.count_online_users() == 0
        return took

    in_time(2, stopped)


def test_a_stream_opens_without_the_store_and_marks_when_that_is_back(stream: Stream) -> None:
    with start_server(binary(SERVER)) as store:
        serving = stream(store.unix_url)
        store.kill()
        following = serving.follow(who="alice", kind="guest")
        assert following.status == 200
        store.restart()
        with herenow.Presence(store.unix_url) as presence:

            def is_there() -> bool:
                return presence.lookup(["alice"])["alice"].kind == "guest"

            poll(is_there, "their mark")
            following.until(lambda: following.room().counts is not None)
            store.kill()
            store.restart()  # empty: they are there again, as what they were
            poll(is_there, "their mark")
