"""What comes from outside: malformed or enormous, it gets a 4xx that names the rule, and does no harm."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service.conftest import API_KEY, Serve, bearer, token

USERS = "/v1/rooms/site/users"


@pytest.mark.parametrize(
    "method, path, status, rule",
    [
        ("GET", f"{USERS}?limit=0", 400, "a whole number from 1 to 1000"),
        ("GET", f"{USERS}?limit=1001", 400, "a whole number from 1 to 1000"),
        ("GET", f"{USERS}?limit={'9' * 5000}", 400, "a whole number"),
        ("GET", f"{USERS}?limit=5&limit=6", 400, "limit comes at most once"),
        ("GET", f"{USERS}?limt=5", 400, "there are limit, cursor, window, kind, hidden"),
        ("GET", f"{USERS}?cursor=x", 400, "a cursor is one that a page gave"),
        ("GET", f"{USERS}?cursor=%2B%2F%2F%2B", 400, "a cursor is one that a page gave"),
        ("GET", f"{USERS}?cursor={'A' * 10000}", 400, "a cursor is one that a page gave"),
        ("GET", f"{USERS}?cursor={'A' * 100}", 404, "a cursor is one that a page gave"),
        ("GET", f"{USERS}?window=-1", 400, "seconds"),
        ("GET", f"{USERS}?window=nan", 400, "seconds"),
        ("GET", f"{USERS}?window=0", 400, "more than 0"),
        ("GET", f"{USERS}?kind=owner", 400, "kind must be one of member, hidden, guest, bot"),
        ("GET", f"{USERS}?hidden=1", 400, "true or false"),
        ("GET", f"{USERS}?%ff=1", 400, "UTF-8"),
        ("GET", f"{USERS}/%00", 400, "control character"),
        ("GET", f"{USERS}/%ff", 400, "UTF-8"),
        ("GET", f"{USERS}/%ed%a0%80", 400, "UTF-8"),
        ("GET", f"{USERS}/{'a' * 257}", 400, "at most 256 UTF-8 bytes"),
        ("GET", f"/v1/rooms/{'a' * 129}", 400, "at most 128 UTF-8 bytes"),
        ("GET", f"/v1/rooms/{'a' * 3000}", 414, "a path has at most"),
        ("GET", f"{USERS}?cursor={'A' * 61000}", 414, "a query has at most 60000 bytes"),
        ("GET", f"{USERS}?{'&'.join(['limit=1'] * 700)}", 400, "at most 600 parts"),
        ("GET", "/v1/rooms/site/history?start=yesterday", 400, "RFC 3339"),
        ("GET", "/v1/rooms/site/history?start=2026-01-03T16:00:00", 400, "RFC 3339"),
        ("GET", "/v1/rooms/site/uniques?kind=guest&days=2", 404, "days is 1"),
        ("GET", "/v1/rooms/site/uniques?days=0", 400, "from 1 to 400"),
        ("GET", "/v1/rooms/site/events?after=x", 400, "id"),
        ("GET", f"/v1/events?{'&'.join(f'room=r{i}' for i in range(33))}", 400, "at most 32 times"),
        ("GET", f"/v1/events?{'&'.join(f'user=u{i}' for i in range(501))}", 400, "at most 500"),
        ("GET", "/v1/events?user=%00", 400, "control character"),
        ("GET", f"/v1/events?session={'s' * 129}", 400, "at most 128"),
        ("GET", "/nothing", 404, "no such path"),
        ("GET", "/v1/rooms/site/", 404, "no such path"),
        ("POST", "/v1/rooms", 405, "other verbs"),
        ("TRACE", "/v1/rooms", 405, "other verbs"),
    ],
)
async def test_a_bad_path_or_query_is_refused(
    api: httpx.AsyncClient, method: str, path: str, status: int, rule: str
) -> None:
    answer = await api.request(method, httpx.URL(f"http://service.test{path}"))
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert rule in answer.json()["detail"]


@pytest.mark.parametrize(
    "body, status, rule",
    [
        (b"{", 400, "the body must be JSON in UTF-8; got b'{'"),
        (b"[]", 400, "a JSON object"),
        (b"\xff{}", 400, "JSON in UTF-8"),
        (b'{"info": NaN}', 400, "JSON in UTF-8"),
        (b"[" * 10_000, 400, "JSON in UTF-8"),
        (b'{"away": "yes"}', 400, "away must be true, false or null; got 'yes'"),
        (b'{"kind": 3}', 400, "kind must be one of"),
        (b'{"session": 3}', 400, "a string"),
        (b'{"session": "\\ud800"}', 400, "lone surrogate"),
        (b'{"info": []}', 400, "info must be a JSON object or null; got []"),
        (json.dumps({"info": {"a": "x" * 1100}}).encode(), 400, "at most 1024 bytes"),
        (b'{"sesion": "a"}', 400, "there are kind, session, away, info"),
        (b" " * 20_000, 413, "at most 16384 bytes"),
    ],
)
async def test_a_bad_body_is_refused_and_marks_nobody(
    api: httpx.AsyncClient, body: bytes, status: int, rule: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.put(f"{USERS}/alice", content=body, headers=headers)
    assert answer.status_code == status
    assert rule in answer.json()["detail"]
    assert not (await api.get(f"{USERS}/alice")).json()["online"]


async def test_a_longer_window_than_the_rooms_is_the_rooms(api: httpx.AsyncClient) -> None:
    await api.put(f"{USERS}/alice", json={})
    for window in ("300", "99999999", "1e9"):
        answer = await api.get(f"{USERS}?window={window}")
        assert [one["user"] for one in answer.json()["users"]] == ["alice"]


async def test_of_a_long_time_the_newest_samples_are_sent(api: httpx.AsyncClient) -> None:
    await api.put(f"{USERS}/alice", json={})
    answer = await api.get("/v1/rooms/site/history?start=1970-01-01T00:00:00Z&step=minute")
    assert [one["people"] for one in answer.json()["samples"]][:1] == [1]
    none = await api.get("/v1/rooms/site/history?start=2026-01-03T16:00Z&end=2026-01-02T16:00Z")
    assert none.json()["samples"] == []


async def test_a_405_names_every_verb(api: httpx.AsyncClient) -> None:
    answer = await api.post(f"{USERS}/alice", json={})
    assert answer.status_code == 405
    assert {one.strip() for one in answer.headers["allow"].split(",")} == {
        *("GET", "HEAD", "PUT", "DELETE")
    }


async def test_a_body_of_another_type_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.put(f"{USERS}/alice", content=b"{}", headers={"Content-Type": "text/html"})
    assert answer.status_code == 415


@pytest.mark.parametrize("users", [[], ["a"] * 501, "alice", [1.5], [None], [{}]])
async def test_a_list_of_users_is_bounded_and_of_users(api: httpx.AsyncClient, users: Any) -> None:
    answer = await api.post("/v1/rooms/site/lookup", json={"users": users})
    assert answer.status_code == 400


async def test_names_hold_whatever_the_rules_allow(api: httpx.AsyncClient) -> None:
    """Slashes, dots, percents and letters of any script come through a path as they are."""
    for room, user in (
        ("doc/1", "a/b"),
        ("..", "."),
        ("50%", "?#&=+ "),
        ("räume", "名前"),
        ("%2F", "%"),
    ):
        quoted = [
            httpx.QueryParams({"": name}).__str__()[1:].replace("+", "%20") for name in (room, user)
        ]
        path = httpx.URL(
            f"http://service.test/v1/rooms/{quoted[0]}/users/{quoted[1]}".replace("/.", "/%2E")
        )
        assert (await api.put(path, json={})).status_code == 201, (room, user)
    told = {one["room"] for one in (await api.get("/v1/rooms")).json()["rooms"]}
    assert told == {"doc/1", "..", "50%", "räume", "%2F"}


async def test_a_33rd_session_is_refused_and_the_others_stay(api: httpx.AsyncClient) -> None:
    for number in range(32):
        await api.put(f"{USERS}/alice", json={"session": str(number)})
    answer = await api.put(f"{USERS}/alice", json={"session": "one more"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "a user has at most 32 sessions")
    assert len((await api.get(f"{USERS}/alice")).json()["sessions"]) == 32


# ------------------------------------------------------------ on a real socket


def _raw(address: str, *parts: bytes) -> bytes:
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=10) as line:
        try:
            for part in parts:
                line.sendall(part)
        except OSError:
            pass  # it answered before it had heard all
        answer = b""
        try:
            while part := line.recv(65536):
                answer += part
        except OSError:
            pass
        return answer


def test_what_is_no_request_gets_a_4xx_and_the_service_goes_on(serve: Serve) -> None:
    address = serve()
    head = f"Authorization: Bearer {API_KEY}\r\nHost: x\r\nConnection: close\r\n".encode()
    put = b"PUT /v1/rooms/site/users/alice HTTP/1.1\r\n" + head
    huge = [b"x" * 65536] * 160
    cases = {
        "no HTTP": (b"\x16\x03\x01\x00\xa5" * 50 + b"\r\n\r\n",),
        "an enormous header": (b"GET /healthz HTTP/1.1\r\n" + head + b"X: ", *huge),
        "a large header": (
            b"GET /healthz HTTP/1.1\r\n" + head + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
        ),
        "many headers": (b"GET /healthz HTTP/1.1\r\n" + head + b"a: b\r\n" * 9_000 + b"\r\n",),
        "an enormous path": (b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\n" + head + b"\r\n",),
        "an enormous body": (put + b"Content-Length: 99999999\r\n\r\n", *huge),
        "an enormous body in chunks": (
            put + b"Transfer-Encoding: chunked\r\n\r\n",
            *[b"10000\r\n" + b" " * 65536 + b"\r\n"] * 20,
        ),
        "an enormous query": (
            b"GET /v1/rooms?cursor=" + b"x" * 60_000 + b" HTTP/1.1\r\n" + head + b"\r\n",
        ),
        "two tokens": (b"GET /v1/rooms?token=a&token=b HTTP/1.1\r\n" + head + b"\r\n",),
        "a lone credential": (
            b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n\r\n",
        ),
    }
    for name, parts in cases.items():
        answer = _raw(address, *parts)
        assert answer.startswith(b"HTTP/1.1 4"), (name, answer[:200])
    assert httpx.get(f"{address}/healthz").json() == {"ok": True}


def test_a_token_is_in_no_log(serve: Serve, tmp_path: Any) -> None:
    address = serve("--access-log")
    secret = token("alice")
    httpx.get(f"{address}/v1/rooms", params={"token": secret, "limit": 5})
    httpx.get(f"{address}/v1/rooms", headers=bearer(secret))
    httpx.get(f"{address}/v1/rooms/doc%2F1", headers=bearer(secret))
    [log] = [one.read_text() for one in tmp_path.glob("serve-*.log")]
    assert "GET /v1/rooms?limit=5" in log
    assert secret not in log
    assert secret[-20:] not in log


def test_a_keep_alive_connection_serves_after_a_refusal(serve: Serve) -> None:
    where = urlsplit(serve())
    line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    for _ in range(3):
        line.request("PUT", f"{USERS}/alice", body=b"{", headers=bearer(API_KEY))
        answer = line.getresponse()
        assert answer.status == 400
        answer.read()
    line.close()
