"""Whatever comes from outside is answered with less than 500: every route, by types, extremes first.

A route or a parameter that is added is tried by itself: all is made from the table of endpoints.
"""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

import herenow
from herenow.service import Service, create_app
from herenow.service.calls import Endpoint
from herenow.service.endpoints import ENDPOINTS
from herenow.service.parameters import fields_of
from tests.service.conftest import API_KEY, token

MOMENTS = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "0001-01-02T00:00:00-23:59",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-23:59",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00+23:59",
    "9998-12-31T23:59:59.999999-23:59",
    "2026-01-03T16:00:00+23:59:59.999999",
    "2026-01-03T24:00:00Z",
    "2026-W01-1T00:00:00Z",
    "2026-01-03",
)
NUMBERS = (
    *("0", "-0", "-1", "1", "1000", str(2**31), str(2**53 + 1), str(2**63), str(2**64), "9" * 400),
    *(
        "1e308",
        "1e400",
        "1e-400",
        "nan",
        "-inf",
        "0x10",
        "1_0",
        "+1",
        " 1",
        "1.5",
        "\u0661",
        "\u00b2",
    ),
)
TEXTS = (
    *(
        "",
        " ",
        "\x00",
        "\x1f",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202e",
        "\ufeff",
        "..",
        "/",
        "a/b",
        "//",
    ),
    *("%", "%zz", "\r\n", '"', "\\", "{room}", "true", "null", "[]", "alice", "member", "hidden"),
    *("a" * 128, "a" * 129, "a" * 2000, "\u00e9" * 64, "\U0001f600" * 64, "\U0001f600" * 65),
)
IDS = (
    *(
        "c",
        "0",
        "1-0",
        "d0-0",
        "9" * 16,
        "9" * 17,
        "d" + "9" * 16 + "-" + "9" * 16,
        "1-h",
        "1-1-h0",
    ),
    *(
        "1-1-h" + "f" * 40,
        "r",
        "rAAAA",
        "r" + "_" * 400,
        "r" + "A" * 401,
        "AAAA",
        "A" * 400,
        "-" * 8,
    ),
)
RAW = (
    "%",
    "%f",
    "%00",
    "%ff",
    "%ed%a0%80",
    "%c0%80",
    "%F4%90%80%80",
    "%2F",
    "%252F",
    "+",
    "*" * 500,
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, -0.0, 2**31, 2**63, 2**64, 10**400, 1e308, -1e-308),
    *([], {}, [[]], [None], {"": None}, {"a": {"b": []}}, [0] * 1001, ["a", ["a"]], "\ud800"),
    *TEXTS,
    *MOMENTS[:2],
)
HEADERS: Mapping[str, tuple[str, ...]] = {
    "origin": ("http://[", "http://[::1", "null", "", "://", "http://a:99999999", "\xff"),
    "host": ("", "[", "[::1", "]:", "a:b:c", ":" * 50, "\xff", "a:" + "9" * 500),
    "cookie": ("", "=", ";;;", "herenow", 'a="\\777"', "\xff=\xff", "herenow-x=" + "a" * 5000),
    "authorization": ("", "Bearer", "bearer  ", "Bearer a b", "Basic \xff", "Bearer \xff", "Bearer ..."),
    "accept": ("", "*", ";q=", "text/plain;q=nan;version=", "a/b;version=9;escaping=x", "a/b;" * 900),
    "accept-encoding": ("", "gzip;q=0", "gzip;q=x", "\xff", ",,,"),
    "content-type": ("", ";", "application/json;charset=\xff", "application/json; charset=utf-16"),
    "content-length": ("", "-1", "x", "\xb2", "9" * 500, "1, 1"),
    "last-event-id": (*IDS, "\xff", "\x00"),
    "if-none-match": ("", '"', "*", "\xff", 'W/"'),
    "if-modified-since": ("", "0", "Mon, 01 Jan 0001 00:00:00 GMT", "\xff"),
    "range": ("bytes=", "bytes=9-1", "bytes=-" + "9" * 400),
    "x-forwarded-for": ("", "x", "\xff", "[::"),
    "access-control-request-method": ("", "\xff", "PUT"),
}  # fmt: skip
BODIES: Mapping[str, dict[str, Any]] = {
    "/v1/rooms/{room}/sightings": {"sightings": ["alice"]},
    "/v1/rooms/{room}/lookup": {"users": ["alice"]},
    "/v1/counts": {"rooms": ["site"]},
    "/v1/beacon": {"token": token("alice")},
}


class Asked(NamedTuple):
    """A request, as a server hands it on: bytes in latin-1."""

    method: str
    path: str
    query: str = ""
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


def _address(one: Endpoint, **names: str) -> str:
    return one.path.format(**{"room": "site", "user": "alice"} | names)


def _paths(one: Endpoint) -> Iterator[Asked]:
    for name in one.path_parameters:
        for raw in (*RAW, *(quote(text, safe="") for text in (*TEXTS, *NUMBERS))):
            yield Asked(one.method, _address(one, **{name.name: raw}), body=BODIES.get(one.path))


