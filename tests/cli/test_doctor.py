"""``herenow doctor``: what it tells of real stores, and what it finds wrong with them; it only reads."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import herenow
from bench.opponents import Recipe
from herenow.doctor import Facts, Node, Replica, examine, findings
from herenow.outbox.outbox import Outbox
from herenow.store.engine import Engine
from herenow.store.opening import opener
from tests.cli.conftest import Call, Done
from tests.cli.reading import only_read
from tests.servers import (
    Cluster,
    Server,
    binary,
    poll,
    start_cluster,
    start_replica,
    start_sentinels,
    start_server,
)

FINE = Node(
    "db:6379",
    product="Valkey",
    version="9.1.2",
    role="master",
    mode="standalone",
    latency=0.001,
    worst=0.002,
    ahead=0.0,
    uncertain=0.001,
    used=1_000_000,
    limit=0,
    policy="noeviction",
    appends=True,
    saves=False,
)
FACTS = Facts("single", (FINE,), 0.25, lacking=())


def names(done: Done) -> list[str]:
    """What was found, by the names that are for scripts."""
    return [one["name"] for one in done.json["findings"]]


@pytest.fixture
def settings(server: Server) -> Iterator[Callable[..., None]]:
    """Change the server's configuration, for one test."""
    kept: dict[str, Any] = {}

    def change(**named: Any) -> None:
        for name, value in named.items():
            option = name.replace("_", "-")
            kept.setdefault(option, server.control.config_get(option)[option])
            server.control.config_set(option, value)

    yield change
    for option, value in kept.items():
        server.control.config_set(option, value)


@pytest.mark.parametrize(
    "name, version",
    [("valkey-9.1", "Valkey 9.1."), ("redis-8.2", "Redis 8.2."), ("redis-6.2", "Redis 6.2.")],
)
def test_a_store_that_is_fine(
    name: str, version: str, servers: Callable[[str], Server], call: Call
) -> None:
    server = servers(name)
    server.control.flushall()
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.mark_online_many([f"user-{i}" for i in range(20_000)])
        presence.room("doc:1").mark_online("gus", kind="guest")
    size = server.control.memory_usage("herenow:{site}:online:member")
    assert size is not None
    with only_read(server) as sent:
        done = call("doctor", "--url", server.url)
        document = call("doctor", "--url", server.url, "--json").json
    assert (done.code, done.err) == (0, "")
    rows = dict(line.split("\t") for line in done.lines[:-2] if "in doc:1" not in line)
    assert rows["store"].startswith(version)
    assert rows["store"].endswith(f", single, 127.0.0.1:{server.port}")
    assert rows["online"] == f"20,000 members in site: {size / 20_000:.0f} bytes each"
    assert "online\t1 guest in doc:1" in done.out
    assert "no limit" in rows["memory"] or "without a limit, noeviction" in rows["memory"]
    assert done.lines[-1] == "nothing is wrong"
    [node] = document["nodes"]
    assert 0 < node["latency"] <= node["worst"] < 1
    assert abs(node["ahead"]) < 0.5
    assert document["online"][0] == {
        "room": "site",
        "kind": "member",
        "users": 20_000,
        "bytes": size,
    }
    assert (document["findings"], document["timeout"]) == ([], 0.25)
    assert {"memory", "time", "info"} <= sent


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction(policy: str, settings: Callable[..., None], ask: Call) -> None:
    settings(maxmemory="200mb", maxmemory_policy=policy)
    done = ask("doctor")
    assert done.code == 1
    [what, advice] = done.lines[-2:]
    assert what.startswith(f"! maxmemory-policy is {policy}")
    assert ("TTL" in what) is (policy == "volatile-ttl")
    assert "noeviction" in advice


def test_a_policy_that_no_limit_brings_into_force_is_no_finding(
    settings: Callable[..., None], ask: Call
) -> None:
    settings(maxmemory="0", maxmemory_policy="allkeys-lru")
    assert ask("doctor").code == 0


def test_a_store_that_is_nearly_full(
    settings: Callable[..., None], ask: Call, server: Server
) -> None:
    used = server.control.info("memory")["used_memory"]
    settings(maxmemory=int(used * 1.04), maxmemory_policy="noeviction")
    assert names(ask("doctor", "--json")) == ["memory"]


def test_what_a_user_may_not_is_named(server: Server, call: Call) -> None:
    words = (
        "reset",
        "on",
        ">x",
        "~herenow:*",
        "&herenow:*",
        "+@all",
        "-zcount",
        "-pfadd",
        "-ssubscribe",
    )
    server.control.execute_command("ACL", "SETUSER", "bob", *words)
    done = call("doctor", "--url", server.url.replace("//", "//bob:x@"), "--json")
    found = {one["name"]: one["what"] for one in done.json["findings"]}
    assert list(found) == ["scripts", "rights", "notifications"]
    assert found["rights"] == "user bob may not PFADD, ZCOUNT"
    assert "ssubscribe" in found["notifications"]
    assert "x@" not in done.out


