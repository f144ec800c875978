"""``herenow acl``: a user with these rights can do all that herenow does, and nothing else."""

import contextlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

import herenow
import herenow.lua
from herenow.store import rights
from tests.cli.conftest import Call
from tests.cli.walking import walk
from tests.servers import Cluster, Server

SERVERS = ["valkey-9.1", "redis-8.2", "redis-6.2"]
OF_REDIS_PY = {"client|setinfo", "client"}
"""What redis-py tells of itself on every connection, whether it may or not."""


def make_user(client: Any, words: list[str]) -> None:
    client.execute_command("ACL", "SETUSER", words[2], "reset", *words[3:])
    client.execute_command("ACL", "LOG", "RESET")


def words_of(call: Call, *arguments: str) -> list[str]:
    done = call("acl", *arguments)
    assert (done.code, done.err) == (0, "")
    [line] = done.lines
    words = shlex.split(line)
    assert words[:5] == ["ACL", "SETUSER", "herenow", "on", ">PASSWORD"]
    return words


def denied(client: Any) -> set[str]:
    """What was denied to somebody since the user was made: commands, keys, channels."""
    return {str(one["object"]).lower() for one in client.acl_log()} - OF_REDIS_PY


def as_user(url: str) -> str:
    return url.replace("://", "://herenow:PASSWORD@").replace("/0", "/1")


@pytest.fixture(params=SERVERS)
def of_each(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    server = servers(request.param)
    server.control.flushall()
    return server


def test_the_whole_api_runs_by_these_rights_and_uses_each_of_them(
    of_each: Server, call: Call
) -> None:
    words = words_of(call, "--url", of_each.url)
    make_user(of_each.control, words)
    of_each.control.config_resetstat()
    walk(as_user(of_each.url))
    assert denied(of_each.control) == set()
    stats = of_each.control.info("commandstats")
    used = {name.removeprefix("cmdstat_") for name in stats}
    allowed = {word[1:] for word in words if word[0] == "+"}
    assert allowed - used == set()
    doctor = call("doctor", "--url", as_user(of_each.url), "--json").json
    assert doctor["findings"] == []
    assert doctor["lacking"] in ([], None)


@pytest.mark.parametrize(
    "command", ["zscore", "pfadd", "xtrim", "ssubscribe", "sunsubscribe", "info"]
)
def test_a_right_that_lacks_is_noticed(command: str, server: Server, call: Call) -> None:
    words = [word for word in words_of(call) if word != f"+{command}"]
    make_user(server.control, words)
    with contextlib.suppress(herenow.StoreError):
        walk(as_user(server.url))
    assert command in denied(server.control)


def test_nothing_else_may_be_touched(of_each: Server, call: Call) -> None:
    make_user(of_each.control, words_of(call, "--url", of_each.url))
    client = of_each.client(username="herenow")
    client.connection_pool.connection_kwargs["password"] = "PASSWORD"
    assert client.exists("herenow:{site}:meta") == 0
    for command in (
        ("GET", "session:1"),
        ("EXISTS", "herenowX"),
        ("EVAL", "return redis.call('GET', KEYS[1])", 1, "session:1"),
        ("EVAL", "return redis.call('DEL', KEYS[1])", 1, "herenow:x"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("PUBLISH", "news", "x"),
        ("ACL", "WHOAMI"),
    ):
        with pytest.raises((redis.exceptions.NoPermissionError, redis.exceptions.ResponseError)):
            client.execute_command(*command)
    assert len(of_each.control.acl_log()) >= 9


def test_on_a_cluster(cluster: Cluster, call: Call) -> None:
    words = words_of(call, "--url", cluster.url)
    for node in cluster.nodes:
        make_user(node.control, words)
        node.control.config_resetstat()
    walk(as_user(cluster.url))
    used: set[str] = set()
    for node in cluster.nodes:
        assert denied(node.control) == set()
        used |= {name.removeprefix("cmdstat_") for name in node.control.info("commandstats")}
    idle = {word[1:] for word in words if word[0] == "+"} - used
    assert idle == {"asking"}  # while a slot moves


def test_every_command_in_the_scripts_is_in_the_list() -> None:
    folder = Path(herenow.lua.__file__).parent
    called = {
        command
        for path in folder.rglob("*.lua")
        for command in re.findall(r"call\('([A-Z]+)'", path.read_text())
    }
    assert called <= {*rights.KEYED, *rights.KEYLESS, *rights.RINGING}


def test_prefix_names_and_servers_by_hand(call: Call) -> None:
    words = words_of(call, "--prefix", "on[line]*:")
    assert r"~on\[line\]\*:*" in words
    assert r"&on\[line\]\*:*" in words
    assert "+spublish" in words
    assert "+publish" not in words
    old = words_of(call, "--redis-6")
    assert {"+publish", "+subscribe"} <= set(old)
    assert not {"+spublish", "+ssubscribe"} & set(old)
    assert "+cluster|slots" in words_of(call, "--cluster")
    document = call("acl", "--user", "bob", "--json").json
    assert (document["user"], document["rules"][0]) == ("bob", "on")
    assert call("acl", "--user", "a b").code == 2
    assert call("acl", "--url", "redis://localhost:1").code == 3
