"""Sightings in bulk over HTTP: what an adapter's buffer does, for a site in another language."""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from herenow.service import Service
from tests.service.conftest import bearer, token

SIGHTINGS = "/v1/rooms/site/sightings"


async def send(api: httpx.AsyncClient, *many: Any, **how: Any) -> httpx.Response:
    return await api.post(SIGHTINGS, json={"sightings": many}, **how)


async def test_many_are_marked_with_all_that_a_sighting_says(
    api: httpx.AsyncClient, service: Service
) -> None:
    answer = await send(
        api,
        "alice",
        7,
        {"user": "bot-1", "kind": "bot"},
        {"user": "carol", "kind": "hidden"},
        {"user": "dave", "session": "tab", "away": True, "info": {"page": "/"}},
        {"user": "erin", "kind": None, "away": None, "info": None, "replaces": None, "age": 0},
    )
    assert (answer.status_code, answer.json()) == (200, {"marked": 6, "joined": 6})
    counts = await service.presence.counts()
    assert (counts.member, counts.hidden, counts.bot) == (4, 1, 1)
    dave = (await service.presence.lookup(["dave"]))["dave"]
    assert (dave.away, dave.info, [one.name for one in dave.sessions]) == (
        True,
        {"page": "/"},
        ["tab"],
    )
    assert (await send(api, "alice", "frank")).json() == {"marked": 2, "joined": 1}


async def test_ages_are_those_of_the_store(api: httpx.AsyncClient, service: Service) -> None:
    """A sighting of a while ago is one of then, revives nobody, and says nothing over newer ones."""
    await send(api, {"user": "alice", "age": 100}, {"user": "bob", "age": 90_000}, "carol")
    found = await service.presence.lookup(["alice", "bob", "carol"])
    seen = {name: one.last_seen for name, one in found.items()}
    assert all(isinstance(one, datetime) for one in seen.values())
    assert [found[name].online for name in ("alice", "bob", "carol")] == [True, False, True]
    assert seen["carol"] is not None
    assert seen["alice"] == seen["carol"] - timedelta(seconds=100)
    assert seen["bob"] == seen["carol"] - timedelta(seconds=90_000)
    await service.presence.mark_offline("carol")
    assert (await send(api, {"user": "carol", "age": 5})).json() == {"marked": 1, "joined": 0}
    assert not await service.presence.is_online("carol")


async def test_a_login_replaces_the_guest(api: httpx.AsyncClient, service: Service) -> None:
    await send(api, {"user": "guest-1", "kind": "guest"})
    await send(api, {"user": "alice", "replaces": "guest-1"})
    counts = await service.presence.counts()
    assert (counts.member, counts.guest) == (1, 0)


WRONG: list[tuple[Any, str]] = [
    ("", "user: a user is not empty"),
    ("a" * 257, "user: a user has at most 256 UTF-8 bytes"),
    ("\x00", "user: a user has no control character"),
    ("\ud800", "user: a user has no lone surrogate"),
    (True, "user must be a string or a whole number"),
    (None, "a sighting must be an object, or a user's id"),
    (1.5, "a sighting must be an object, or a user's id"),
    ([], "a sighting must be an object, or a user's id"),
    ({}, "user is missing"),
    ({"user": "x", "usr": 1}, "no member of a sighting 'usr'"),
    ({"user": "x", "kind": "owner"}, "kind must be one of"),
    ({"user": "x", "kind": []}, "kind must be one of"),
    ({"user": "x", "session": 3}, "session must be a string"),
    ({"user": "x", "session": "s" * 129}, "session: a session has at most 128"),
    ({"user": "x", "away": 1}, "away must be true, false or null"),
    ({"user": "x", "info": []}, "info must be a JSON object"),
    ({"user": "x", "info": {"a": "x" * 1100}}, "info: info has at most 1024 bytes"),
    ({"user": "x", "age": -1}, "age: an age is 0 seconds or more"),
    ({"user": "x", "age": 1e300}, "age: an age is 0 seconds or more and at most a century"),
    ({"user": "x", "age": 10**400}, "age must be a number of seconds, at most a century"),
    ({"user": "x", "age": "5"}, "age must be a number of seconds"),
    ({"user": "x", "age": True}, "age must be a number of seconds"),
    ({"user": "x", "age": None}, "age must be a number of seconds"),
    ({"user": "x", "replaces": ""}, "replaces: a user is not empty"),
    ({"user": "7", "replaces": 7}, "replaces: a user does not replace themselves"),
]


