"""The adapter on a real store: marks, the recipe's names, the page, several apps."""

import gc
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Blueprint, Flask, request, send_from_directory

import herenow
from herenow.flask import HereNow
from tests.waiting import poll

Site = Callable[..., tuple[Flask, HereNow]]
RULE = "/online"


def by_name(request: object) -> object:
    """Identify by what the request says of itself, as a site does by a session."""
    return getattr(request, "headers", {}).get("X-User")


def visit(app: Flask, user: str | None = None, path: str = "/", accept: str | None = None) -> str:
    headers = {name: value for name, value in (("X-User", user), ("Accept", accept)) if value}
    answer = app.test_client().get(path, headers=headers)
    assert answer.status_code == 200
    text = answer.text
    answer.close()
    return text


# ------------------------------------------------------------ marks


def test_whoever_makes_a_request_is_online(site: Site) -> None:
    app, here = site(identify=by_name)
    visit(app, "alice")
    visit(app, "bob")
    assert here.get_online_users() == ["bob", "alice"]


def test_the_recipes_test_set_up_marks_addresses(site: Site) -> None:
    app, here = site(identify=lambda request: request.remote_addr)
    visit(app)
    assert here.get_online_users() == ["127.0.0.1"]


def test_a_guest_whose_repeats_are_dropped_is_marked_again_after_a_leave(
    site: Site,
) -> None:
    app, here = site()
    browser = app.test_client()
    browser.environ_base.update(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux) Firefox/140.0")
    for _ in range(3):
        browser.get("/").close()
        here.presence.flush()  # the room's window is known now, and with it the resolution
    [guest] = here.get_online_users(kind="guest")
    assert here.mark_offline(guest)
    assert here.count_online_users(kind="guest") == 0
    browser.get("/").close()
    assert here.get_online_users(kind="guest") == [guest]


