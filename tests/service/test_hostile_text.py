"""Hostile text in all that is foreign: what the service and the page of who is online say of it."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import httpx
import pytest

import herenow
from herenow.models import Counts
from herenow.service.metrics import MOST_ROOMS
from herenow.web import online_page
from herenow.web.people import People, Person
from tests.servers import Server
from tests.service.conftest import API_KEY, Serve, bearer

TURNED = "\u202egnp.exe\u2066\u061c\u200b\u2028"
EVIL = "\x1b]0;owned\x07\x9b2J\x85\x7f" + TURNED
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
EVE, ROOM = "eve" + TURNED, "room" + TURNED


def test_json_streams_and_metrics(serve: Serve, server: Server) -> None:
    address = serve()
    with herenow.Presence(server.url, timeout=5) as presence:
        for where in (presence, presence.room(ROOM)):
            where.mark_online(EVE, session=TURNED, info={EVIL: EVIL})
        assert MOST_ROOMS > 1
    said = []
    for path in (
        *("rooms", "rooms/site", "rooms/site/users", "rooms/site/why/x", "rooms/site/history"),
        *(f"rooms/{ROOM}", f"rooms/{ROOM}/users", f"rooms/{ROOM}/users/{EVE}"),
    ):
        answer = httpx.get(f"{address}/v1/{path}", headers=bearer(API_KEY))
        assert UNSAFE.search(answer.text) is None, (path, answer.text)
        said.append(answer.text)
    [user] = json.loads(said[-2])["users"]
    assert (user["user"], user["info"]) == (EVE, {EVIL: EVIL})
    metrics = httpx.get(f"{address}/metrics", headers=bearer(API_KEY)).text
    assert UNSAFE.search(metrics) is None
    assert 'room="room\\\\u202egnp' in metrics
    with httpx.stream(
        "GET", f"{address}/v1/rooms/{ROOM}/events", headers=bearer(API_KEY)
    ) as stream:
        for line in stream.iter_lines():
            assert UNSAFE.search(line) is None, line
            if line.startswith("data:"):
                assert json.loads(line[5:])["snapshot"]["users"][0]["user"] == EVE
                break


def test_rooms_that_are_shown_alike_are_counted_together(serve: Serve, server: Server) -> None:
    address = serve()
    with herenow.Presence(server.url, timeout=5) as presence:
        presence.room("r\u202e").mark_online("eve")
        presence.room("r\\u202e").mark_online("eve")
    text = httpx.get(f"{address}/metrics", headers=bearer(API_KEY)).text
    assert 'herenow_online{kind="member",room="r\\\\u202e"} 2.0' in text


class _Outside(HTMLParser):
    """What text stands in no ``<bdi>``."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside = 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.inside += tag == "bdi"

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "bdi"

    def handle_data(self, data: str) -> None:
        self.outside += "" if self.inside else data


@pytest.mark.parametrize("kind", online_page.OFFERED)
def test_the_page_of_who_is_online(kind: str) -> None:
    people = People([Person("1", f"<b>{EVIL}", online=True), Person(EVE, EVE, online=True)])
    page = online_page.render(kind, online_page.Content(Counts(member=2), people, None))
    if kind == online_page.HTML:
        outside = _Outside()
        outside.feed(page)
        assert "exe" not in outside.outside
        assert UNSAFE.search(outside.outside) is None
        assert "<b>\x1b" not in page
    else:
        assert UNSAFE.search(page) is None, page
    if kind == online_page.JSON:
        assert [one["name"] for one in json.loads(page)["users"]] == [f"<b>{EVIL}", EVE]


def test_pages_of_ours_set_what_is_foreign_apart() -> None:
    dashboard = files("herenow").joinpath("browser", "dashboard.html").read_text()
    # whoever is named is put there by cell() or as a bdi
    assert not re.search(r'make\("(td|li)", (room|user)\b', dashboard)
    for template in files("herenow").joinpath("demo", "templates", "forum").iterdir():
        for shown in re.finditer(
            r"(.{5})\{\{ (members\[|one\.name|thread\.title|post\.text)", template.read_text()
        ):
            assert shown[1] in ("<bdi>", "le %}"), (template.name, shown[0])
