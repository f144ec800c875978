"""From a URL to a client of one server, a real one, or of the embedded store."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.exceptions

from tests.callers import MAKERS, Caller
from tests.servers import Server, binary, debian, make_tls, start_server
from tests.waiting import poll

SECRET = "p@ss/w:ö?r#d[%]"  # every character that a URL gives a meaning to
FAST = "valkey-9.1"

pytestmark = pytest.mark.parametrize("maker", MAKERS)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(binary(FAST), password=SECRET) as server:
        yield server


def echo(maker: str, url: str, timeout: float = 0.25) -> bytes:
    with Caller(maker, url, timeout=timeout) as call:
        return bytes(call("ECHO", "here"))


def test_tcp(maker: str, server: Server) -> None:
    assert echo(maker, server.url) == b"here"
    assert echo(maker, server.url.replace("redis://", "valkey://")) == b"here"


def test_unix_socket(maker: str, server: Server) -> None:
    assert echo(maker, server.unix_url) == b"here"


def test_a_user_of_its_own_and_a_database(maker: str, server: Server) -> None:
    server.control.execute_command("ACL", "SETUSER", "web/1", "on", ">a:b", "~*", "+@all")
    url = f"redis://web%2F1:a%3Ab@127.0.0.1:{server.port}/3"
    with Caller(maker, url) as call:
        assert call("ACL", "WHOAMI") == b"web/1"
        call("SET", "somewhere", maker)
    assert server.client(db=3).get("somewhere") == maker.encode()
    assert echo(maker, url.replace("/3", "/?db=3")) == b"here"


def test_a_tight_acl_does_not_stop_us(maker: str, server: Server) -> None:
    server.control.execute_command("ACL", "SETUSER", "tight", "on", ">x", "~*", "+echo")
    assert echo(maker, f"redis://tight:x@127.0.0.1:{server.port}") == b"here"


def test_options_of_redis_py_stay_usable(maker: str, server: Server) -> None:
    url = f"{server.url}?protocol=3&max_connections=7&client_name=web&decode_responses=yes"
    with Caller(maker, url) as call:
        assert call("CLIENT", "GETNAME") == "web"
        assert call("HELLO")["proto"] == 3
        assert call.client.connection_pool.max_connections == 7


def test_a_wrong_password_is_said_by_the_first_command(maker: str, server: Server) -> None:
    with Caller(maker, f"redis://:guess@127.0.0.1:{server.port}") as call:
        with pytest.raises(redis.exceptions.AuthenticationError) as error:
            call("PING")
        assert "guess" not in str(error.value)


def test_tls(maker: str, tmp_path: Path) -> None:
    with start_server(debian()[1], tls=make_tls(tmp_path), password=SECRET) as secure:
        assert secure.url.startswith("rediss://")
        assert echo(maker, secure.url, timeout=1) == b"here"
        assert echo(maker, secure.url.replace("rediss://", "valkeys://"), timeout=1) == b"here"
        bare = secure.url.partition("?")[0]
        unchecked = f"{bare}?ssl_cert_reqs=none&ssl_check_hostname=no"
        assert echo(maker, unchecked, timeout=1) == b"here"
        with (  # our authority is none that the system trusts
            Caller(maker, bare, timeout=1) as call,
            pytest.raises(redis.exceptions.ConnectionError, match=r"(?i)certificate"),
        ):
            call("PING")


def test_nothing_that_is_shown_has_the_password(maker: str, server: Server) -> None:
    with Caller(maker, server.url) as call:
        call("PING")
        assert SECRET not in repr(call.connection)


def test_redis_is_imported_when_a_client_is_made(maker: str) -> None:
    connect = "connect_async" if maker == "async" else "connect"
    program = f"""
import sys
from herenow.store import check_client, check_url, {connect}
check_url("redis+cluster://h1,h2")
try:
    check_client("a string", asynchronous=False)
except ValueError:
    pass
assert "redis" not in sys.modules
{connect}("valkey://db")
assert "redis" in sys.modules
assert "valkey" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# ------------------------------------------------------------ a server that hangs or restarts


@pytest.mark.parametrize("scheme", ["redis", "unix"])
def test_a_hung_server_costs_one_timeout(maker: str, scheme: str) -> None:
    with start_server(binary(FAST), password=SECRET) as server:
        url = server.unix_url if scheme == "unix" else server.url
        with Caller(maker, url) as fresh, Caller(maker, url) as used:
            used("PING")
            server.pause()
            for call in (used, fresh, used):
                started = time.monotonic()
                # redis.asyncio makes a ConnectionError of a timeout in a unix socket's handshake
                with pytest.raises(redis.exceptions.RedisError, match=r"(?i)timeout"):
                    call("PING")
                assert 0.2 < time.monotonic() - started < 1
            server.resume()
            poll(lambda: used.succeeds("PING"), "the server's return")


def test_a_server_that_restarted_costs_no_failure(maker: str) -> None:
    with start_server(binary(FAST)) as server, Caller(maker, server.url) as call:
        assert call("PING")
        server.kill()
        assert not call.succeeds("PING")
        server.restart()
        assert call("PING")
        server.kill()
        server.restart()
        assert call("PING")


def test_more_callers_than_connections_wait(maker: str, server: Server) -> None:
    with Caller(maker, f"{server.url}?max_connections=1") as call:
        pool = call.client.connection_pool
        held = call.wait(pool.get_connection())
        started = time.monotonic()
        with pytest.raises(redis.exceptions.ConnectionError, match="No connection available"):
            call("PING")
        assert 0.2 < time.monotonic() - started < 1
        call.wait(pool.release(held))
        assert call("PING")


# ------------------------------------------------------------ the embedded store


def test_embedded_is_brought_up_again(maker: str, tmp_path: Path) -> None:
    with Caller(maker, f"embedded://{tmp_path}/st%C3%B6re") as call:
        server = call.connection.server
        assert server is not None
        assert server.directory == tmp_path / "störe"
        call("SET", "key", 1)
        for _ in range(2):
            pid = int(call("INFO", "server")["process_id"])
            kill(pid)
            assert call("GET", "key") == b"1"
            assert call("INFO", "server")["process_id"] != pid


def test_embedded_that_loads_is_waited_for(maker: str, tmp_path: Path) -> None:
    fill = "for i = 1, 50000 do redis.call('SET', KEYS[1] .. i, i) end return 1"
    with Caller(maker, f"embedded://{tmp_path}/store", timeout=1) as call:
        server = call.connection.server
        assert server is not None
        for i in range(8):
            call("EVAL", fill, 1, f"{i}:")
        kill(int(call("INFO", "server")["process_id"]))
        poll(lambda: _said(server.socket) != b"", "the new server, which loads")
        assert call("GET", "7:50000") == b"50000"


def _said(path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(path)
            asking.sendall(b"PING\r\n")
            return asking.recv(64)
        except OSError:
            return b""


@pytest.mark.parametrize("url", ["embedded://?temporary=1", "embedded:///?temporary=yes"])
def test_embedded_temporary(maker: str, url: str) -> None:
    with Caller(maker, url) as first, Caller(maker, url) as second:
        first("SET", "key", 1)
        assert second("GET", "key") is None  # each has a store of its own
        server = first.connection.server
        assert server is not None
        assert server.directory.exists()
    poll(lambda: not server.directory.exists(), "the temporary directory's end")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)

    def gone() -> bool:  # with all its threads: the last one closes the socket
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return True
        return "\nState:\tZ" in status and "\nThreads:\t1\n" in status

    poll(gone, "the end of the server")
