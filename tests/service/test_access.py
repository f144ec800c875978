"""Who may do what, beyond the table of `test_table`: streams, kinds, rooms, the hidden, tokens."""

import asyncio
import contextlib
import json
import string
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from herenow.service import Service
from herenow.web.tokens import BadTokenError, Scope, Token, read_token, sign_token
from tests.service.asking import status_of_stream
from tests.service.conftest import API_KEY, SECRET, bearer, token


async def test_a_client_that_is_gone_before_its_stream_begins_is_not_online(
    service: Service,
) -> None:
    async def send(_: Any) -> None:
        raise OSError("gone")

    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/events",
        "raw_path": b"/v1/events",
        "query_string": b"session=tab",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {token('alice')}".encode())],
        "client": ("192.0.2.1", 1),
        "server": ("service.test", 80),
    }
    with contextlib.suppress(OSError):
        await service(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
    assert (await service.presence.lookup(["alice"]))["alice"].last_seen is not None
    for _ in range(100):
        if not await service.presence.is_online("alice"):
            return
        await asyncio.sleep(0.02)
    pytest.fail("they are online still")


async def test_a_token_is_taken_out_of_the_query_where_it_is_mounted(
    api: httpx.AsyncClient, service: Service
) -> None:
    outer = FastAPI()
    outer.mount("/presence", service)
    query = f"room=a&token={token()}"
    assert await status_of_stream(api, "/presence/v1/events", {}, query, outer) == 200


async def test_a_stream_is_of_the_rooms_and_the_user_of_its_token(api: httpx.AsyncClient) -> None:
    async def ask(credential: str, query: str, path: str = "/v1/events") -> int:
        return await status_of_stream(api, path, bearer(credential), query)

    alice = token("alice", rooms=["a", "b"])
    assert await ask(alice, "room=a&room=b") == 200
    assert await ask(alice, "room=a&room=c") == 403
    assert await ask(alice, "") == 403  # the site
    assert await ask(alice, "room=a&hidden=true") == 403
    assert await ask(alice, "room=a&session=tab") == 200
    assert await ask(token(), "session=tab") == 403
    assert await ask(API_KEY, "session=tab") == 403
    assert await ask(API_KEY, "hidden=true") == 200
    assert await status_of_stream(api, "/v1/events", {}, f"room=a&token={alice}") == 200
    assert await status_of_stream(api, "/v1/events", {}, f"room=c&token={alice}") == 403
    assert await status_of_stream(api, "/v1/events", {}, f"token={alice}&token={alice}") == 400


async def test_a_token_marks_its_user_as_its_own_kind_alone(api: httpx.AsyncClient) -> None:
    async def put(credential: str, user: str, **body: Any) -> int:
        answer = await api.put(
            f"/v1/rooms/site/users/{user}", json=body, headers=bearer(credential)
        )
        return answer.status_code

    guest = token("guest-1", kind="guest")
    assert await put(guest, "guest-1") == 201
    assert (await api.get("/v1/rooms/site/users/guest-1")).json()["kind"] == "guest"
    assert await put(guest, "guest-1", kind="member") == 403
    assert await put(guest, "guest-1", kind="hidden") == 403
    alice = token("alice")
    assert await put(alice, "alice", kind="hidden") == 201
    assert await put(alice, "alice", kind="bot") == 403
    assert await put(alice, "alice", kind="member") == 200


async def test_a_token_of_two_rooms_is_refused_for_a_third_among_them(
    api: httpx.AsyncClient,
) -> None:
    headers = bearer(token(rooms=["a", "b"]))
    assert (await api.post("/v1/counts", json={"rooms": ["a", "b"]}, headers=headers)).is_success
    refused = await api.post("/v1/counts", json={"rooms": ["a", "c"]}, headers=headers)
    assert refused.status_code == 403


async def test_rooms_lists_a_tokens_own_rooms_alone(api: httpx.AsyncClient) -> None:
    for room in ("a", "b", "c"):
        await api.put(f"/v1/rooms/{room}/users/alice", json={})
    answer = await api.get("/v1/rooms", headers=bearer(token(rooms=["b", "empty"])))
    assert [one["room"] for one in answer.json()["rooms"]] == ["b"]


HIDING = ("/v1/rooms", "/v1/rooms/site", "/v1/rooms/site/users", "/v1/rooms/site/users/carol")


async def test_a_hidden_member_shows_nowhere_without_admin(api: httpx.AsyncClient) -> None:
    """To others hiding is leaving: all that they can read is the same."""
    seen = []
    for how in ("hidden", "left"):
        await api.delete("/v1/users/carol")
        await api.put("/v1/rooms/site/users/alice", json={})
        await api.put("/v1/rooms/site/users/carol", json={})
        if how == "hidden":
            await api.put("/v1/rooms/site/users/carol", json={"kind": "hidden"})
        else:
            await api.delete("/v1/rooms/site/users/carol")
        headers = bearer(token())
        answers = [(await api.get(path, headers=headers)).json() for path in HIDING]
        answers.append(
            (
                await api.post("/v1/rooms/site/lookup", json={"users": ["carol"]}, headers=headers)
            ).json()
        )
        answers.append(
            (await api.post("/v1/counts", json={"rooms": ["site"]}, headers=headers)).json()
        )
        answers.append((await api.get("/v1/rooms/site/history", headers=headers)).json())
        text = json.dumps(answers)
        assert "hidden" not in text
        seen.append([json.dumps(one, default=str) for one in map(_without_times, answers)])
    assert seen[0] == seen[1]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_times(one)
            for name, one in value.items()
            if name not in ("at", "last_seen", "online_until", "peak", "samples")
        }
    if isinstance(value, list):
        return [_without_times(one) for one in value]
    return value


