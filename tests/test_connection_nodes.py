"""From a URL to a client of several servers: behind sentinels, and in a cluster."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis.cluster
import redis.exceptions
import valkey.cluster

from herenow.store import check_client, client_timeout, is_cluster
from tests.callers import MAKERS, Caller
from tests.servers import (
    Sentinels,
    binary,
    debian,
    make_tls,
    start_cluster,
    start_replica,
    start_sentinels,
    start_server,
)
from tests.waiting import poll

SECRET = "p@ss/w:ö?r#d[%]"
FAST = "valkey-9.1"


# ------------------------------------------------------------ sentinels


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    with (
        start_server(binary(FAST), password=SECRET) as master,
        start_replica(master),
        start_sentinels(master, password="their own") as sentinels,
    ):
        yield sentinels


def test_a_failover_by_sentinels(sentinels: Sentinels) -> None:
    with Caller("sync", sentinels.url) as one, Caller("async", sentinels.url) as other:
        assert one("SET", "before", 1)
        assert other("GET", "before") == b"1"
        sentinels.master.control.wait(1, 1000)
        sentinels.master.kill()
        for call in (one, other):
            poll(partial(call.succeeds, "SET", "after", 1), "a write after the failover")
            assert call("GET", "before") == b"1"
        assert sentinels.master_port() != sentinels.master.port


def test_a_hung_master_or_sentinel_costs_one_timeout(sentinels: Sentinels) -> None:
    for maker in MAKERS:
        with Caller(maker, sentinels.url) as call:
            call("PING")
            sentinels.master.pause()
            started = time.monotonic()
            with pytest.raises(redis.exceptions.TimeoutError):
                call("PING")
            assert 0.2 < time.monotonic() - started < 1
            sentinels.master.resume()
            poll(partial(call.succeeds, "PING"), "the master's return")

    sentinels.nodes[0].pause()
    for maker in MAKERS:
        with Caller(maker, sentinels.url) as call:
            started = time.monotonic()
            assert call("PING")
            assert 0.2 < time.monotonic() - started < 1


@pytest.mark.parametrize("maker", MAKERS)
def test_sentinels_with_tls(maker: str, tmp_path: Path) -> None:
    with (
        start_server(debian()[1], tls=make_tls(tmp_path)) as master,
        start_sentinels(master, count=1, replicas=0) as sentinels,
    ):
        assert sentinels.url.startswith("rediss+sentinel://")
        with Caller(maker, sentinels.url, timeout=1) as call:
            assert call("PING")
        with (
            Caller(maker, sentinels.url.replace("herenow-test/", "another/"), timeout=1) as call,
            pytest.raises(redis.exceptions.ConnectionError, match="No master found"),
        ):
            call("PING")


# ------------------------------------------------------------ clusters


def test_a_cluster_s_moved_slot_and_failover() -> None:
    with (
        start_cluster(binary(FAST), replicas=1, password=SECRET) as cluster,
        Caller("sync", cluster.url) as one,
        Caller("async", cluster.url) as other,
    ):
        for call in (one, other):
            assert call("SET", "key", "1")
        old = cluster.node_of("key")
        cluster.move_slot("key", next(node for node in cluster.nodes[:3] if node is not old))
        for call in (one, other):
            assert call("GET", "key") == b"1"  # not even one call fails

        dead = cluster.node_of("other")
        for call in (one, other):
            call("SET", "other", "2")
        assert dead.control.wait(1, 5000) == 1
        dead.kill()
        for call in (one, other):
            poll(partial(call.succeeds, "GET", "other"), "an answer after the failover")
            assert call("GET", "other") == b"2"
            # each node learns for itself that the cluster is whole again
            poll(partial(call.succeeds, "GET", "key"), "an answer of another node")
            assert call("GET", "key") == b"1"


def test_a_cluster_s_batches_follow_a_moved_slot() -> None:
    with start_cluster(binary(FAST)) as cluster, Caller("sync", cluster.url) as call:
        call("SET", "a", 1)
        old = cluster.node_of("a")
        cluster.move_slot("a", next(node for node in cluster.nodes if node is not old))
        batch = call.client.pipeline()
        for key in "abcdef":
            batch.execute_command("INCRBY", key, 1)
        assert batch.execute() == [2, 1, 1, 1, 1, 1]


def test_a_hung_node_of_a_cluster_costs_one_timeout() -> None:
    with start_cluster(binary(FAST), "--cluster-node-timeout", "15000") as cluster:
        node = cluster.node_of("key")
        elsewhere = next(key for key in "abcdefgh" if cluster.node_of(key) is not node)
        for maker in MAKERS:
            with Caller(maker, cluster.url) as call:
                call("GET", "key")
                node.pause()
                started = time.monotonic()
                with pytest.raises(redis.exceptions.TimeoutError):
                    call("GET", "key")
                assert 0.2 < time.monotonic() - started < 1
                assert call("SET", elsewhere, 1)
                node.resume()
                poll(partial(call.succeeds, "SET", "key", 1), "the node's return")


def test_a_cluster_with_tls(tmp_path: Path) -> None:
    with start_cluster(debian()[1], tls=make_tls(tmp_path)) as cluster:
        assert cluster.url.startswith("rediss+cluster://")
        for maker in MAKERS:
            with Caller(maker, cluster.url, timeout=1) as call:
                assert call("SET", "key", 1)


def test_a_wrong_password_for_a_cluster_and_clients_handed_in() -> None:
    with start_cluster(binary(FAST), masters=1, password=SECRET) as cluster:
        port = cluster.nodes[0].port
        wrong = f"redis+cluster://:guess@127.0.0.1:{port}"
        with pytest.raises(redis.exceptions.RedisClusterException) as error:
            Caller("sync", wrong)
        assert "guess" not in str(error.value)
        with Caller("async", wrong) as call, pytest.raises(redis.exceptions.RedisClusterException):
            call("PING")

        for make in (redis.cluster.RedisCluster, valkey.cluster.ValkeyCluster):
            client = make("127.0.0.1", port, password=SECRET)
            check_client(client, asynchronous=False)
            assert is_cluster(client)
            with pytest.raises(ValueError, match="takes no synchronous client"):
                check_client(client, asynchronous=True)
            with pytest.raises(ValueError, match=r"not a .*ClusterPipeline"):
                check_client(client.pipeline(), asynchronous=False)  # type: ignore[no-untyped-call]
            # redis-py 8: 5 s and ten retries; valkey-py: 5 s and three
            assert client_timeout(client) == (55 if make is redis.cluster.RedisCluster else 20)
            client.close()
