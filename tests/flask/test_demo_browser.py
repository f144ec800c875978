"""The demo in real Chromium: browsers see each other, without a reload; its store dies and comes back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browsers import chromium
from tests.flask.conftest import Program, working_in
from tests.flask.test_demo import DEMO, LINE

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"  # headless Chromium says that it is a bot
SOON = 15_000
Arrive = Callable[..., Page]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def arrive(run: Callable[..., Program], browser: Browser) -> Iterator[Arrive]:
    """Open the forum in a browser profile of its own; what its scripts complain of fails the test."""
    port = run(*DEMO, PORT="0").said(LINE)
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def open_it(width: int = 1100) -> Page:
        size = {"width": width, "height": 800}
        context = browser.new_context(user_agent=AGENT, viewport=size)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}")
        return page

    yield open_it
    for one in contexts:
        one.close()
    assert complaints == []


def log_in(page: Page, name: str) -> None:
    page.get_by_label("Log in as").select_option(label=name)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".me")).to_have_text(f"{name[0]}{name}")


def test_two_browsers_see_each_other_come_hide_and_leave(arrive: Arrive) -> None:
    one, other = arrive(), arrive()
    who = other.locator(".who .chips")
    expect(other.locator(".counts")).to_contain_text("0 members")
    log_in(one, "Kingfisher")
    log_in(other, "Wren")
    expect(who).to_contain_text("Kingfisher", timeout=SOON)
    expect(one.locator(".who .chips")).to_contain_text("Wren", timeout=SOON)
    expect(one.locator(".who .chip", has_text="Kingfisher").locator("em")).to_have_text("you")

    one.get_by_role("button", name="Hide me").click()
    expect(one.locator(".who")).to_contain_text("You are hidden")
    expect(who).not_to_contain_text("Kingfisher", timeout=SOON)
    expect(other.locator(".counts")).to_contain_text("1 hidden", timeout=SOON)
    one.get_by_role("button", name="Show me").click()
    expect(who).to_contain_text("Kingfisher", timeout=SOON)

    one.get_by_role("button", name="Log out").click()
    expect(who).not_to_contain_text("Kingfisher", timeout=SOON)
    expect(who).to_contain_text("Wren")


def test_who_reads_a_thread_and_who_is_there_on_a_profile(arrive: Arrive) -> None:
    one, other = arrive(), arrive()
    log_in(one, "Heron")
    log_in(other, "Wren")
    one.get_by_role("link", name="First swallow of the year?").click()
    other.get_by_role("link", name="First swallow of the year?").click()
    expect(one.locator(".readers")).to_contain_text("Wren", timeout=SOON)
    expect(one.locator(".readers")).to_contain_text("Heron")
    expect(one.locator(".posts .avatar.on")).to_have_count(2)
    other.locator(".posts").get_by_role("link", name="Heron").click()
    expect(other.locator(".profile")).to_contain_text("Online now", timeout=SOON)
    one.get_by_role("button", name="Log out").click()
    expect(other.locator(".profile")).to_contain_text("Last seen", timeout=SOON)


def test_it_fits_a_phone_and_a_keyboard(arrive: Arrive) -> None:
    page = arrive(360)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    assert page.locator("h1").count() == 1


def test_a_killed_store_leaves_the_page_standing_and_it_comes_back(
    arrive: Arrive, place: Path
) -> None:
    page = arrive()
    log_in(page, "Kingfisher")
    who = page.locator(".who")
    expect(who.locator(".chips")).to_contain_text("Kingfisher", timeout=SOON)
    [store] = [one for one in working_in(place) if "valkey" in one.name()]
    store.suspend()  # as one that hangs: killed, it would be up again before anybody looks
    expect(who).to_contain_text("Unknown: the store does not answer", timeout=SOON)
    expect(who.locator(".chip")).to_have_count(0)
    page.get_by_role("link", name="First swallow of the year?").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("First swallow of the year?")
    expect(page.locator(".me")).to_have_text("KKingfisher")
    store.kill()
    expect(page.locator(".readers")).to_contain_text("Kingfisher", timeout=SOON)
    page.get_by_role("link", name="The Hedge").click()
    expect(who.locator(".chips")).to_contain_text("Kingfisher", timeout=SOON)
    expect(page.locator(".counts")).to_contain_text("1 member")