@pytest.mark.parametrize("query", ["?hidden=true", "?kind=hidden"])
async def test_the_hidden_are_shown_to_admins_alone(api: httpx.AsyncClient, query: str) -> None:
    await api.put("/v1/rooms/site/users/carol", json={"kind": "hidden"})
    path = f"/v1/rooms/site/users{query}"
    assert (await api.get(path, headers=bearer(token("carol")))).status_code == 403
    assert [one["user"] for one in (await api.get(path)).json()["users"]] == ["carol"]
    assert (await api.get("/v1/rooms/site")).json()["counts"]["hidden"] == 1


@pytest.mark.parametrize("path", ["/v1/rooms/site/events", "/v1/events"])
async def test_head_of_a_stream_with_the_hidden_needs_admin(
    api: httpx.AsyncClient, path: str
) -> None:
    scopes: tuple[Scope, ...] = ("read", "mark")
    for scope in scopes:
        headers = bearer(token("alice", scope=scope))
        assert (await api.head(f"{path}?hidden=true", headers=headers)).status_code == 403
        assert (await api.head(path, headers=headers)).status_code == 200
    admin = await api.head(f"{path}?hidden=true")
    assert admin.status_code == 200
    assert admin.headers["content-type"].startswith("text/event-stream")


async def test_a_token_in_the_query_opens_no_route_but_a_stream(api: httpx.AsyncClient) -> None:
    api.headers.pop("Authorization")
    assert (await api.get("/v1/rooms", params={"token": token()})).status_code == 401


@pytest.mark.parametrize("scope", ["mark", "admin"])
@pytest.mark.parametrize("path", ["/v1/rooms/site/events", "/v1/events"])
async def test_a_cookie_never_writes(
    api: httpx.AsyncClient, service: Service, scope: Scope, path: str
) -> None:
    """Nor by a GET: a stream that would be its user's presence."""
    api.headers.pop("Authorization")
    answer = await api.post("/v1/login", headers=bearer(token("alice", scope=scope)))
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert await status_of_stream(api, path, cookie, "session=tab") == 403
    assert (await service.presence.lookup(["alice"]))["alice"].last_seen is None
    assert await status_of_stream(api, path, cookie) == 200


async def test_a_sites_own_authorization_hides_no_cookie(api: httpx.AsyncClient) -> None:
    """As a browser sends it that has passed the site's Basic log-in."""
    api.headers.pop("Authorization")
    await api.post("/v1/login", headers=bearer(token(scope="admin")))
    for shown in ("Basic eDp5", "Negotiate abc", "Basic", "bearerless x", ""):
        answer = await api.get("/metrics", headers={"Authorization": shown})
        assert answer.status_code == 200, shown
    for shown in ("Bearer", "Bearer ", "bearer x"):  # said to be ours, and wrong
        answer = await api.get("/metrics", headers={"Authorization": shown})
        assert answer.status_code == 401, shown


# ------------------------------------------------------------ tokens


def _forms(signed: str) -> Iterator[str]:
    """What base64 decodes to the same signature, and what else could be taken for the token."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    place = letters.index(signed[-1])
    yield from (signed[:-1] + letters[place ^ other] for other in (1, 2, 3))
    for more in ("~", "=", "==", " ", "\n", "é", "\ud800", "\x00", ".", "!!!!"):
        yield signed + more
        yield signed[:-5] + more + signed[-5:]
        yield more + signed
    yield signed.replace("-", "+").replace("_", "/") + "~" * 1000


@pytest.mark.parametrize("user", ["alice", "b" * 200])
def test_a_token_has_one_form(user: str) -> None:
    """Else each other one would be a token of its own to the rate limit."""
    signed = token(user)
    assert read_token(signed, secret=SECRET).user == user
    for form in _forms(signed):
        with pytest.raises(BadTokenError):
            read_token(form, secret=SECRET)


@pytest.mark.parametrize("text", ["\ud800", "é" * 20, "\x00", "", "." * 100, "a" * 10_000])
async def test_what_is_no_token_is_a_401_wherever_it_comes(
    api: httpx.AsyncClient, text: str
) -> None:
    body = json.dumps({"token": text}).encode()
    headers = {"Content-Type": "application/json"}
    answer = await api.post("/v1/beacon", content=body, headers=headers)
    assert answer.status_code == 401


def test_a_token_says_what_was_signed() -> None:
    said = read_token(
        token("älice", rooms=["doc:1", "site"], kind="guest", expires=60), secret=SECRET
    )
    assert said == Token("mark", "älice", "guest", frozenset({"doc:1", "site"}), said.until)
    assert 58 < said.until - time.time() < 62


@pytest.mark.parametrize(
    "how, rule",
    [
        ({"user": ""}, "not empty"),
        ({"user": "a", "scope": "write"}, "a scope is one of read, mark, admin"),
        ({"scope": "mark"}, "names its user"),
        ({"rooms": []}, "1 to 100 rooms"),
        ({"rooms": "site"}, "a list"),
        ({"rooms": [f"r{i}" for i in range(101)]}, "1 to 100 rooms"),
        (
            {"rooms": ["".join(uuid.uuid4().hex for _ in range(4)) for _ in range(100)]},
            "at most 4096 characters",
        ),
        ({"expires": 0}, "more than 0"),
        ({"kind": "owner"}, "a kind is one of"),
        ({"secret": "short"}, "at least 16 characters"),
    ],
)
def test_what_a_token_can_not_say_is_refused(how: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as refused:
        sign_token(**{"secret": SECRET, **how})
    assert "short" not in str(refused.value)
