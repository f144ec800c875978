"""`here.token()`: what a page asks the service with, as whoever it is made for."""

from collections.abc import Iterator

import pytest
from flask import Flask

from herenow import Visitor
from herenow.flask import HereNow
from herenow.tokens import read_token
from tests.servers import Server

SECRET = "only-for-tests-0123456789"


@pytest.fixture
def app(server: Server) -> Iterator[Flask]:
    """A site whose visitors say who they are, and which room they are in."""
    app = Flask("app")
    here = HereNow(
        app,
        url=server.url,
        secret=SECRET,
        identify=lambda request: {
            "alice": "alice",
            "guest": Visitor("guest-1", "guest"),
        }.get(request.args.get("who", "")),
        rooms=lambda _: ["doc:1"],
    )
    app.add_url_rule("/", "index", lambda: here.token())  # noqa: PLW0108 - a view is a function
    app.add_url_rule("/short", "short", lambda: here.token(rooms=["a"], expires=60))
    yield app
    with app.app_context():
        here.presence.close()


@pytest.mark.parametrize(
    "who, said",
    [
        ("alice", ("mark", "alice", "member")),
        ("guest", ("mark", "guest-1", "guest")),
        ("nobody", ("read", None, "member")),
    ],
)
def test_it_is_for_the_visitor_and_the_rooms_of_the_request(
    app: Flask, who: str, said: tuple[str, str | None, str]
) -> None:
    token = read_token(app.test_client().get(f"/?who={who}").text, secret=SECRET)
    assert (token.scope, token.user, token.kind) == said
    assert token.rooms == frozenset({"site", "doc:1"})


def test_it_may_be_for_other_rooms_and_shorter(app: Flask) -> None:
    answer = app.test_client().get("/short?who=alice").text
    whole = read_token(app.test_client().get("/?who=alice").text, secret=SECRET)
    token = read_token(answer, secret=SECRET)
    assert token.rooms == frozenset({"a"})
    assert 3500 < whole.until - token.until < 3600


def test_without_a_secret_there_is_none(server: Server) -> None:
    app = Flask("app")
    here = HereNow(app, url=server.url, identify=None)
    with app.test_request_context(), pytest.raises(ValueError, match="HERENOW_SECRET is not set"):
        here.token()
    with app.app_context():
        here.presence.close()
