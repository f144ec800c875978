"""Who may do what: every route, by every kind of credential. A route without its row here fails.

The user of the table is alice, its room is site.
"""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import herenow
from herenow.service import Service
from herenow.service.endpoints import ENDPOINTS
from herenow.web.tokens import _signer
from tests.service.asking import status_of_stream
from tests.service.conftest import API_KEY, SECRET, bearer, token

LATE: dict[str, Any] = {"s": "admin", "t": int(time.time()) - 1}
CREDENTIALS: dict[str, Callable[[], str | None]] = {
    "none": lambda: None,
    "wrong": lambda: "x" * len(API_KEY),
    "forged": lambda: herenow.sign_token("alice", secret="another-secret-0123456789"),
    "changed": lambda: "e30" + token(scope="admin")[3:],
    "another form": lambda: token(scope="admin") + "~",
    "late": lambda: _signer(SECRET).dumps(LATE),
    "read": token,
    "read elsewhere": lambda: token(rooms=["elsewhere"]),
    "alice": lambda: token("alice", rooms=["site"]),
    "alice elsewhere": lambda: token("alice", rooms=["elsewhere"]),
    "bob": lambda: token("bob"),
    "guest": lambda: token("guest-1", kind="guest"),
    "guest alice": lambda: token("alice", kind="guest"),
    "admin here": lambda: token(scope="admin", rooms=["site"]),
    "admin elsewhere": lambda: token(scope="admin", rooms=["elsewhere"]),
    "admin": lambda: token(scope="admin"),
    "key": lambda: API_KEY,
}
COOKIES: dict[str, Callable[[], str]] = {
    "late cookie": lambda: _signer(SECRET).dumps(LATE),
    "cookie": lambda: token(scope="admin"),
    "cookie elsewhere": lambda: token(scope="admin", rooms=["elsewhere"]),
    "alice's cookie": lambda: token("alice", rooms=["site"]),
}
"""What is shown as the dashboard's cookie: it reads, as nobody in particular."""
BASIC = ("basic", "basic and cookie")
"""The site's own log-in, alone and beside an admin's cookie."""
ALL = (*CREDENTIALS, *COOKIES, *BASIC)
NOBODY = ("none", "wrong", "forged", "changed", "another form", "late", "late cookie", "basic")
TOKENS = tuple(name for name in CREDENTIALS if name not in (*NOBODY, "key"))
READING = ("cookie", "cookie elsewhere", "alice's cookie", "basic and cookie")
ADMINS = ("admin here", "admin", "key")
ADMINS_READING = (*ADMINS, "cookie", "basic and cookie")
EVERYWHERE = ("admin", "key")


def row(*may: str, **others: int) -> dict[str, int]:
    """Who may (200), who is refused (403), and who is not believed at all (401)."""
    said = dict.fromkeys(ALL, 403) | dict.fromkeys(NOBODY, 401) | dict.fromkeys(may, 200)
    return said | {name.replace("_", " "): status for name, status in others.items()}


def writing(*may: str, **others: int) -> dict[str, int]:
    """The same of what is written: no cookie is even looked at."""
    return row(*may, **others) | dict.fromkeys(READING, 401)


