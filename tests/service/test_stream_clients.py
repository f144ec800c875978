"""Two independent SSE clients from PyPI resume where they were cut; a past that is gone is a reset."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import httpx_sse
import pytest
import sseclient

import herenow
from tests.conftest import SERVER
from tests.servers import Server, binary, start_server
from tests.service.conftest import Stream
from tests.service.following import Following, Knowledge
from tests.waiting import once_back, poll

Read = Callable[[httpx.Client, str, dict[str, str]], Any]


@contextmanager
def by_httpx_sse(
    client: httpx.Client, url: str, headers: dict[str, str]
) -> Iterator[tuple[Any, Any]]:
    with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
        yield source.response, source.iter_sse()


@contextmanager
def by_sseclient(
    client: httpx.Client, url: str, headers: dict[str, str]
) -> Iterator[tuple[Any, Any]]:
    with client.stream("GET", url, headers=headers) as response:
        yield response, sseclient.SSEClient(response.iter_bytes()).events()


class Writers:
    """Threads whose users come and go, each its own, until they are to stop."""

    def __init__(self, url: str, pause: float = 0.001) -> None:
        self._pause = pause
        self._end = threading.Event()
        self._url = url
        self.threads = [threading.Thread(target=self._write, args=(i,)) for i in range(2)]
        for one in self.threads:
            one.start()

    def stop(self) -> None:
        self._end.set()
        for one in self.threads:
            one.join()

    def _write(self, number: int) -> None:
        dice = random.Random(number)
        with herenow.Presence(self._url, resolution=0) as presence:
            while not self._end.is_set():
                user = f"w{number}-{dice.randrange(15)}"
                if dice.random() < 0.5:
                    presence.mark_online(user)
                else:
                    presence.mark_offline(user)
                time.sleep(self._pause)


@pytest.mark.parametrize("read", [by_httpx_sse, by_sseclient])
def test_clients_resume_right_after_being_cut(
    stream: Stream, server: Server, presence: herenow.Presence, read: Read
) -> None:
    serving = stream()
    knowledge, last, dice = Knowledge(), "", random.Random(3)
    writers = Writers(server.unix_url)
    cuts = events = 0
    calm = False
    while not calm:
        if cuts >= 25 and events >= 500:
            writers.stop()
        headers = {"Last-Event-ID": last} if last else {}
        with (
            httpx.Client(timeout=1) as client,
            read(client, f"{serving.url}/events", headers) as (response, told),
        ):
            assert response.status_code == 200
            left = dice.randrange(1, 60)
            try:
                for one in told:
                    knowledge.see(one.event, json.loads(one.data))
                    last, events, left = one.id, events + 1, left - 1
                    if not left:
                        sock = response.extensions["network_stream"].get_extra_info("socket")
                        sock.shutdown(2)  # mid-way: what was sent since is lost
                        cuts += 1
                        break
            except httpx.ReadTimeout:
                calm = cuts >= 25 and events >= 500
            except httpx.TransportError:
                pass
    writers.stop()
    assert knowledge.online == set(presence.get_online_users())
    counts = presence.counts()
    assert knowledge.counts == {"member": counts.member, "guest": 0, "bot": 0}
    assert knowledge.resets == 1
    assert cuts >= 25


def test_many_missed_events_are_sent_in_order(stream: Stream, presence: herenow.Presence) -> None:
    presence.mark_online("alice")
    serving = stream()
    first, other = serving.follow(), serving.follow()
    for one in (first, other):
        one.until_told("reset")
    poll(lambda: serving.count()["feeds"] == [0], "the main line")
    presence.mark_online("carol")
    first.until_told("join", "carol")
    first.close()
    for i in range(500):  # each an entry of its own
        presence.mark_online(f"u{i}")
        presence.mark_offline(f"u{i}")
    again = serving.follow(first.last, first.rooms)
    presence.mark_online("bob")
    again.until_told("join", "bob")
    assert again.brief() == [
        *((what, f"u{i}") for i in range(500) for what in ("join", "leave")),
        ("join", "bob"),
    ]


def resumed(stream: Stream, last: str | None, rooms: Any = None, **params: Any) -> Following:
    following = stream().follow(last, rooms, **params)
    following.until(lambda: following.told)
    return following


def knows(following: Following, online: set[str]) -> bool:
    return following.room().online == online


def test_a_stream_resumed_from_trimmed_events_starts_over(
    stream: Stream, server: Server, presence: herenow.Presence
) -> None:
    presence.mark_online("alice")
    first = resumed(stream, None)
    for i in range(20):
        presence.mark_online(f"u{i}")
    server.control.xtrim("herenow:{site}:events", maxlen=1, approximate=False)
    first.close()
    last = first.ids[0]
    again = resumed(stream, last)
    assert again.brief() == [("reset", None)]
    assert len(again.room().online) == 21


def test_a_stream_resumed_after_an_erasure_starts_over(
    stream: Stream, presence: herenow.Presence
) -> None:
    presence.mark_online("alice")
    first = resumed(stream, None)
    presence.mark_online("bob")
    presence.mark_online("carol")
    first.until_told("join", "carol")
    presence.forget("bob")
    first.until(lambda: first.brief()[-1][0] == "reset")
    assert first.room().online == {"alice", "carol"}
    again = resumed(stream, first.ids[0])
    assert again.brief() == [("reset", None)]
    assert again.room().online == {"alice", "carol"}


def test_a_store_that_restarts_under_open_streams(stream: Stream) -> None:
    with (
        start_server(binary(SERVER)) as store,
        herenow.Presence(store.unix_url, resolution=0) as presence,
    ):
        presence.mark_online("alice")
        serving = stream(store.unix_url)
        open_ones = [serving.follow(), serving.follow(user=["alice", "bob"]), serving.follow()]
        for one in open_ones:
            one.until_told("reset")
        store.kill()
        time.sleep(1)
        waiting = serving.follow()  # it opens all the same, and is told when the store is back
        store.restart()
        once_back(partial(presence.mark_online, "bob"))
        for one in (*open_ones, waiting):
            one.until(partial(knows, one, {"bob"}), 60)
        once_back(partial(presence.mark_online, "carol"))
        for one in (open_ones[0], open_ones[2], waiting):
            one.until_told("join", "carol")
            assert one.room().online == {"bob", "carol"}
