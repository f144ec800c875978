"""The application that `create_app` makes: mounted, described, and whom it lets in."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from jsonschema_rs import Draft202012Validator
from starlette.routing import Route

import herenow
from herenow.service import StreamSettings, create_app
from herenow.service.endpoints import ENDPOINTS
from herenow.service.openapi import describe
from tests.servers import Server
from tests.service.conftest import API_KEY, PATIENT, bearer, token

USERS = "/v1/rooms/site/users"


async def test_the_service_is_mounted_in_fastapi(server: Server) -> None:
    presence = herenow.Presence(server.unix_url, resolution=0, timeout=5)
    outer = FastAPI()
    inner = create_app(presence, api_key=API_KEY)
    outer.mount("/presence", inner)
    presence.room("doc/1").mark_online("alice")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=outer), base_url="http://t/presence"
    ) as client:
        answer = await client.get("/v1/rooms/doc%2F1/users", headers=bearer(API_KEY))
        assert [one["user"] for one in answer.json()["users"]] == ["alice"]
        assert (await client.get("/v1/rooms")).status_code == 401
        assert (await client.get("/nothing")).json()["detail"] == "there is no such path"
    await inner.aclose()
    presence.close()


def test_a_presence_of_a_client_has_no_twin(server: Server) -> None:
    with pytest.raises(ValueError, match="needs an AsyncPresence"):
        create_app(herenow.Presence("embedded://?temporary=1"), api_key=API_KEY)


async def test_without_secret_and_key_the_service_is_open_only_where_asked_for(
    server: Server,
) -> None:
    presence = herenow.AsyncPresence(server.unix_url, resolution=0, timeout=PATIENT)
    with pytest.raises(ValueError, match="HERENOW_SECRET and HERENOW_API_KEY are not set"):
        create_app(presence)
    app = create_app(presence, open_to_all=True)
    transport = httpx.ASGITransport(app=app, client=("192.0.2.1", 1))
    name = app.gate.cookie_name({"headers": [(b"host", b"t")]})
    for headers in (
        {},
        {"Cookie": f"{name}=stale; herenow=stale"},
        {"Authorization": "Basic eDp5"},  # the site's own
        {"Origin": "http://[", "X-Forwarded-For": "x"},
    ):
        async with httpx.AsyncClient(
            transport=transport, base_url="http://t", headers=headers
        ) as client:
            assert (await client.put(f"{USERS}/alice", json={})).is_success
            assert (await client.get("/v1/rooms")).json()["rooms"][0]["counts"]["hidden"] == 0
            assert (await client.get("/v1/rooms", headers=bearer("no token"))).status_code == 401
    await app.aclose()


def test_the_description_is_that_of_the_routes(server: Server) -> None:
    app = create_app(herenow.AsyncPresence(server.unix_url, timeout=5), api_key=API_KEY)
    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {
        (method.upper(), path) for path, verbs in app.openapi["paths"].items() for method in verbs
    }
    assert described == routes == {(one.method, one.path) for one in ENDPOINTS}
    ids = [
        verb["operationId"] for verbs in app.openapi["paths"].values() for verb in verbs.values()
    ]
    assert len(ids) == len(set(ids))


ANSWERS: list[tuple[str, str, Any]] = [
    ("PUT", "/v1/rooms/{room}/users/{user}", {"session": "tab", "info": {"page": "/"}}),
    ("POST", "/v1/rooms/{room}/sightings", {"sightings": ["alice", {"user": 7, "age": 1}]}),
    ("GET", "/v1/rooms", None),
    ("GET", "/v1/rooms/{room}", None),
    ("GET", "/v1/rooms/{room}/users", None),
    ("GET", "/v1/rooms/{room}/users/{user}", None),
    ("POST", "/v1/rooms/{room}/lookup", {"users": ["alice", 7]}),
    ("POST", "/v1/counts", {"rooms": ["site"]}),
    ("GET", "/v1/rooms/{room}/history", None),
    ("GET", "/v1/rooms/{room}/uniques", None),
    ("GET", "/v1/users/{user}/why", None),
    ("DELETE", "/v1/rooms/{room}/users/{user}", None),
    ("DELETE", "/v1/users/{user}", None),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
]


async def test_answers_are_of_the_described_shape(api: httpx.AsyncClient) -> None:
    """With every right, and as a token sees it; no answer has a member that is not described."""
    told = describe(ENDPOINTS)
    for credential in (API_KEY, token("alice")):
        for method, path, body in ANSWERS:
            if credential != API_KEY and path.startswith(("/v1/users", "/v1/rooms/{room}/sig")):
                continue
            address = path.format(room="site", user="alice")
            answer = await api.request(method, address, json=body, headers=bearer(credential))
            assert answer.is_success, answer.text
            said = told["paths"][path][method.lower()]["responses"][str(answer.status_code)]
            schema = said["content"]["application/json"]["schema"]
            whole = {**schema, "components": told["components"]}
            Draft202012Validator(whole).validate(answer.json())


def test_where_streams_change_what_they_send_is_an_argument() -> None:
    """What each of them does is in test_stream_modes."""
    paced = StreamSettings(every_event_below=1, counts_only_from=2, interval=0.1, heartbeat=0.3)
    presence = herenow.AsyncPresence("redis://127.0.0.1:1")
    assert create_app(presence, api_key=API_KEY, streams=paced).streams.settings == paced
    assert create_app(presence, api_key=API_KEY).streams.settings == StreamSettings()
