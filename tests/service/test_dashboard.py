"""The dashboard, in a real browser: the link is traded for a cookie, and the page shows who is there."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import chromium
from tests.service.conftest import API_KEY, Serve, bearer, token


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page of a new visitor, and what went wrong on it."""
    context = browser.new_context()
    opened, wrong = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    yield opened, wrong
    context.close()


def put(address: str, user: str, **said: Any) -> None:
    """Mark somebody."""
    answer = httpx.put(
        f"{address}/v1/rooms/site/users/{quote(user, safe='')}", json=said, headers=bearer(API_KEY)
    )
    assert answer.is_success


def test_a_link_opens_it_and_it_shows_who_is_there(
    serve: Serve, page: tuple[Page, list[str]]
) -> None:
    address = serve()
    put(address, "alice")
    put(address, "<b>carol</b>", kind="hidden")
    shown, wrong = page
    shown.goto(f"{address}/#token={token(scope='admin')}")
    expect(shown.locator("#rooms tr")).to_have_text("site1100" + "2")
    expect(shown.locator("#users")).to_contain_text("alice")
    expect(shown.locator("#users")).to_contain_text("<b>carol</b>")
    assert "token" not in shown.url
    [cookie] = shown.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert shown.evaluate("document.cookie") == ""
    put(address, "dave")
    expect(shown.locator("#events")).to_contain_text("dave came")
    expect(shown.locator("#users")).to_contain_text("dave")
    shown.reload()
    expect(shown.locator("#users")).to_contain_text("alice")
    assert wrong == []


def test_without_a_link_it_says_how_to_get_one(serve: Serve, page: tuple[Page, list[str]]) -> None:
    shown, _ = page
    shown.goto(serve())
    expect(shown.locator("#trouble")).to_contain_text("herenow token --admin")
    expect(shown.locator("main")).to_be_hidden()


def test_the_cookie_reads_and_does_not_write(serve: Serve) -> None:
    address = serve()
    with httpx.Client(base_url=address) as client:
        assert client.post("/v1/login", headers=bearer(token(scope="admin"))).json() == {
            "scope": "admin"
        }
        assert client.get("/v1/rooms").status_code == 200
        assert client.put("/v1/rooms/site/users/alice", json={}).status_code == 401
        assert client.delete("/v1/users/alice").status_code == 401
        client.delete("/v1/login")
        assert client.get("/v1/rooms").status_code == 401