def test_nobody_is_marked_for_none(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    app, here = site(identify=by_name)
    visit(app)
    assert here.get_online_users() == []
    assert caplog.text == ""


def test_with_identify_none_a_site_marks_in_a_hook_of_its_own(site: Site) -> None:
    app, here = site(identify=None)
    visit(app, "alice")
    assert here.get_online_users() == []
    app, here = site(identify=None)

    @app.before_request
    def mark_current_user_online() -> None:
        here.mark_online(request.headers["X-User"])

    visit(app, "alice")
    assert here.get_online_users() == ["alice"]


def test_the_mark_is_there_for_the_view(site: Site) -> None:
    app, here = site(identify=by_name)
    app.add_url_rule("/me", "me", lambda: str(here.is_online("alice")))
    assert visit(app, "alice", "/me") == "True"


def test_static_files_mark_nobody(site: Site, tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text("p {}")
    app, here = site(identify=by_name)
    app.static_folder = str(tmp_path)
    shop = Blueprint("shop", "shop", static_folder=str(tmp_path), static_url_path="/static")
    app.register_blueprint(shop, url_prefix="/shop")
    app.add_url_rule("/file", "file", lambda: send_from_directory(tmp_path, "style.css"))
    for path in ("/static/style.css", "/shop/static/style.css"):
        assert visit(app, "alice", path) == "p {}"
    assert here.get_online_users() == []
    visit(app, "alice", "/file")
    assert here.get_online_users() == ["alice"]


def test_a_page_that_is_not_there_is_a_sign_of_life(site: Site) -> None:
    app, here = site(identify=by_name)
    assert app.test_client().get("/nowhere", headers={"X-User": "alice"}).status_code == 404
    assert here.is_online("alice")


def test_a_strange_id_is_logged_and_the_page_served(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    app, here = site(identify=by_name)
    assert visit(app, "x" * 257) == "hello"
    assert "a visitor is not marked: a user has at most 256 UTF-8 bytes" in caplog.text
    assert here.get_online_users() == []


def test_marks_are_buffered_unless_told_otherwise(site: Site) -> None:
    _, here = site()
    _, exact = site(buffered=False)
    assert here.mark_online("alice") is None
    assert exact.mark_online("bob") is True
    poll(lambda: "alice" in exact.get_online_users(), "the flush")  # seen by another presence


# ------------------------------------------------------------ the recipe's names


def test_last_activity_outlives_being_online(site: Site) -> None:
    _, here = site()
    assert here.get_user_last_activity("alice") is None
    here.mark_online("alice")
    seen = here.get_user_last_activity("alice")
    assert seen is not None
    assert seen.tzinfo is not None
    assert here.mark_offline("alice") is True
    assert not here.is_online("alice")
    assert here.get_user_last_activity("alice") == seen


def test_online_last_minutes_is_the_window(site: Site) -> None:
    app, here = site({"ONLINE_LAST_MINUTES": 0.05}, identify=by_name)
    visit(app, "alice")
    until = here.presence.lookup(["alice"])["alice"]
    assert until.last_seen is not None
    assert until.online_until is not None
    assert (until.online_until - until.last_seen).total_seconds() == 3
    poll(lambda: not here.is_online("alice"), "the end of three seconds")


def test_bad_arguments_are_errors(site: Site) -> None:
    _, here = site()
    with pytest.raises(ValueError, match="a user is not empty"):
        here.mark_online("")
    with pytest.raises(ValueError, match="a kind is one of"):
        here.get_online_users(kind="ghost")  # type: ignore[arg-type]


def test_health(site: Site) -> None:
    _, here = site()
    health = here.health()
    assert health.ok
    assert health.latency is not None


# ------------------------------------------------------------ the page


def test_the_page_lists_who_is_online(site: Site) -> None:
    app, _ = site(identify=by_name, online_url=True)
    visit(app, "alice")
    answer = app.test_client().get("/online", headers={"X-User": "bob"})
    assert answer.text == "Online: bob, alice"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_for_nobody(site: Site) -> None:
    app, _ = site(identify=None, online_url=True)
    assert visit(app, path="/online") == "Online: "


def test_there_is_no_page_unless_asked_for(site: Site) -> None:
    app, _ = site()
    assert app.test_client().get("/online").status_code == 404


def test_the_page_lists_no_hidden_users(site: Site) -> None:
    app, here = site(identify=by_name, online_url=True)
    here.mark_online("alice", kind="hidden")
    assert visit(app, "bob", "/online") == "Online: bob"
    assert (
        visit(app, "alice", "/online") == "Online: bob"
    )  # and alice's request does not show alice
    assert here.get_online_users() == ["bob"]


# ------------------------------------------------------------ several apps


def test_apps_share_a_herenow_and_nothing_else(url: str, site: Site) -> None:
    here = HereNow(identify=by_name)
    apps = []
    for name in ("a", "b"):
        app = Flask(name)
        app.add_url_rule("/", "index", lambda: "hello")
        app.config.update(HERENOW_URL=url, HERENOW_PREFIX=f"{name}:", HERENOW_ONLINE_URL=RULE)
        here.init_app(app)
        apps.append(app)
    one, other = apps
    visit(one, "alice")
    visit(other, "bob")
    assert visit(one, path=RULE) == "Online: alice"
    assert visit(other, path=RULE) == "Online: bob"
    with one.app_context():
        assert here.get_online_users() == ["alice"]
        here.presence.close()
    with other.app_context():
        assert here.get_online_users() == ["bob"]
        here.presence.close()
    with pytest.raises(RuntimeError, match="exactly one app, and has 2"):
        here.get_online_users()


def test_a_factory_makes_apps_one_after_the_other(url: str) -> None:
    here = HereNow(identify=by_name)

    def create_app() -> Flask:
        app = Flask("made")
        app.add_url_rule("/", "index", lambda: "hello")
        app.config["HERENOW_URL"] = url
        here.init_app(app)
        return app

    for user in ("alice", "bob"):
        app = create_app()
        visit(app, user)
        assert here.is_online(user)  # outside of a context: the one app there is
        here.presence.close()
        del app
        gc.collect()


def test_without_an_app_the_error_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"exactly one app, and has 0: use `with app.app_con"):
        HereNow().get_online_users()


def test_the_context_of_an_app_it_does_not_know_is_an_error(site: Site) -> None:
    app, here = site()
    other, _ = site()
    for stranger in (other, Flask("bare")):
        with (
            stranger.app_context(),
            pytest.raises(RuntimeError, match=r"does not know the current app: call init_app"),
        ):
            here.get_online_users()
    with app.app_context():
        assert here.get_online_users() == []


def test_a_second_herenow_on_an_app_is_an_error(site: Site) -> None:
    app, here = site()
    with pytest.raises(ValueError, match="has a HereNow already"):
        here.init_app(app)


# ------------------------------------------------------------ what it is given


def test_a_presence_made_elsewhere(url: str) -> None:
    app = Flask("app")
    app.add_url_rule("/", "index", lambda: "hello")
    with herenow.Presence(url, prefix="own:") as presence:
        here = HereNow(app, presence=presence, identify=by_name, online_url=True)
        assert here.presence is presence
        visit(app, "alice")
        assert visit(app, path="/online") == "Online: alice"
        assert presence.is_online("alice")
        with pytest.raises(ValueError, match="presence has its own window"):
            HereNow(presence=presence, window=5)


@pytest.mark.parametrize(
    "keywords, rule",
    [
        ({"presence": "redis://localhost"}, "presence is a herenow.Presence, not str"),
        ({"identify": "alice"}, "identify is a function of the request"),
        ({"windows": 5}, "no setting 'windows'"),
        ({"url": "localhost"}, "HERENOW_URL, given as an argument"),
    ],
)
def test_a_wrong_argument_is_an_error(keywords: dict[str, str], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        HereNow(Flask("app"), **keywords)  # type: ignore[arg-type]


def test_starting_an_app_does_not_touch_the_store(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "herenow")
    began = time.monotonic()
    HereNow(Flask("app"), url="redis://localhost:1/0", identify=by_name)
    assert time.monotonic() - began < 1
    assert caplog.text == ""
