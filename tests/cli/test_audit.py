"""``herenow audit``: the truth about keys that the recipe itself has written; it only reads."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from bench.opponents import Recipe
from herenow.recipe.auditing import bytes_a_user
from tests.cli.conftest import Call, Done
from tests.cli.reading import only_read
from tests.cli.terminals import on_terminal
from tests.servers import Cluster, Server, binary, start_server

AGES = range(280)


def write(client: Any, users: int, seed: int = 1) -> dict[str, int]:
    """Be a site by the recipe; when each user was last active."""
    recipe, dice, now = Recipe(client), random.Random(seed), time.time()
    seen: dict[str, int] = {}
    for _ in range(users * 2):
        user = f"user-{dice.randrange(users):07}"
        recipe.now = now - dice.choice(AGES)
        if recipe.now > seen.get(user, 0):
            recipe.mark_online(user)
            seen[user] = int(recipe.now)
    return seen


def truth(seen: dict[str, int], now: float) -> tuple[int, int]:
    """Whom the recipe shows, and who was active in the last five minutes."""
    shown = sum(int(now) // 60 - at // 60 < 5 for at in seen.values())
    return shown, sum(now - at < 300 for at in seen.values())


def audit(call: Call, *arguments: str) -> tuple[Done, float]:
    """Call it within one minute of the clock, and tell when."""
    while True:
        before = time.time()
        done = call("audit", *arguments)
        if before // 60 == time.time() // 60:
            return done, before


@pytest.mark.parametrize("name", ["valkey-9.1", "redis-8.2", "redis-6.2"])
def test_the_truth_about_a_site(name: str, servers: Callable[[str], Server], call: Call) -> None:
    server = servers(name)
    server.control.flushall()
    seen = write(server.control, 3000)
    seen["gone"] = int(time.time()) - 1000
    server.control.set("user-activity/gone", seen["gone"], ex=3600)
    server.control.set("user-name/alice", 1, ex=3600)
    with only_read(server) as sent:
        done, now = audit(call, server.url, "--json")
        said, later = audit(call, server.url)
    assert (done.code, done.err, said.code, said.err) == (0, "", 0, "")
    found = done.json
    shown, true = truth(seen, now)
    assert found["shown"] == shown
    assert abs(found["true"] - true) <= len(seen) * 3 // 300  # some end while the program starts
    assert found["missing"] == found["true"] - shown
    assert found["missing"] > 0 or found["seconds"] > 275
    assert 240 <= found["seconds"] < 300
    assert abs(found["seconds"] - (240 + now % 60)) < 5
    assert (found["remembered"], found["sampled"], found["came"]) == (len(seen), 1000, 0)
    keys = server.control.keys("user-activity/*")
    taken = sum(server.control.memory_usage(key) or 0 for key in keys)
    assert found["activity_bytes"] == pytest.approx(taken, rel=0.05)
    sets = server.control.keys("online-users/*")
    assert found["set_bytes"] == sum(server.control.memory_usage(key) or 0 for key in sets)
    assert found["bytes"] == found["set_bytes"] + found["activity_bytes"] + found["table_bytes"]
    assert said.lines[0].startswith("your 5 minutes is 2")
    assert f"you show {truth(seen, later)[0]:,}, true " in said.lines[0]
    assert "sunion" not in sent
    assert {"sscan", "scan", "get"} <= sent


@pytest.mark.parametrize("name", ["valkey-9.1", "valkey-8.1", "redis-8.2", "redis-6.2"])
def test_what_the_recipe_takes_is_what_the_store_grows_by(name: str, call: Call) -> None:
    with start_server(
        binary(name)
    ) as server:  # of its own: another test's memory may be freed late
        before = server.control.info("memory")["used_memory"]
        Recipe(server.control).fill([f"user-{i:07}" for i in range(20_000)], active_minutes=1)
        grown = server.control.info("memory")["used_memory"] - before
        found = call("audit", server.url, "--json").json
    assert found["remembered"] == 20_000
    assert found["bytes"] == pytest.approx(grown, rel=0.08)


def test_a_user_who_may_not_ask_for_the_tables_is_told_the_rest(server: Server, call: Call) -> None:
    write(server.control, 50)
    server.control.execute_command(
        *[
            "ACL",
            "SETUSER",
            "reader",
            "reset",
            "on",
            "nopass",
            "~*",
            "+@all",
            "-memory",
            "+memory|usage",
        ]
    )
    try:
        url = server.url.replace("redis://", "redis://reader:any@")
        found = call("audit", url, "--json").json
        said = call("audit", url)
    finally:
        server.control.acl_deluser("reader")
    assert (found["table_bytes"], said.code) == (None, 0)
    assert found["bytes"] == found["set_bytes"] + found["activity_bytes"] > 0
    assert "tables\tunknown: the store does not report its own" in said.lines


def test_on_a_cluster(cluster: Cluster, call: Call) -> None:
    client = cluster.client()
    try:
        seen = write(client, 300)
        with only_read(*cluster.nodes):
            done, now = audit(call, cluster.url, "--json")
    finally:
        client.close()
    shown, true = truth(seen, now)
    assert (done.code, done.json["shown"], done.json["remembered"]) == (0, shown, len(seen))
    assert abs(done.json["true"] - true) <= 3
    assert done.json["sampled"] == len(seen)
    assert done.json["table_bytes"] > 0


def test_minutes_and_names_of_another_site(server: Server, call: Call) -> None:
    now = int(time.time())
    for minute in range(4):
        server.control.sadd(f"on[1]:{now // 60 - minute}", f"user-{minute}")
    for age in (5, 100, 200):
        server.control.set(f"seen*:user-{age}", now - age, ex=300)
    server.control.set("seenX:other", now, ex=300)
    names = ("--minute-keys", "on[1]:", "--activity-keys", "seen*:", "--minutes", "2")
    found = audit(call, server.url, *names, "--json")[0].json
    assert (found["minutes"], found["true"], found["remembered"]) == (2, 2, 3)
    assert found["shown"] in (2, 3)  # a minute may have gone by
    server.control.flushall()


def test_what_is_no_time_is_counted_and_harms_nobody(server: Server, call: Call) -> None:
    now = int(time.time())
    server.control.set("user-activity/alice", now, ex=300)
    server.control.set("user-activity/bob", "yesterday", ex=300)
    server.control.set("user-activity/carol", "nan", ex=300)
    server.control.set(b"user-activity/\xff\n", now + 60, ex=300)
    server.control.set("user-activity/just-come", now + 60, ex=300)
    server.control.lpush("user-activity/dave", "x")
    server.control.set(f"online-users/{now // 60}", "a string", ex=300)
    server.control.sadd(f"online-users/{now // 60 - 1}", b"\xff\n")
    server.control.expire("user-activity/dave", 300)
    done, _ = audit(call, server.url)
    assert done.code == 3  # the set of this minute is no set: that is not the recipe
    assert "WRONGTYPE" in done.err
    server.control.delete(f"online-users/{now // 60}")
    done, _ = audit(call, server.url, "--json")
    assert (done.code, done.json["unreadable"], done.json["true"]) == (0, 3, 2)
    assert done.json["came"] == 1
    assert done.json["ahead"] == pytest.approx(60, abs=5)
    server.control.flushall()


def test_a_store_without_the_recipe_exits_1(server: Server, call: Call) -> None:
    done = call("audit", server.url)
    assert (done.code, done.out) == (1, "")
    assert "the store has no key of the recipe, named as online-users/<minute>" in done.err
    assert call("audit", server.url, "--json").json["remembered"] == 0


def test_a_store_that_is_away_exits_3_and_a_url_is_needed(call: Call) -> None:
    assert call("audit", "redis://localhost:1").code == 3
    assert call("audit", "http://x").code == 2
    assert call("audit").code == 2


def test_on_a_terminal(server: Server) -> None:
    seen = write(server.control, 50)
    code, said = on_terminal(["audit", server.url])
    assert code == 0
    assert said.startswith("\r\x1b[K")
    assert "\r\x1b[Kyour 5 minutes is" in said
    assert f"{len(seen)} users read" in said
    _, plain = on_terminal(["audit", server.url], NO_COLOR="1")
    assert plain.startswith("your 5 minutes is")
    assert "\x1b" not in plain


def test_what_herenow_takes_is_what_was_measured_and_between_it() -> None:
    assert bytes_a_user("Valkey", [8, 36]) == (76 + 108) / 2
    assert bytes_a_user("Redis", [28]) == 113 + (129 - 113) / 2
    assert bytes_a_user("Redis 6", [1]) == 113
    assert bytes_a_user("Redis 6", [92]) == 161 + 32
    assert bytes_a_user("Valkey", []) == 0