@pytest.mark.parametrize("wrong, rule", WRONG)
@pytest.mark.parametrize("place", [0, 2, 4])
async def test_one_that_is_wrong_is_named_and_costs_the_others_nothing(
    api: httpx.AsyncClient, service: Service, wrong: Any, rule: str, place: int
) -> None:
    many = ["a", "b", {"user": "c", "age": 1}, "d"]
    many.insert(place, wrong)
    answer = await api.post(SIGHTINGS, content=json.dumps({"sightings": many}))
    said = answer.json()
    assert answer.status_code == 400
    assert said["detail"].startswith(f"sightings[{place}]: ")
    assert rule in said["detail"]
    assert said["detail"].endswith("; the other 4 are marked")
    assert (said["marked"], said["joined"], len(said["errors"])) == (4, 4, 1)
    assert sorted(await service.presence.get_online_users()) == ["a", "b", "c", "d"]
    assert not await service.presence.is_online("x")


async def test_many_that_are_wrong_are_named_some_of_them(api: httpx.AsyncClient) -> None:
    answer = await send(api, *["" for _ in range(999)], "alice")
    said = answer.json()
    assert (said["marked"], said["joined"], len(said["errors"])) == (1, 1, 20)
    assert [one.partition(":")[0] for one in said["errors"]] == [
        f"sightings[{number}]" for number in range(20)
    ]
    assert "and 998 more" in said["detail"]


@pytest.mark.parametrize("plain", [True, False])
async def test_more_than_32_sessions_are_refused_and_the_others_marked(
    api: httpx.AsyncClient, service: Service, *, plain: bool
) -> None:
    tabs = [{"user": "alice", "session": str(number)} for number in range(34)]
    others = [
        name if plain else {"user": name, "session": "s"} for name in map("u{}".format, range(300))
    ]
    answer = await send(api, *others[:150], *tabs, *others[150:])
    said = answer.json()
    assert answer.status_code == 409
    assert said["errors"] == [
        f"sightings[{150 + number}]: session: a user has at most 32 sessions" for number in (32, 33)
    ]
    assert (said["marked"], said["joined"]) == (332, 301)
    assert await service.presence.count_online_users() == 301
    [alice] = (await service.presence.lookup(["alice"])).values()
    assert len(alice.sessions) == 32


@pytest.mark.parametrize("many", [[], ["a"] * 1001, "alice", None, {"user": "a"}, 1])
async def test_a_batch_is_a_list_of_at_most_a_thousand(
    api: httpx.AsyncClient, service: Service, many: Any
) -> None:
    answer = await api.post(SIGHTINGS, json={"sightings": many})
    assert answer.status_code == 400
    assert "a list of 1 to 1000 sightings" in answer.json()["detail"]
    assert await service.presence.count_online_users() == 0


async def test_a_thousand_full_ones_fit_and_no_more(
    api: httpx.AsyncClient, service: Service
) -> None:
    many = [
        {"user": f"{number:04}" + "u" * 252, "session": "s" * 128, "info": {"a": "x" * 1000}}
        for number in range(1000)
    ]
    assert (await send(api, *many)).json() == {"marked": 1000, "joined": 1000}
    assert await service.presence.count_online_users() == 1000
    large = await api.post(SIGHTINGS, content=b" " * 2_200_000)
    assert (large.status_code, "at most 2097152 bytes" in large.text) == (413, True)


async def test_the_route_of_sightings_is_for_servers(
    api: httpx.AsyncClient, service: Service
) -> None:
    for credential, status in (
        (token("alice"), 403),
        (token(), 403),
        (token(scope="admin", rooms=["elsewhere"]), 403),
        (token(scope="admin", rooms=["site"]), 200),
    ):
        answer = await send(api, "alice", headers=bearer(credential))
        assert answer.status_code == status
    assert await service.presence.count_online_users() == 1
