"""``replay --html`` in real Chromium: the curve is seen, nothing fails, nobody else is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browsers import chromium
from tests.cli.conftest import Call


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_is_one_page_with_the_curve(
    scheme: str, browser: Browser, call: Call, place: Path
) -> None:
    log, report = place / "<b>birds & co.log", place / "report.html"
    log.write_text(
        "".join(
            f"10.0.0.{i % 40} - - [03/Jan/2026:16:{i // 30:02}:{i % 60:02} +0000] "
            '"GET / HTTP/1.1" 200 5\n'
            for i in range(900)
        )
    )
    assert call("replay", str(log), "--html", str(report)).code == 0
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: complaints.append(one.text))
    page.on("pageerror", lambda one: complaints.append(str(one)))
    page.goto(report.as_uri())
    expect(page.locator("h1")).to_contain_text("<b>birds & co.log")
    curve = page.locator("polyline.curve")
    expect(curve).to_be_visible()
    box = curve.bounding_box()
    assert box is not None
    assert box["width"] > 500
    assert box["height"] > 100
    ink = curve.evaluate("one => getComputedStyle(one).stroke")
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ink == ("rgb(31, 111, 235)" if scheme == "light" else "rgb(108, 176, 255)")
    assert back == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
    expect(page.locator("circle.peak")).to_be_visible()
    expect(page.get_by_role("table").first).to_contain_text("exact peak")
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.wait_for_load_state("networkidle")
    assert asked == [report.as_uri()]
    assert complaints == []
    context.close()
