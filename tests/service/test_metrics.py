"""Metrics: Prometheus's own parser reads them, and they count what was done."""

import asyncio
import json

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read

import herenow
from herenow.aio import observe
from herenow.outbox.deferred import Deferred
from herenow.outbox.port import AsyncPort
from herenow.service.metrics import MOST_ROOMS, Metrics
from tests.servers import Server
from tests.service.conftest import API_KEY, Serve, bearer


def scrape(address: str, accept: str = "text/plain") -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels' values."""
    answer = httpx.get(f"{address}/metrics", headers={"Accept": accept, **bearer(API_KEY)})
    assert answer.status_code == 200
    parse = read_openmetrics if "openmetrics" in answer.headers["content-type"] else read
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


def test_they_count_what_was_done(serve: Serve) -> None:
    address = serve()
    users = f"{address}/v1/rooms/site/users"
    for user, kind in (("alice", "member"), ("carol", "hidden"), ("guest-1", "guest")):
        httpx.put(f"{users}/{user}", json={"kind": kind}, headers=bearer(API_KEY))
    httpx.put(f"{users}/alice", json={}, headers=bearer(API_KEY))
    httpx.delete(f"{users}/guest-1", headers=bearer(API_KEY))
    found = scrape(address)
    assert found["herenow_online", "member", "site"] == 1
    assert found["herenow_online", "hidden", "site"] == 1
    assert found["herenow_online", "guest", "site"] == 0
    assert found["herenow_sightings_total",] == 4
    assert found["herenow_joins_total",] == 3
    assert found["herenow_leaves_total", "left"] == 1
    assert found["herenow_store_up",] == 1
    assert found["herenow_breaker", "closed"] == 1
    assert found["herenow_store_latency_seconds_count",] >= 9
    assert found.keys() <= scrape(address, "application/openmetrics-text").keys() | {
        one for one in found if one[0].endswith("_created")
    }


@pytest.mark.parametrize("buffered", [False, True])
def test_every_way_of_marking_is_counted(server: Server, buffered: bool) -> None:
    async def marked() -> tuple[bytes, int]:
        metrics = Metrics()
        async with herenow.AsyncPresence(
            server.unix_url, resolution=0, buffered=buffered, timeout=5
        ) as presence:
            observe(presence, metrics.observe)
            for user in ("alice", "bob", "alice"):  # a whole touch, and then the shortest script
                await presence.mark_online(user)
                await presence.flush()
            await presence.mark_online("gus", "guest")
            await presence.flush()
            await presence.mark_online("carol")  # there are others than members now
            await presence.mark_online("dave", session="tab", info={"page": "/"})
            await presence.mark_online_many(["erin", herenow.Sighting("bob", age=2)])
            await presence.flush()
            await AsyncPort(presence).defer(Deferred("alice", linked_to="site"), "thread")
            await presence.flush()
            joined = await presence.unique_users(1) + await presence.unique_users(1, "guest")
            return (await metrics.expose(presence, "text/plain"))[0], joined

    text, joined = asyncio.run(marked())
    found = {one.name: one.value for family in read(text.decode()) for one in family.samples}
    assert found["herenow_sightings_total"] == 9
    assert found["herenow_joins_total"] == joined + 1 == 7


def test_no_label_names_a_user_and_rooms_are_bounded(serve: Serve) -> None:
    address = serve()
    for number in range(MOST_ROOMS + 10):
        path = f"{address}/v1/rooms/doc:{number}/users/somebody-{number}"
        assert httpx.put(path, json={}, headers=bearer(API_KEY)).status_code == 201
    found = scrape(address)
    rooms = {one[2] for one in found if one[0] == "herenow_online"}
    assert len(rooms) == MOST_ROOMS
    assert "somebody" not in json.dumps([list(one) for one in found])


def test_an_unavailable_store_shows_in_the_metrics_and_keeps_nobody_waiting(
    frail: Server, serve: Serve
) -> None:
    address = serve(HERENOW_URL=frail.unix_url)
    frail.kill()
    for _ in range(3):
        httpx.get(f"{address}/v1/rooms", headers=bearer(API_KEY))
    found = scrape(address)
    assert found["herenow_store_up",] == 0
    assert found["herenow_store_errors_total", "unavailable"] >= 3
    assert found["herenow_breaker", "closed"] == 0
    assert not [one for one in found if one[0] == "herenow_online"]
