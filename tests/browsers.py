"""A real Chromium for the tests of pages: the one there is, without what it would fetch for itself."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Final

from playwright.sync_api import Browser, sync_playwright

_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run it, until the end."""
    found = [shutil.which(one) for one in _PROGRAMS]
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=next(filter(None, found)), args=list(_ARGUMENTS)
        )
        yield browser
        browser.close()
