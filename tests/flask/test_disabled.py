"""A site where herenow is disabled: whatever is asked, nothing is looked up, opened or started."""

import inspect
import socket
import threading
from typing import Any

import pytest
from flask import Flask

import herenow
from herenow.errors import StoreUnavailable
from herenow.flask import HereNow
from herenow.web.trouble import Disabled
from tests.flask.conftest import FIREFOX

ASKS_NOTHING = {"close", "flush", "health", "name", "room"}


@pytest.fixture(autouse=True)
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was looked up, opened or started: nothing."""
    tried: list[Any] = []

    def note(*args: Any, **_: Any) -> Any:
        tried.append(args)
        raise OSError("nothing is to be reached")

    monkeypatch.setattr(socket, "getaddrinfo", note)
    monkeypatch.setattr(socket.socket, "connect", note)
    monkeypatch.setattr(threading.Thread, "start", note)
    return tried


def asked(presence: herenow.Presence, name: str) -> Any:
    """Get a property, or call a method with something for whatever it asks for."""
    member = inspect.getattr_static(herenow.Presence, name)
    if isinstance(member, property):
        return getattr(presence, name)
    needed = [
        one
        for one in inspect.signature(member).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    found = getattr(presence, name)(*["somebody"] * (len(needed) - 1))
    if hasattr(found, "__enter__") and name != "room":
        found.__enter__()
    return next(found) if hasattr(found, "__next__") else found


@pytest.mark.parametrize("name", [one for one in dir(herenow.Presence) if one[0] != "_"])
@pytest.mark.parametrize("room", ["site", "doc:1"])
def test_every_method_says_so_and_opens_nothing(name: str, room: str, reached: list[Any]) -> None:
    presence = Disabled() if room == "site" else Disabled().room(room)
    if name in ASKS_NOTHING:
        asked(presence, name)
    else:
        with pytest.raises(StoreUnavailable, match="disabled"):
            asked(presence, name)
    assert not presence.health().ok
    assert reached == []


@pytest.mark.parametrize("name", [one for one in dir(HereNow) if one[0] != "_"])
def test_nothing_that_a_site_asks_opens_anything(name: str, reached: list[Any]) -> None:
    app = Flask(__name__)
    here = HereNow(app, enabled=False, rooms=lambda _: "doc:1", online_url=True, secret="x" * 32)
    arguments: dict[str, Any] = {
        "init_app": (Flask("another"),),
        "page_online_users": (),
        "count_active_users": (60,),
        "get_active_users": (60,),
        "lookup": (["alice"],),
        "people": (["alice"],),
        "mark_online_many": (["alice"],),
    }
    with app.test_request_context():
        member = inspect.getattr_static(HereNow, name)
        if isinstance(member, property):
            getattr(here, name)
        else:
            takes = "user" in inspect.signature(member).parameters or name == "room"
            getattr(here, name)(*arguments.get(name, ("alice",) if takes else ()))
    page = app.test_client().get("/online", headers={"User-Agent": FIREFOX})
    assert page.status_code == 200
    assert reached == []
