"""`here.token()`: what a page asks the service with, as whoever it is made for."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask, Response, abort, render_template_string, stream_with_context

from herenow import Visitor
from herenow.flask import HereNow
from herenow.web.tokens import read_token
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


def _caching(kind: str | None) -> Callable[[Response], Response]:
    def say(response: Response) -> Response:
        if kind is not None:
            response.headers["Cache-Control"] = kind
        return response

    return say


@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("said", [None, "public, max-age=600", "s-maxage=60"])
def test_a_page_with_a_token_is_kept_by_no_cache(
    server: Server, said: str | None, *, first: bool, login: bool
) -> None:
    """Whatever the app's own hooks say of caches, and whenever they were set up."""
    app = Flask("app")
    here = HereNow(url=server.url, secret=SECRET, **({} if login else {"identify": None}))
    if first:
        app.after_request(_caching(said))
    here.init_app(app)
    if not first:
        app.after_request(_caching(said))

    def fail() -> str:
        abort(404, here.token())

    app.add_url_rule("/", "page", lambda: here.token())  # noqa: PLW0108 - a view is a function
    app.add_url_rule("/kept", "kept", lambda: "for all")
    app.add_url_rule(
        "/template", "template", lambda: render_template_string("{{ t() }}", t=here.token)
    )
    app.add_url_rule("/missing", "missing", fail)
    browser = app.test_client()
    for path in ("/", "/template", "/missing"):
        assert browser.get(path).headers["Cache-Control"] == "private, no-store", path
    assert browser.get("/kept").headers.get("Cache-Control") == said
    with app.app_context():
        here.presence.close()


@pytest.mark.parametrize("said", [None, "public", "private", "no-store"])
def test_a_stream_that_others_may_keep_gets_no_token(server: Server, said: str | None) -> None:
    """Its headers are gone when the token is asked for."""
    app = Flask("app")
    here = HereNow(app, url=server.url, secret=SECRET, identify=None)
    app.after_request(_caching(said))

    def parts() -> Iterator[str]:
        yield "token: "
        yield here.token()

    app.add_url_rule("/", "page", lambda: Response(stream_with_context(parts())))
    if said in {"private", "no-store"}:
        assert read_token(app.test_client().get("/").text[7:], secret=SECRET).scope == "read"
    else:
        with pytest.raises(RuntimeError, match="before you stream"):
            _ = app.test_client().get("/").text
    with app.app_context():
        here.presence.close()


def test_without_a_secret_there_is_none(server: Server) -> None:
    app = Flask("app")
    here = HereNow(app, url=server.url, identify=None)
    with app.test_request_context(), pytest.raises(ValueError, match="HERENOW_SECRET is not set"):
        here.token()
    with app.app_context():
        here.presence.close()