PUBLIC = dict.fromkeys(ALL, 200)
READ = row("read", "alice", "bob", "guest", "guest alice", "alice's cookie", *ADMINS_READING)
OWN = writing("alice", "guest alice", *ADMINS)
TABLE: dict[tuple[str, str], dict[str, int]] = {
    ("GET", "/v1/rooms"): row(*TOKENS, *READING, "key"),
    ("GET", "/v1/rooms/{room}"): READ,
    ("GET", "/v1/rooms/{room}/users"): READ,
    ("GET", "/v1/rooms/{room}/users/{user}"): READ,
    ("PUT", "/v1/rooms/{room}/users/{user}"): OWN,
    ("DELETE", "/v1/rooms/{room}/users/{user}"): OWN,
    ("POST", "/v1/rooms/{room}/sightings"): writing(*ADMINS),
    ("POST", "/v1/rooms/{room}/lookup"): READ | dict.fromkeys(READING, 401),
    ("POST", "/v1/counts"): READ | dict.fromkeys(READING, 401),
    ("GET", "/v1/rooms/{room}/history"): READ,
    ("GET", "/v1/rooms/{room}/uniques"): READ,
    ("GET", "/v1/rooms/{room}/events"): READ,
    ("GET", "/v1/events"): READ,
    ("DELETE", "/v1/users/{user}"): writing(*EVERYWHERE),
    ("GET", "/v1/users/{user}/why"): row(*ADMINS_READING),
    # the credential is in its body; whoever comes without one has said nothing
    ("POST", "/v1/beacon"): row("alice", "bob", "guest", "guest alice")
    | dict.fromkeys(("none", *COOKIES, *BASIC), 400),
    ("POST", "/v1/login"): writing(*TOKENS),
    ("DELETE", "/v1/login"): PUBLIC,
    ("GET", "/metrics"): row(*EVERYWHERE, "cookie", "basic and cookie"),
    ("GET", "/"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
}
"""Each route as it is asked most simply; `BODIES` is what it needs for that."""
HIDDEN = row(*ADMINS_READING)
PRESENT = row("alice", "bob", "guest", "guest alice")
MORE: dict[tuple[str, str], dict[str, int]] = {
    ("GET", "/v1/rooms/{room}/users?hidden=true"): HIDDEN,
    ("GET", "/v1/rooms/{room}/users?kind=hidden"): HIDDEN,
    ("GET", "/v1/rooms/{room}/users/{user}?hidden=true"): HIDDEN,
    ("GET", "/v1/rooms/{room}/events?hidden=true"): HIDDEN,
    ("GET", "/v1/events?hidden=true"): HIDDEN,
    # a stream with a session is the presence of its token's user: it writes
    ("GET", "/v1/rooms/{room}/events?session=tab"): PRESENT,
    ("GET", "/v1/events?session=tab"): PRESENT,
}
"""What a query changes."""
BODIES: dict[str, Any] = {
    "/v1/rooms/{room}/sightings": {"sightings": ["alice"]},
    "/v1/rooms/{room}/lookup": {"users": ["alice"]},
    "/v1/counts": {"rooms": ["site"]},
}


def test_every_route_is_in_the_table() -> None:
    assert {(one.method, one.path) for one in ENDPOINTS} == set(TABLE)


@pytest.mark.parametrize("method, path", [*TABLE, *MORE])
async def test_a_credential_opens_what_the_table_says(
    api: httpx.AsyncClient, service: Service, method: str, path: str
) -> None:
    api.headers.pop("Authorization")
    wanted = (TABLE | MORE)[method, path]
    for verb in ("GET", "HEAD") if method == "GET" and "/events?" not in path else (method,):
        found = {name: await _status(api, service, verb, path, name) for name in ALL}
        assert found == wanted, verb


def _headers(service: Service, name: str) -> dict[str, str]:
    if name in CREDENTIALS:
        return bearer(CREDENTIALS[name]())
    cookie = service.gate.cookie_name({"headers": [(b"host", b"service.test")]})
    shown = (
        {} if name == "basic" else {"Cookie": f"{cookie}={COOKIES.get(name, COOKIES['cookie'])()}"}
    )
    return shown | ({"Authorization": "Basic eDp5"} if name in BASIC else {})


async def _status(
    api: httpx.AsyncClient, service: Service, method: str, path: str, name: str
) -> int:
    address, _, query = path.format(room="site", user="alice").partition("?")
    body, headers = BODIES.get(path), _headers(service, name)
    if path == "/v1/beacon":
        shown = CREDENTIALS[name]() if name in CREDENTIALS else None
        body = {} if shown is None else {"token": shown}
    if address.endswith("/events") and method == "GET":
        return await status_of_stream(api, address, headers, query)
    answer = await api.request(method, address, params=query, json=body, headers=headers)
    api.cookies.clear()
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    return 200 if answer.is_success else answer.status_code
