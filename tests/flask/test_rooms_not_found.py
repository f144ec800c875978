"""Pages that are not found, forbidden or broken are in no room, whatever they show."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, redirect, render_template_string
from werkzeug.exceptions import NotFound

from herenow import Counts
from herenow.flask import HereNow
from tests.flask.conftest import FIREFOX

Site = Callable[..., tuple[Flask, HereNow]]
SHOWN = "{{ online_count() }} online, {{ online_users()|length }} members"


def threads(request: Any) -> object:
    return request.path.rpartition("/thread/")[2] if "/thread/" in request.path else None


def raised(_: str) -> str:
    raise NotFound


def gone(_: str) -> str:
    abort(410)


def broken(_: str) -> str:
    raise KeyError("a bug")


def caught(_: str) -> Any:
    try:
        raise KeyError("no such thread")
    except KeyError:
        return render_template_string(SHOWN + "{{ online_count(room='thread 1') }}"), 404


def answered(_: str) -> Any:
    return render_template_string(SHOWN), 404


VIEWS = {"raised": raised, "gone": gone, "broken": broken, "caught": caught, "answered": answered}
ASKED: dict[str, Callable[[HereNow], object]] = {
    "nothing": lambda _: None,
    "counts": lambda here: here.counts(),
    "rooms": lambda here: here.rooms(),
    "users": lambda here: here.get_online_users(),
    "people": lambda here: here.people(["alice"]),
    "the room": lambda here: here.room("thread 1").counts(),
    "the presence": lambda here: here.presence.counts(),
    "names": lambda here: here.visitor,
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("how", ["no such URL", *VIEWS])
def test_crawlers_mark_no_rooms_and_use_up_none(site: Site, how: str, asked: str) -> None:
    app, here = site(rooms=threads, buffered=False, max_rooms=2)

    def handler(error: Any) -> Any:
        ASKED[asked](here)
        return render_template_string(SHOWN), getattr(error, "code", 500)

    for code in (404, 410, 500):
        app.register_error_handler(code, handler)
    if how in VIEWS:
        app.add_url_rule("/thread/<_>", "thread", VIEWS[how])
    app.add_url_rule("/found/thread/<_>", "found", lambda _: str(here.room("found").counts()))
    crawler = app.test_client()
    for i in range(5):
        page = crawler.get(f"/thread/{i}", headers={"User-Agent": FIREFOX})
        assert page.status_code in (404, 410, 500)
    assert {room.name for room in here.rooms()} == {"site"}
    crawler.get("/found/thread/found", headers={"User-Agent": FIREFOX})
    assert {room.name for room in here.rooms()} == {"site", "found"}


def test_whoever_asks_about_a_room_finds_herself_there(site: Site) -> None:
    app, here = site(rooms=threads, buffered=True)
    app.add_url_rule("/thread/<name>", "thread", lambda name: f"{here.room(name).counts()}")
    app.add_url_rule("/raw/thread/<_>", "raw", lambda _: str(len(here.presence.rooms())))
    visitor = app.test_client()
    assert visitor.get("/thread/1", headers={"User-Agent": FIREFOX}).text == f"{Counts(guest=1)}"
    assert visitor.get("/raw/thread/2", headers={"User-Agent": FIREFOX}).text == "3"


def test_a_page_that_sends_elsewhere_is_in_its_rooms_at_the_end(site: Site) -> None:
    app, here = site(rooms=threads, buffered=True)

    def view(_: str) -> Any:
        here.counts()
        return redirect("/")

    app.add_url_rule("/thread/<_>", "thread", view)
    app.test_client().get("/thread/1", headers={"User-Agent": FIREFOX})
    assert {room.name for room in here.rooms()} == {"site", "1"}
