"""online, seen, why, rooms and forget: what they answer, and their exit codes."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

import herenow
from herenow.cli.output import ago
from herenow.web.people import last_seen
from tests.cli.conftest import Call, Done
from tests.cli.terminals import on_terminal
from tests.servers import Cluster, Server


@pytest.fixture
def people(server: Server) -> Iterator[herenow.Presence]:
    """Alice and bob, who came in that order, a guest, a hidden one and one who left."""
    with herenow.Presence(server.url, resolution=0, timeout=5) as presence:
        presence.mark_online("gone")
        presence.mark_offline("gone")
        presence.mark_online_many(
            [
                herenow.Sighting("alice", age=2),
                herenow.Sighting("bob", session="tab", info={"page": "/x"}, age=1),
                herenow.Sighting("guest-1", kind="guest"),
                herenow.Sighting("carol", kind="hidden"),
            ]
        )
        presence.room("doc:1").mark_online("alice")
        yield presence


def test_online_lists_counts_and_answers_by_its_exit_code(
    people: herenow.Presence, ask: Call
) -> None:
    assert ask("online").lines == ["bob", "alice"]
    assert ask("online").err == ""
    assert ask("online", "--limit", "1").lines == ["bob"]
    assert ask("online", "--count").out == "2\n"
    assert ask("online", "--count", "--include-hidden").out == "3\n"
    assert ask("online", "--kind", "guest").lines == ["guest-1"]
    assert ask("online", "--room", "doc:1").lines == ["alice"]
    nobody = ask("online", "--room", "doc:2")
    assert (nobody.code, nobody.out) == (1, "")
    assert ask("online", "--prefix", "other:").code == 1


def test_online_in_json(people: herenow.Presence, ask: Call) -> None:
    document = ask("online", "--json").json
    assert (document["room"], document["kind"], document["count"]) == ("site", "member", 2)
    bob, alice = document["users"]
    assert (bob["user"], bob["info"], bob["sessions"][0]["name"]) == ("bob", {"page": "/x"}, "tab")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", alice["last_seen"])
    assert ask("online", "--json", "--count").json == {"room": "site", "kind": "member", "count": 2}


def test_online_lists_more_than_a_page(server: Server, ask: Call) -> None:
    users = [f"user-{i}" for i in range(2500)]
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.mark_online_many(users)
    assert sorted(ask("online").lines) == sorted(users)
    assert sorted(one["user"] for one in ask("online", "--json").json["users"]) == sorted(users)
    assert len(ask("online", "--json", "--limit", "1200").json["users"]) == 1200


def test_a_terminal_gets_a_table_and_colours_unless_told_not_to(
    people: herenow.Presence, server: Server
) -> None:
    code, said = on_terminal(["online"], HERENOW_URL=server.url)
    assert code == 0
    assert "\x1b[1m" in said
    assert re.search(r"bob +\S.* ago +page: /x", said)
    assert "2 members, 1 guest, 0 bots" in said
    assert "hidden" not in said
    _, plain = on_terminal(["online", "--limit", "1"], HERENOW_URL=server.url, NO_COLOR="1")
    assert "\x1b" not in plain
    assert "1 more (--limit)" in plain


@pytest.mark.parametrize("tell", [ago, last_seen])
def test_no_age_is_in_the_future_though_the_stores_clock_is_ahead(
    tell: Callable[[datetime], str],
) -> None:
    for ahead in (0, 2, 90, 7200):
        assert tell(datetime.now(UTC) + timedelta(seconds=ahead)) == "now"
    assert tell(datetime.now(UTC) - timedelta(seconds=185)) == "3 minutes ago"


def test_seen(people: herenow.Presence, ask: Call) -> None:
    done = ask("seen", "alice", "gone")
    assert done.code == 0
    [alice, gone] = [line.split("\t") for line in done.lines]
    assert alice[:2] == ["alice", "online"]
    assert gone[:2] == ["gone", "offline"]
    assert gone[2].endswith("Z")
    unknown = ask("seen", "nobody")
    assert (unknown.code, unknown.out) == (1, "nobody\toffline\t-\n")
    assert ask("seen", "carol").code == 1
    assert ask("seen", "carol", "--include-hidden").code == 0
    assert [one["online"] for one in ask("seen", "alice", "gone", "--json").json] == [True, False]


def test_why(people: herenow.Presence, ask: Call) -> None:
    done = ask("why", "bob")
    assert done.code == 0
    assert done.lines[0].startswith("bob in site: online as a member: last seen ")
    assert "window 5 minutes" in done.lines[2]
    assert any(line.startswith("session 'tab' last seen ") for line in done.lines)
    gone = ask("why", "gone")
    assert gone.code == 1
    assert "marked offline" in gone.out
    assert "leave (left)" in gone.out
    assert ask("why", "bob", "--json").json["presence"]["online"] is True


def test_rooms(people: herenow.Presence, ask: Call) -> None:
    assert ask("rooms").lines == ["site\t2\t1\t0", "doc:1\t1\t0\t0"]
    assert ask("rooms", "--limit", "1", "--include-hidden").lines == ["site\t2\t1\t0\t1"]
    assert ask("rooms", "--json").json[1] == {
        "room": "doc:1",
        "counts": {"member": 1, "guest": 0, "bot": 0},
    }
    assert ask("rooms", "--prefix", "other:").code == 1


def test_forget_asks_and_erases(people: herenow.Presence, ask: Call) -> None:
    refused = ask("forget", "alice")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert people.is_online("alice")
    assert ask("forget", "alice", "--yes").out == "forgotten in 2 rooms\n"
    assert not people.is_online("alice")
    assert ask("forget", "alice", "--yes").code == 1
    assert ask("forget", "gone", "--yes", "--json").json == {"user": "gone", "rooms": 1}


def test_on_the_oldest_server(servers: Callable[[str], Server], call: Call) -> None:
    old = servers("redis-6.2")
    old.control.flushall()
    with herenow.Presence(old.url, resolution=0) as presence:
        presence.mark_online("alice", session="tab", info={"page": "/"})
        presence.mark_online("gus", kind="guest")
        presence.mark_online("gone")
        presence.mark_offline("gone")
        presence.room("doc:1").mark_online("alice")

    def ask(*arguments: str) -> Done:
        return call(*arguments, HERENOW_URL=old.url)

    assert (ask("online").lines, ask("online", "--count").out) == (["alice"], "1\n")
    assert [one["online"] for one in ask("seen", "alice", "gone", "--json").json] == [True, False]
    assert ask("why", "alice").lines[0].startswith("alice in site: online as a member")
    assert ask("rooms").lines == ["site\t1\t1\t0", "doc:1\t1\t0\t0"]
    history = ask("history", "--step", "minute", "--last", "2m")
    assert history.code == 0
    assert "3" in [line.split("\t")[1] for line in history.lines]


def test_on_a_cluster(cluster: Cluster, call: Call) -> None:
    with herenow.Presence(cluster.url, timeout=5) as presence:
        presence.mark_online("alice")
        presence.room("doc:1").mark_online("bob")
    assert call("online", "--url", cluster.url).lines == ["alice"]
    assert len(call("rooms", "--url", cluster.url).lines) == 2
