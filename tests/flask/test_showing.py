"""What pages show: the page of who is online by Accept, the helpers of templates, the command."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, render_template_string
from flask.templating import Environment

from herenow.flask import HereNow
from herenow.web.people import Person, last_seen
from tests.servers import Server

Site = Callable[..., tuple[Flask, HereNow]]
NAMES = {"1": "Alice", 2: "Bob <b>"}


@pytest.fixture
def asked() -> list[list[str]]:
    return []


@pytest.fixture
def shown(site: Site, asked: list[list[str]]) -> tuple[Flask, HereNow]:
    """A site with names, where two members, a hidden one, a guest and a bot are online."""

    def names(ids: list[str]) -> dict[Any, str]:
        asked.append(ids)
        return NAMES

    app, here = site(identify=None, names=names, online_url=True, buffered=False)
    here.mark_online(1)
    here.mark_online(2, away=True)
    here.mark_online("carol", kind="hidden")
    here.mark_online("guest-x", kind="guest")
    here.mark_online("bot-y", kind="bot")
    return app, here


@pytest.mark.parametrize("accept", ["text/plain", "application/json", "text/html"])
def test_a_page_of_very_many_is_short_and_says_how_many_more_there_are(
    site: Site, accept: str
) -> None:
    asked: list[int] = []

    def names(ids: list[str]) -> dict[str, str]:
        asked.append(len(ids))
        return {one: f"bird {one}" for one in ids}

    app, here = site(identify=None, names=names, online_url=True, buffered=False)
    for part in range(5):
        here.mark_online_many(range(1000 * part, 1000 * part + 1000))
    client = app.test_client()
    page = client.get("/online", headers={"Accept": accept}).text
    assert len(page) < 10_000
    assert max(asked) <= 100
    if accept == "text/plain":
        assert page.count("bird ") == 100
        assert page.endswith(", and 4,900 more")
        assert client.get("/online?limit=3").text.endswith(", and 4,997 more")
    elif accept == "text/html":
        assert "<b>5,000</b> members" in page
    else:
        assert json.loads(page)["counts"]["member"] == 5000


class Trimmed(Environment):
    """An environment of a site's own."""


def test_what_is_set_up_for_templates_after_herenow_counts(site: Site) -> None:
    app, here = site(identify=None, buffered=False)
    app.jinja_options = {"trim_blocks": True}
    app.jinja_options["extensions"] = ["jinja2.ext.do"]
    app.jinja_environment = Trimmed
    app.config["TEMPLATES_AUTO_RELOAD"] = True
    app.jinja_env.globals["people"] = "their own"
    app.jinja_env.filters["shout"] = str.upper
    here.mark_online("alice")
    said = "{% do [] %}\n{{ online_count() }} {{ people }} {{ 'x'|shout }} {{ 'bob'|last_seen }}"
    assert rendered(app, said) == "1 their own X not lately"
    assert app.jinja_env.auto_reload
    assert isinstance(app.jinja_env, Trimmed)


def test_what_was_set_up_for_templates_before_herenow_stays(url: str) -> None:
    app = Flask("before")
    app.jinja_env.globals["people"] = "their own"
    here = HereNow(app, url=url, identify=None, buffered=False)
    here.mark_online("alice")
    assert rendered(app, "{{ online_count() }} {{ people }}") == "1 their own"
    here.presence.close()


def page(app: Flask, accept: str | None = None, query: str = "") -> Any:
    headers = {"Accept": accept} if accept else {}
    return app.test_client().get("/online" + query, headers=headers)


def rendered(app: Flask, template: str, **more: Any) -> str:
    with app.test_request_context():
        return render_template_string(template, **more)


# ------------------------------------------------------------ the page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept, kind",
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        ("text/*", "text/plain"),
        ("image/png", "text/plain"),
        ("nonsense", "text/plain"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("text/html", "text/html"),
        (BROWSER, "text/html"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("application/json;q=0.2, text/html;q=0.3, text/plain;q=0.1", "text/html"),
    ],
)
def test_the_page_comes_as_it_is_accepted(
    shown: tuple[Flask, HereNow], accept: str | None, kind: str
) -> None:
    answer = page(shown[0], accept)
    assert (answer.status_code, answer.mimetype) == (200, kind)
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "carol" not in answer.text


def test_the_page_as_text_has_names(shown: tuple[Flask, HereNow], asked: list[Any]) -> None:
    assert page(shown[0]).text == "Online: Bob <b>, Alice"
    assert asked == [["2", "1"]]


def test_the_page_as_json(shown: tuple[Flask, HereNow]) -> None:
    answer = page(shown[0], "application/json").json
    assert answer["counts"] == {"member": 2, "guest": 1, "bot": 1}
    assert [(one["user"], one["name"], one["away"]) for one in answer["users"]] == [
        ("2", "Bob <b>", True),
        ("1", "Alice", False),
    ]
    seen = datetime.fromisoformat(answer["users"][0]["last_seen"])
    assert abs(datetime.now(UTC) - seen) < timedelta(seconds=30)
    assert answer["cursor"] is None


