"""Streams under eight processes that mark, hide and leave the same users: what they tell is the truth.

Followers, of one room and of several, with a watch-list and without, are cut and resume; joins and
leaves of each user alternate, and in the end each knows who is there, and how many of each kind.
"""

import random
import subprocess
import sys
import time
from functools import partial
from typing import Any

import herenow
from herenow.names import KINDS
from tests.core import racer
from tests.core.programs import PATH
from tests.servers import Server
from tests.service.conftest import Stream, Streaming
from tests.service.following import Following

ROOMS = list(racer.ROOMS)
FOLLOWED: tuple[dict[str, Any], ...] = (
    {"room": ROOMS[:1]},
    {"room": ROOMS[:1], "hidden": "1"},
    {"room": ROOMS},
    {"room": ROOMS, "hidden": "1"},
    {"room": ROOMS[:2], "user": [f"u{i}" for i in range(20)]},
)


def is_right(following: Following, presence: herenow.Presence, params: dict[str, Any]) -> bool:
    return all(_knows(following, presence.room(name), params) for name in params["room"])


def _knows(following: Following, room: herenow.Presence, params: dict[str, Any]) -> bool:
    hidden, known, counts = "hidden" in params, following.room(room.name), room.counts()
    told = {"member": counts.member, "guest": counts.guest, "bot": counts.bot}
    if hidden:
        told["hidden"] = counts.hidden
    online = {
        user for kind in KINDS for user in room.get_online_users(kind=kind, include_hidden=hidden)
    }
    members = set(room.get_online_users(include_hidden=hidden))
    if "user" in params:
        watched = set(params["user"])
        return known.counts == told and known.online == online & watched
    return known.counts == told and members <= known.online <= online


def follow(serving: Streaming, params: dict[str, Any]) -> Following:
    following = serving.follow(**params)
    following.until(lambda: len(following.told) >= len(params["room"]))
    return following


def test_streams_know_the_truth(stream: Stream, server: Server) -> None:
    dice = random.Random(5)
    serving = stream(interval=0.1, every_event_below=15, max_diff=30)
    with herenow.Presence(server.unix_url, resolution=0, timeout=5) as presence:
        steady = [follow(serving, params) for params in FOLLOWED]
        cut = [follow(serving, params) for params in FOLLOWED]
        with subprocess.Popen(
            [sys.executable, racer.__file__, server.unix_url, "plain", "4"],
            env={"PYTHONPATH": PATH},
            stdout=subprocess.DEVNULL,
        ) as writers:
            while writers.poll() is None:
                time.sleep(0.1)
                i = dice.randrange(len(cut))
                cut[i].close()
                time.sleep(dice.choice((0, 0, 0.4)))
                cut[i] = serving.follow(cut[i].last, cut[i].rooms, **FOLLOWED[i])
                if dice.random() < 0.2:
                    server.control.client_kill_filter(_type="pubsub")
        assert writers.returncode == 0
        time.sleep(racer.WINDOW)
        for name in ROOMS:
            wide = presence.room(name, window=3600)
            while wide.sweep():
                pass
            wide.mark_online_many([herenow.Sighting(f"u{i}", KINDS[i % 4]) for i in range(8)])
        for i, params in enumerate(FOLLOWED):
            for following in (steady[i], cut[i]):
                following.until(partial(is_right, following, presence, params), 15)
    assert sum(len(one.told) for one in steady) > 500
