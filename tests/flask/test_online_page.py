"""The page of who is online on a busy site: bounded, and it says how many more there are."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

import herenow
from herenow.flask import HereNow

Site = Callable[..., tuple[Flask, HereNow]]
KINDS = {"text/plain": 100, "application/json": 50, "text/html": 50}
MANY = 2_600


@pytest.fixture
def busy(site: Site) -> tuple[Flask, list[list[str]]]:
    """A site with many online, and what it was asked to name."""
    asked: list[list[str]] = []

    def names(ids: list[str]) -> dict[Any, str]:
        asked.append(ids)
        return {one: f"Name{one}." for one in ids}

    app, here = site(identify=None, names=names, online_url=True, buffered=False)
    assert isinstance(here, HereNow)
    for first in range(0, MANY, 1000):
        users = range(first, min(first + 1000, MANY))
        here.mark_online_many([herenow.Sighting(one, age=1 + one / 1000) for one in users])
    return app, asked


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [None, 1, 500])
def test_it_names_so_many_and_says_how_many_more(
    busy: tuple[Flask, list[list[str]]], kind: str, limit: int | None
) -> None:
    app, asked = busy
    query = "" if limit is None else f"?limit={limit}"
    answer = app.test_client().get(f"/online{query}", headers={"Accept": kind})
    shown = limit or KINDS[kind]
    assert answer.text.count("Name") == shown
    assert [one.split(".")[0] for one in answer.text.split("Name")[1:3]] == ["0", "1"][:shown]
    assert [len(ids) for ids in asked] == [shown]
    more = f"and {MANY - shown:,} more"
    if kind == "application/json":
        told = json.loads(answer.text)
        assert told["counts"]["member"] == MANY
        assert told["cursor"]
    elif kind == "text/html":
        assert f">{more}</a>" in answer.text
    else:
        assert answer.text.endswith(f"., {more}")


def test_a_limit_is_bounded_and_a_line_has_no_pages(busy: tuple[Flask, list[list[str]]]) -> None:
    client = busy[0].test_client()
    for query in ("?limit=501", "?limit=0", "?limit=x"):
        assert client.get(f"/online{query}").status_code == 400
    first = json.loads(client.get("/online", headers={"Accept": "application/json"}).text)
    later = client.get(f"/online?cursor={first['cursor']}", headers={"Accept": "text/html"}).text
    assert ">More</a>" in later
    assert client.get(f"/online?cursor={first['cursor']}").text == client.get("/online").text


def test_the_command_names_a_page_and_how_many_more_there_are(
    busy: tuple[Flask, list[list[str]]],
) -> None:
    app, asked = busy
    said = app.test_cli_runner().invoke(args=["online", "--limit", "7"]).output
    assert said.endswith("\nand 2,593 more\n")
    assert [len(ids) for ids in asked] == [7]