def _queries(one: Endpoint) -> Iterator[Asked]:
    names = [each.name for each in fields_of(one.query)]
    queries = [
        f"{name}={raw}"
        for name in (*names, "unknown", "token")
        for raw in (*RAW, *(quote(text, safe="") for text in (*MOMENTS, *NUMBERS, *TEXTS, *IDS)))
    ]
    if {"start", "end"} <= {*names}:
        queries += [
            f"start={quote(start)}&end={quote(end)}&step={step}"
            for start, end in itertools.product(MOMENTS, MOMENTS)
            for step in ("minute", "day")
        ]
    for query in queries:
        yield Asked(one.method, _address(one), query, BODIES.get(one.path))


def _bodies(one: Endpoint) -> Iterator[Asked]:
    if one.body is None:
        return
    whole = BODIES.get(one.path, {})
    broken = (b"", b"\xff", b"{", b"[" * 9999, b'{"a":1e9999}', b"\xef\xbb\xbf{}")
    fields = [
        {**whole, each.name: value}
        for each in fields_of(one.body)
        for plain in VALUES
        for value in (plain, [plain])
    ]
    for body in (*broken, *VALUES, *fields):
        yield Asked(one.method, _address(one), body=body)


def _heads(one: Endpoint) -> Iterator[Asked]:
    for header, values in HEADERS.items():
        for value in values:
            for times in (1, 2):
                headers = ((header, value),) * times
                yield Asked(one.method, _address(one), body=BODIES.get(one.path), headers=headers)


async def _status(service: Service, asked: Asked, credential: str | None) -> tuple[int, bytes]:
    """Ask, and go as soon as a stream has begun."""
    begun = asyncio.Event()
    status, said = 0, b""
    content = asked.body if isinstance(asked.body, bytes) else json.dumps(asked.body).encode()
    content = b"" if asked.body is None else content
    waiting = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, said
        status = message.get("status", status)
        said += message.get("body", b"")[:5000]
        begun.set()

    headers = [(name.encode(), value.encode("latin-1")) for name, value in asked.headers]
    if credential is not None and not any(name == b"authorization" for name, _ in headers):
        headers.append((b"authorization", f"Bearer {credential}".encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode("latin-1"),
        "query_string": asked.query.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("service.test", 80),
    }
    await asyncio.wait_for(service(scope, receive, send), 30)
    return status, said


async def _holds(service: Service, asked: Asked, credential: str | None) -> None:
    try:
        status, said = await _status(service, asked, credential)
    except Exception as error:  # the service's own, that it did not foresee
        raise AssertionError(f"{asked!r:.500}: {error!r:.300}") from error
    assert 200 <= status < 500, f"{status} {asked!r:.500}"
    if status >= 400:
        assert json.loads(said)["detail"], asked


@pytest.mark.parametrize("one", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
async def test_no_value_breaks_a_route(service: Service, one: Endpoint) -> None:
    credential = API_KEY if one.path != "/v1/login" else token("alice", scope="admin")
    for asked in (*_paths(one), *_queries(one), *_bodies(one), *_heads(one)):
        await _holds(service, asked, credential)


@pytest.mark.parametrize("one", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
async def test_no_header_without_a_credential_breaks_a_route(
    service: Service, one: Endpoint
) -> None:
    for asked in _heads(one):
        await _holds(service, asked, None)


async def test_no_header_breaks_a_route_while_the_store_is_unavailable() -> None:
    app = create_app(
        herenow.AsyncPresence("redis://127.0.0.1:1"), api_key=API_KEY, rate_limit="false"
    )
    [rooms] = [one for one in ENDPOINTS if (one.method, one.path) == ("GET", "/v1/rooms")]
    for asked in _heads(rooms):
        status, said = await _status(app, asked, API_KEY)
        assert status in {400, 401, 503}, (asked, status)
        assert json.loads(said)["detail"]
    await app.aclose()


async def test_no_noise_breaks_the_service(service: Service) -> None:
    """Pieces of requests thrown together: the same ones in every run."""
    dice = random.Random(15)
    pieces = (
        *RAW,
        *MOMENTS,
        *NUMBERS[:12],
        *IDS,
        "room",
        "user",
        "start",
        "=",
        "&",
        "/",
        "?",
        "v1",
        "site",
    )
    heads = [(name, value) for name, values in HEADERS.items() for value in values]
    for _ in range(2_000):
        one = dice.choice(ENDPOINTS)
        noise = "".join(dice.choices([quote(each) for each in pieces], k=dice.randint(1, 8)))
        names = [each.name for each in fields_of(one.query)] or ["x"]
        query = "&".join(
            f"{dice.choice(names)}={dice.choice(pieces)}" for _ in range(dice.randint(0, 4))
        )
        path = _address(one) if dice.random() < 0.8 else f"/{noise}"
        body = {each.name: dice.choice(VALUES) for each in fields_of(one.body)}
        chosen = tuple(dice.sample(heads, dice.randint(0, 4)))
        asked = Asked(one.method, path, quote(query, safe="=&%+:"), body, chosen)
        await _holds(service, asked, API_KEY)
