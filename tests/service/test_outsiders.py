"""Hidden against left, over HTTP: two services of one clock, told apart by no answer and no stream.

In ``hides`` some members hide; in ``left`` they leave (`tests.oracle.Outsiders`). A reader without the
scope admin gets the same status, headers and bodies of both after each step; and of both streams the same
frames, with ids that move alike.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

import herenow
from herenow.operations.events import Place
from herenow.service import Service, create_app
from tests.conftest import LONG, Clock
from tests.core.machine import RETENTION, START
from tests.oracle import Oracle
from tests.outsiders import Outsiders
from tests.servers import Server
from tests.service.conftest import PATIENT, SECRET, bearer, token

USERS = ("a", "b", "c")
STEPS = 20


class Side:
    """One service, as somebody sees it who may only read."""

    def __init__(self, server: Server, name: str, clock: Clock) -> None:
        self.presence = herenow.AsyncPresence(
            server.unix_url,
            prefix=f"{name}:",
            clock=clock,
            retention=RETENTION / 1000,
            resolution=0,
            timeout=PATIENT,
        )
        self.app: Service = create_app(self.presence, secret=SECRET, rate_limit="1000000/second")
        transport = httpx.ASGITransport(app=self.app)
        self.client = httpx.AsyncClient(
            transport=transport, base_url="http://service.test", headers=bearer(token(scope="read"))
        )
        self.sent = b""

    async def apply(self, method: str, said: dict[str, Any]) -> None:
        if method == "leave":
            await self.presence.mark_offline(said["name"], said.get("session"))
        else:
            await self.presence.mark_online(
                said["name"], said["kind"], said["session"], said["away"], said["info"]
            )

    async def answers(self, now: float) -> dict[str, Any]:
        """Status, headers and body of all that may be asked."""
        room, span = "/v1/rooms/site", {"start": moment(START / 1000 - 60), "end": moment(now + 60)}
        asked: list[tuple[str, dict[str, Any]]] = [
            ("/v1/rooms", {}),
            (room, {}),
            (f"{room}/uniques", {"days": 7}),
            *((f"{room}/users", {"kind": kind}) for kind in ("member", "guest", "bot")),
            *((f"{room}/users/{user}", {}) for user in USERS),
            *((f"{room}/history", {**span, "step": step}) for step in ("minute", "hour")),
        ]
        found = {}
        for path, query in asked:
            found[f"{path} {query}"] = told(await self.client.get(path, params=query))
        cursor = None
        for page in range(4):
            query = {"limit": 1} if cursor is None else {"limit": 1, "cursor": cursor}
            answer = await self.client.get(f"{room}/users", params=query)
            found[f"page {page}"] = told(answer)
            cursor = answer.json()["cursor"]
            if cursor is None:
                break
        looked = await self.client.post(f"{room}/lookup", json={"users": list(USERS)})
        counted = await self.client.post("/v1/counts", json={"rooms": ["site"]})
        return {**found, "lookup": told(looked), "counts": told(counted)}

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator[None]:
        """Follow the room's events."""
        gone = asyncio.Event()
        asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for one in asked:
                return one
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.sent += message.get("body", b"")

        credential = bearer(token(scope="read"))["Authorization"].encode()
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "path": "/v1/rooms/site/events", "raw_path": b"/v1/rooms/site/events", "scheme": "http",
            "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1),
            "server": ("service.test", 80),
            "headers": [(b"host", b"service.test"), (b"authorization", credential)],
        }  # fmt: skip
        task = asyncio.create_task(self.app(scope, receive, send))
        try:
            yield
        finally:
            gone.set()
            await task

    def frames(self) -> list[Any]:
        """What the stream sent: its ids from the first event on."""
        found, first = [], None
        for block in self.sent.decode().split("\n\n"):
            lines = [line.partition(": ") for line in block.split("\n")]
            fields = {name: value for name, colon, value in lines if colon}
            if "data" not in fields:
                continue
            data, place = json.loads(fields["data"]), Place.parse(fields["id"])
            assert place.shown is None
            assert data.pop("id") == fields["id"]
            if "snapshot" in data:
                assert data["snapshot"].pop("event_id") == fields["id"]
            if first is None and place.number:
                first = place.number - 1
            number = place.number and place.number - (first or 0)
            found.append((fields["event"], data, number, place.moment, place.history))
        return found

    async def close(self) -> None:
        await self.client.aclose()
        await self.app.aclose()
        await self.presence.aclose()


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def told(answer: httpx.Response) -> Any:
    return answer.status_code, sorted(answer.headers.items()), answer.content


@pytest.mark.parametrize("seed", range(40 if LONG else 2))
async def test_who_hides_and_who_left_get_the_same_answers(server: Server, seed: int) -> None:
    dice = random.Random(seed)
    clock = Clock(START / 1000)
    outsiders = Outsiders(Oracle(300_000, RETENTION))
    hides, left = Side(server, "hides", clock), Side(server, "left", clock)
    async with hides.stream(), left.stream():
        for side in (hides, left):
            await until(lambda side=side: b"snapshot" in side.sent)
        for step in range(STEPS):
            now = round(clock.now * 1000)
            outsiders.room.begin(now)
            name, session = dice.choice(USERS), dice.choice(["", "", "t1", "t2"])
            if dice.random() < 0.25:
                arguments: dict[str, Any] = {"name": name, "session": dice.choice([None, session])}
                await hides.apply("leave", arguments)
                as_left = outsiders.leave(now, **arguments)
            else:
                arguments = {
                    "name": name,
                    "kind": dice.choice([None, None, "hidden", "hidden", "member", "guest"]),
                    "session": session,
                    "away": dice.choice([None, None, True]),
                    "info": dice.choice([None, None, {"page": f"/{step}"}]),
                }
                await hides.apply("mark", arguments)
                as_left = outsiders.mark(now, **arguments)
            for method, said in as_left:
                await left.apply(method, said)
            assert await hides.answers(clock.now) == await left.answers(clock.now), arguments
            clock.now += dice.choice([0.001, 1, 30, 150, 300, 700])
            await asyncio.gather(hides.presence.sweep(), left.presence.sweep())
            outsiders.room.begin(round(clock.now * 1000))
            assert await hides.answers(clock.now) == await left.answers(clock.now), "later"
        for side in (hides, left):
            await side.presence.mark_online("the last one")
            await until(lambda side=side: b"the last one" in side.sent)
    assert len(left.frames()) > 1
    assert hides.frames() == left.frames()
    await hides.close()
    await left.close()


async def until(true: Any) -> None:
    async with asyncio.timeout(PATIENT):
        while not true():  # noqa: ASYNC110 - what is sent rings no bell
            await asyncio.sleep(0.01)
