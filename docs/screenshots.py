"""The pictures of the demo that the README shows, taken in Chromium: ``make screenshots``.

A demo of its own, with visitors, on a port of its own; a fixed moment of a crowd is not promised.
"""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDE, NARROW = (1120, 760), (390, 844)
SETTLED = 12  # seconds until the crowd is there


def main() -> None:
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    command = [sys.executable, "-m", "herenow", "demo", "--port", "0", "--visitors", "46"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = demo.stdout.readline().strip() if demo.stdout else ""
        if not re.fullmatch(r"http://[\d.]+:\d+", address):
            sys.exit(f"the demo does not start: {address}")
        time.sleep(SETTLED)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program, args=list(ARGUMENTS))
            take(browser, address)
            browser.close()
    finally:
        demo.terminate()
        demo.wait(15)


def take(browser: Browser, address: str) -> None:
    for name, size, scheme in (
        ("forum", WIDE, "light"),
        ("forum-dark", WIDE, "dark"),
        ("forum-mobile", NARROW, "light"),
    ):
        width, height = size
        page = browser.new_page(
            user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",  # headless is a bot
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page.goto(address)
        if name == "forum":
            page.get_by_label("Log in as").select_option("kingfisher")
            page.get_by_role("button", name="Log in").click()
        save(page, name)
        if name == "forum":
            page.goto(f"{address}/thread/1")
            save(page, "thread")
        page.close()


def save(page: Page, name: str) -> None:
    path = HERE / f"{name}.png"
    page.screenshot(path=path)
    print(f"{path.relative_to(HERE.parent)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