def test_who_may_ask_nothing_is_told_so_and_not_refused(server: Server, call: Call) -> None:
    server.control.execute_command(
        "ACL", "SETUSER", "bob", "reset", "on", ">x", "~herenow:*", "+ping"
    )
    done = call("doctor", "--url", server.url.replace("//", "//bob:x@"))
    assert done.code == 1
    assert "store\tunknown" in done.out
    assert "clock\tunknown" in done.out
    assert "! scripts do not run for this user" in done.out


def test_a_time_out_that_is_long(ask: Call, server: Server, call: Call) -> None:
    assert names(ask("doctor", "--json", HERENOW_TIMEOUT="3")) == ["timeout"]
    done = call("doctor", "--url", f"{server.url}?socket_timeout=2", "--json")
    assert (names(done), done.json["timeout"]) == (["timeout"], 2.0)


def test_a_replica(call: Call) -> None:
    with start_server(binary("valkey-9.1")) as master, start_replica(master) as replica:
        document = call("doctor", "--url", master.url, "--json").json
        done = call("doctor", "--url", replica.url, "--json")
    assert (document["topology"], document["findings"]) == ("replicated", [])
    assert document["nodes"][0]["replicas"] == 1
    assert done.json["topology"] == "replica"
    assert names(done)[0] == "replica"


def test_a_replica_is_told_by_its_link_and_one_that_is_not_in_sync_is_found(call: Call) -> None:
    with start_server(binary("valkey-9.1")) as master, start_replica(master) as replica:
        fine = call("doctor", "--url", master.url)
        name = f"127.0.0.1:{replica.port}"
        assert (fine.code, fine.lines[-1]) == (0, "nothing is wrong")
        assert any(line.startswith(f"replicas\t{name} online, last ack") for line in fine.lines)
        for option in ("repl-diskless-sync-delay", "repl-timeout"):
            master.control.config_set(option, 600)  # whoever comes now waits for others
        with start_server(
            binary("valkey-9.1"), "--replicaof", "127.0.0.1", str(master.port)
        ) as late:

            def waits() -> bool:
                told = master.control.info("replication")
                return any(
                    one["port"] == late.port and one["state"] == "wait_bgsave"
                    for one in (told.get("slave0"), told.get("slave1"))
                    if one
                )

            poll(waits, "the late replica")
            done = call("doctor", "--url", master.url, "--json")
    assert (done.code, names(done)) == (1, ["replica-sync"])
    assert f"127.0.0.1:{late.port} is not in sync: wait_bgsave" in done.json["findings"][0]["what"]
    states = {one["name"]: one["state"] for one in done.json["nodes"][0]["copies"]}
    assert states == {name: "online", f"127.0.0.1:{late.port}": "wait_bgsave"}


def test_a_cluster_tells_who_has_replicas(call: Call) -> None:
    with start_cluster(binary("valkey-9.1"), masters=3, replicas=1) as cluster:
        lost, *others = cluster.nodes[cluster.masters :]
        done = call("doctor", "--url", cluster.url)
        assert (done.code, "a cluster of 3 masters with 3 replicas" in done.lines[0]) == (0, True)
        for one in others:
            assert sum(f"replicas 127.0.0.1:{one.port} online" in line for line in done.lines) == 1
        lost.kill()
        left = cluster.nodes[0].control.info
        poll(lambda: left("replication")["connected_slaves"] == 0, "the loss of a replica")
        done = call("doctor", "--url", cluster.url)
    assert (done.code, "with 2 replicas" in done.lines[0]) == (0, True)  # no fault, but told
    [alone] = [line for line in done.lines if "replicas none" in line]
    assert alone.startswith(f"127.0.0.1:{cluster.nodes[0].port}\t")


def test_sentinels(call: Call) -> None:
    with (
        start_server(binary("valkey-9.1")) as master,
        start_replica(master),
        start_sentinels(master) as sentinels,
    ):
        fine = call("doctor", "--url", sentinels.url)
        alone = call("doctor", "--url", sentinels.nodes[1].url)
        sentinels.nodes[0].kill()
        lacking = call("doctor", "--url", sentinels.url)
        unknown = call("doctor", "--url", sentinels.url.replace("herenow-test", "other"))
    assert fine.code == 0
    told = f"sentinel, 127.0.0.1:{master.port}, 1 replica, 3 of 3 sentinels answer"
    assert told in fine.lines[0]
    assert alone.code == 1
    assert "! this is a sentinel" in alone.out
    assert (unknown.code, unknown.out) == (3, "")
    assert lacking.code == 1
    assert "! 2 of 3 sentinels know the master" in lacking.out


