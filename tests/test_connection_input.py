"""What is refused before anything is sent: wrong URLs, wrong clients; and what clients tell."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.sentinel
import valkey
import valkey.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

import herenow
from herenow import aio
from herenow.store import (
    check_client,
    check_url,
    client_timeout,
    connect,
    connect_async,
    exceptions_of,
    is_cluster,
)
from herenow.store.opening import same_store

GOOD_URLS = [
    "redis://",
    "redis://localhost",
    "REDIS://db/0",
    "redis://db:6379/15/",
    "redis://:p%40ss@db",
    "redis://user@db",
    "redis://user:p@[ss@db",
    "redis://[::1]:6379/0",
    "redis://[fe80::1]",
    "valkey://db_1/?socket_timeout=1.5&health_check_interval=30",
    "rediss://db?ssl_cert_reqs=none&ssl_ca_certs=%2Fca.pem&ssl_min_version=771",
    "valkeys://db?ssl_check_hostname=False",
    "unix:///run/store.sock",
    "unix://user:pass@/run/store.sock?db=3",
    "redis+sentinel://h1,h2:26380,[::1]/service",
    "redis+sentinel://u:p@h1:1/my%20service/2?sentinel_username=s&sentinel_password=t",
    "rediss+sentinel://h1/service?ssl_ca_certs=x",
    "valkey+sentinel://h1/service",
    "redis+cluster://h1,h2:7000,[::1]:7001",
    "rediss+cluster://:p@h1/0?ssl_ca_certs=x",
    "valkeys+cluster://h1",
    "embedded://",
    "embedded:///",
    "embedded:///var/lib/site%20one",
    "embedded://?temporary=1",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_good_urls(url: str) -> None:
    check_url(url)


BAD_URLS = [
    (None, "a string, not NoneType"),
    (b"redis://", "a string, not bytes"),
    ("", "begins with redis://"),
    ("localhost:6379", "begins with redis://"),
    ("http://SECRET@db", "begins with redis://"),
    ("redis:/db", "begins with redis://"),
    ("redis+tls://db", "begins with redis://"),
    ("redis+single://db", "begins with redis://"),
    ("redis+://db", "begins with redis://"),
    ("sentinel://db", "begins with redis://"),
    ("unix+cluster:///s", "begins with redis://"),
    ("embedded+sentinel:///s", "begins with redis://"),
    ("redis://:SEC/RET@db", "percent-encoded"),
    ("redis://:SEC?RET@db", "percent-encoded"),
    ("redis://:SEC#RET@db", "has no # in it"),
    ("redis://:SEC RET@d b", "the form is redis://"),
    ("redis://db:SECRET", "the form is redis://"),
    ("redis://db:0", "the form is redis://"),
    ("redis://db:65536", "the form is redis://"),
    ("redis://db:\uff16", "the form is redis://"),
    ("redis://:6379", "the form is redis://"),
    ("redis://::1", "IPv6 host stands in brackets"),
    ("redis://[::1", "the form is redis://"),
    ("redis://db/zero", "the form is redis://"),
    ("redis://db/-1", "the form is redis://"),
    ("redis://db/1/2", "the form is redis://"),
    ("redis://db?db=x", "wrong value for db"),
    ("redis://db?protocol=4", "wrong value for protocol"),
    ("redis://db?socket_timeout=0", "wrong value for socket_timeout"),
    ("redis://db?socket_timeout=nan", "wrong value for socket_timeout"),
    ("redis://db?max_connections=0", "wrong value for max_connections"),
    ("redis://db?decode_responses=perhaps", "wrong value for decode_responses"),
    ("redis://db?retries=3", "unknown option .*max_connections"),
    ("redis://db?ssl_ca_certs=x", "unknown option"),
    ("redis://db?temporary=1", "unknown option"),
    ("redis://db?sentinel_password=SECRET", "unknown option"),
    ("rediss://db?ssl_cert_reqs=maybe", "wrong value for ssl_cert_reqs"),
    ("redis://h1,h2", "several hosts are for"),
    ("unix://run/store.sock", "the form is unix://"),
    ("unix://", "the form is unix://"),
    ("unix:///", "the form is unix://"),
    ("unix:///" + "x" * 107, "at most 107 bytes"),
    ("unix:///s?socket_keepalive=1", "unknown option"),
    ("redis+sentinel://h1", "the form is redis\\+sentinel://"),
    ("redis+sentinel:///service", "the form is redis\\+sentinel://"),
    ("redis+sentinel://h1,/service", "the form is redis\\+sentinel://"),
    ("redis+sentinel://h1/service/x", "the form is redis\\+sentinel://"),
    ("redis+cluster://", "the form is redis\\+cluster://"),
    ("redis+cluster://h1/1", "database 0 alone"),
    ("redis+cluster://h1?db=1", "database 0 alone"),
    ("redis+cluster://h1?health_check_interval=3", "unknown option"),
    ("embedded://directory", "the form is embedded:///absolute"),
    ("embedded://SECRET@/directory", "the form is embedded:///absolute"),
    ("embedded:///directory?temporary=1", "temporary or has a directory"),
    ("embedded:///directory?fsync=always", "unknown option .*temporary"),
    ("embedded://?temporary=perhaps", "wrong value for temporary"),
]


@pytest.mark.parametrize("url, rule", BAD_URLS)
def test_bad_urls(url: Any, rule: str) -> None:
    for check in (check_url, connect, connect_async):
        with pytest.raises(ValueError, match=rule) as error:
            check(url)
        assert not any(piece in str(error.value) for piece in ("SEC", "RET"))


# ------------------------------------------------------------ clients handed in


class OurRedis(redis.Redis):
    """What a site may make of it."""


CLIENTS: list[tuple[Callable[[], Any], bool]] = [
    (redis.Redis, False),
    (OurRedis, False),
    (valkey.Valkey, False),
    (redis.asyncio.Redis, True),
    (valkey.asyncio.Valkey, True),
    (lambda: redis.asyncio.RedisCluster("127.0.0.1", 1), True),
    (lambda: valkey.asyncio.ValkeyCluster("127.0.0.1", 1), True),
]


@pytest.mark.parametrize("make, asynchronous", CLIENTS)
def test_clients_of_both_libraries(make: Callable[[], Any], asynchronous: bool) -> None:
    client = make()
    check_client(client, asynchronous=asynchronous)
    with pytest.raises(ValueError, match=r"a client is a redis.* takes no a?synchronous client"):
        check_client(client, asynchronous=not asynchronous)
    assert is_cluster(client) is ("Cluster" in type(client).__name__)
    assert exceptions_of(client).__name__ == (
        "valkey.exceptions" if "valkey" in type(client).__module__ else "redis.exceptions"
    )


@pytest.mark.parametrize(
    "client",
    [
        None,
        "redis://db",
        7,
        object(),
        redis.Redis,
        redis.ConnectionPool(),
        redis.Redis().pipeline(),
        valkey.Valkey().pipeline(),
        redis.asyncio.Redis().pipeline(),
        redis.sentinel.Sentinel([("127.0.0.1", 1)]),
    ],
    ids=lambda client: type(client).__qualname__,
)
def test_what_is_no_client(client: Any) -> None:
    for asynchronous in (False, True):
        with pytest.raises(ValueError, match="a client is a redis"):
            check_client(client, asynchronous=asynchronous)


def test_what_a_hung_server_costs_by_a_client_handed_in() -> None:
    once = Retry(NoBackoff(), 0)
    assert client_timeout(redis.Redis()) == 55.0  # redis-py 8: 5 s and ten retries
    assert client_timeout(redis.asyncio.Redis()) == 55.0
    assert client_timeout(redis.Redis(socket_timeout=0.5, retry=once)) == 0.5
    assert client_timeout(redis.Redis(socket_timeout=None)) is None
    assert client_timeout(redis.Redis(retry=Retry(NoBackoff(), -1))) is None
    assert client_timeout(valkey.Valkey()) is None
    assert client_timeout(valkey.Valkey(socket_timeout=2)) == 2.0
    for make in (redis.asyncio.RedisCluster, valkey.asyncio.ValkeyCluster):
        client: Any = make("127.0.0.1", 1, socket_timeout=0.5)
        assert client_timeout(client) in (5.5, 2)  # ten retries in redis-py 8, three in valkey-py
    for url in ("redis://db", "unix:///s", "redis+sentinel://db/service"):
        assert client_timeout(connect(url).client) == 0.25
        assert client_timeout(connect_async(url).client) == 0.25
    assert client_timeout(connect_async("redis+cluster://db", timeout=0.5).client) == 0.5


@pytest.mark.parametrize(
    "url, of_its_own",
    [
        ("redis://temporary-cache:6379/0", False),
        ("redis://temporary:temporary@db/0?client_name=temporary", False),
        ("redis+sentinel://h1/temporary=1", False),
        ("unix:///run/temporary=1/store.sock", False),
        ("embedded:///var/lib/temporary", False),
        ("embedded:///var/lib/site?temporary=0", False),
        ("embedded://?temporary=no", False),
        ("embedded://?temporary=1", True),
        ("embedded:///?temporary=Yes", True),
        ("embedded://?%74emporary=on", True),
    ],
)
def test_a_store_is_of_its_own_by_its_option_and_nothing_else(url: str, of_its_own: bool) -> None:
    assert (same_store(url) is None) is of_its_own
    presence = herenow.Presence(url)
    if of_its_own:
        with pytest.raises(ValueError, match="the URL of a store that others can open"):
            aio.asynchronous(presence)
    else:
        assert same_store(url) == same_store(url)
        aio.asynchronous(presence)