def test_the_page_goes_on(shown: tuple[Flask, HereNow]) -> None:
    first = page(shown[0], "application/json", "?limit=1").json
    assert [one["user"] for one in first["users"]] == ["2"]
    then = page(shown[0], "application/json", f"?limit=1&cursor={first['cursor']}").json
    assert [one["user"] for one in then["users"]] == ["1"]
    assert then["counts"] == first["counts"]
    assert 'rel="next"' in page(shown[0], "text/html", "?limit=1").text


@pytest.mark.parametrize("query", ["?limit=0", "?limit=501", "?limit=x", "?cursor=nonsense"])
def test_a_bad_question_is_told(shown: tuple[Flask, HereNow], query: str) -> None:
    answer = page(shown[0], "application/json", query)
    assert (answer.status_code, answer.mimetype) == (400, "text/plain")


def test_the_page_as_html(shown: tuple[Flask, HereNow]) -> None:
    text = page(shown[0], "text/html").text
    assert "<b>2</b> members, <b>1</b> guest, <b>1</b> bot" in text
    assert "<bdi>Bob &lt;b&gt;</bdi>" in text
    assert text.count("<li") == 2


# ------------------------------------------------------------ templates


@pytest.mark.parametrize(
    "template, text",
    [
        ("{{ online_count() }}", "3"),
        ("{{ online_count('member') }} {{ online_count('guest') }}", "2 1"),
        ("{{ online_count('bot') + 1 }}", "2"),
        ("{{ online_count(room='empty') }}", "0"),
        ("{{ online_users()|join(', ') }}", "Bob &lt;b&gt;, Alice"),
        ("{{ online_users() }}", "Bob &lt;b&gt;, Alice"),
        ("{{ online_users(limit=1)|length }}", "1"),
        ("{{ online_users(kind='guest') }}", "guest-x"),
        ("{% for one in online_users() %}{{ one|last_seen }};{% endfor %}", "now;now;"),
        ("{{ 1|last_seen }} {{ '9'|last_seen }} {{ none|last_seen }}", "now not lately not lately"),
        ("{{ people([2, 9, 1]) }}", "Bob &lt;b&gt;, 9, Alice"),
        ("{% for one in people([1, 9]) %}{{ one.online }} {% endfor %}", "True False "),
        ("{{ person(1) }} {{ person('carol').online }}", "Alice False"),
    ],
)
def test_templates(shown: tuple[Flask, HereNow], template: str, text: str) -> None:
    assert rendered(shown[0], template) == text


def test_what_the_app_calls_so_stays_its_own(url: str) -> None:
    app = Flask("app")
    app.add_template_global(lambda: "mine", "online_count")
    here = HereNow(app, url=url)
    assert rendered(app, "{{ online_count() }}") == "mine"
    here.presence.close()


def test_a_list_is_one_look_up_and_one_call_for_names(
    shown: tuple[Flask, HereNow], asked: list[Any], server: Server
) -> None:
    app, here = shown
    ids = [str(one) for one in range(200)]
    here.is_online("1")
    before = server.control.info("commandstats")["cmdstat_evalsha"]["calls"]
    row = "{% for one in ids %}{{ person(one) }}{{ one|last_seen }}{% endfor %}"
    template = "{% set _ = people(ids) %}" + row
    assert rendered(app, template, ids=ids).count("not lately") == 198
    after = server.control.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before <= 1  # or an EVAL, the first time
    assert asked == [ids]


def test_last_seen_in_words() -> None:
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    for ago, words in (
        (timedelta(minutes=3), "3 minutes ago"),
        (timedelta(0), "now"),
        (timedelta(seconds=-2), "now"),
        (timedelta(days=2), "2 days ago"),
    ):
        assert last_seen(now - ago, now) == words
        assert last_seen(Person("1", "Alice", last_seen=now - ago), now) == words
    assert last_seen(None) == "not lately"
    assert last_seen(Person("1", "Alice", known=False)) == "unknown"


# ------------------------------------------------------------ the command


def test_the_command(shown: tuple[Flask, HereNow]) -> None:
    runner = shown[0].test_cli_runner()
    result = runner.invoke(args=["online"])
    assert result.output == "2 members, 1 guest, 1 bot\nBob <b>\tnow\nAlice\tnow\n"
    assert result.exit_code == 0
    told = json.loads(runner.invoke(args=["online", "--json", "--limit", "1"]).output)
    assert [one["user"] for one in told["users"]] == ["2"]


def test_the_command_without_a_store() -> None:
    app = Flask("app")
    HereNow(app, url="redis://localhost:1/0")
    result = app.test_cli_runner().invoke(args=["online"])
    assert result.exit_code == 1
    assert result.output == "unknown: the store does not answer\n"