def test_a_cluster(cluster: Cluster, call: Call) -> None:
    with herenow.Presence(cluster.url, timeout=5) as presence:
        presence.mark_online("alice")
    with only_read(*cluster.nodes):
        done = call("doctor", "--url", cluster.url)
    assert (done.code, done.err) == (0, "")
    assert "a cluster of 3 masters without replicas, 16,384 slots" in done.lines[0]
    for node in cluster.nodes:
        assert f"127.0.0.1:{node.port}\tPING " in done.out
    assert "1 member in site" in done.out
    alone = call("doctor", "--url", cluster.nodes[0].url, "--json")
    assert names(alone) == ["cluster"]


def test_a_cluster_that_lacks_a_server(call: Call) -> None:
    with start_cluster(binary("valkey-9.1")) as cluster:
        cluster.nodes[2].kill()
        done = call("doctor", "--url", cluster.url, "--json", HERENOW_TIMEOUT="0.5")
    assert done.code == 1
    assert "unavailable" in names(done)
    assert [node["unavailable"] is None for node in done.json["nodes"]].count(False) == 1


def test_a_store_that_is_away_exits_3(call: Call) -> None:
    done = call("doctor", "--url", "redis://localhost:1")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("herenow: the store is not available")


def test_a_clock_that_is_off_is_told_from_the_stores(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 10)
    engine = Engine(opener(server.url, 1.0, asynchronous=False))
    core = Outbox(
        window=None,
        retention=None,
        resolution=0,
        buffered=False,
        history=None,
        prefix="herenow:",
        clock=None,
    )
    try:
        facts = examine(engine, core, server.url, 0.25)
    finally:
        engine.close()
    [node] = facts.nodes
    assert node.ahead == pytest.approx(-10, abs=0.5)
    [finding] = findings(facts)
    assert finding.name == "clock"
    assert "10.0 s behind" in finding.what


@pytest.mark.parametrize(
    "changed, name",
    [
        ({"product": "Redis", "version": "6.0.16"}, "version"),
        ({"product": "Valkey", "version": "7.0.1"}, "version"),
        ({"write_errors": ("the snapshot",)}, "persistence"),
        ({"clients": 9_900, "most_clients": 10_000}, "clients"),
        ({"latency": 0.08, "worst": 0.1}, "latency"),
        ({"worst": 0.3}, "worst"),
        ({"replica_in_sync": False}, "sync"),
        ({"copies": (Replica("db2:6379", "online", 11.0, 4000),)}, "replica-lag"),
        ({"ahead": 3.0}, "clock"),
    ],
)
def test_what_else_is_found(changed: dict[str, Any], name: str) -> None:
    assert findings(FACTS) == []
    facts = replace(FACTS, nodes=(replace(FINE, **changed),))
    assert [one.name for one in findings(facts)] == [name]


def test_slots_that_nobody_serves_are_found() -> None:
    facts = replace(FACTS, topology="cluster", slots_served=16_000)
    [finding] = findings(facts)
    assert finding.what.startswith("384 of 16,384 slots have no server")


def test_the_embedded_store(call: Call) -> None:
    done = call("doctor")
    assert done.code == 0
    rows = dict(line.split("\t") for line in done.lines[:-1])
    assert ", embedded, " in rows["store"]
    assert rows["persists"] == "append-only file"
    assert done.err.startswith("herenow: using the embedded store in ")


@pytest.mark.parametrize("options", ["protocol=3", "decode_responses=1&protocol=3"])
def test_whatever_the_url_says_of_replies(options: str, server: Server, call: Call) -> None:
    Recipe(server.control).mark_online("alice")
    url = f"{server.url}?{options}"
    with only_read(server):
        assert call("audit", url, "--json").json["true"] == 1
        assert call("acl", "--url", url).out == call("acl").out
    assert call("migrate", "--from", url, "--url", url, "--json").json["marked"] == 1
    with only_read(server):
        assert call("migrate", "--from", url, "--url", url, "--json").json["known"] == 1
        done = call("doctor", "--url", url, "--json")
    assert (done.code, done.json["online"][0]["users"]) == (0, 1)
    assert done.json["nodes"][0]["product"] == "Valkey"


def test_a_store_that_wants_a_password_exits_3(call: Call) -> None:
    with start_server(binary("valkey-9.1"), password="secret") as server:
        done = call("doctor", "--url", server.url.replace(":secret@", ""))
        fine = call("doctor", "--url", server.url)
    assert (done.code, done.out) == (3, "")
    assert fine.code == 0
    assert "secret" not in fine.out
