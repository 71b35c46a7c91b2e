"""A headless Chromium that belongs to the system: none is ever downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # root has none
    "--disable-dev-shm-usage",  # small in containers
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
)


@contextmanager
def started() -> Iterator[Browser]:
    """The browser. Skips the test where there is none."""
    executable = next((found for name in NAMES if (found := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and what went wrong on it.

    Attributes:
        expected: part of what the browser says of an error that the test provokes.
    """

    page: Page
    expected: str | None
    troubles: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        """What the browser says of the page."""
        if message.type == "error" and not (self.expected and self.expected in message.text):
            self.troubles.append(message.text)


@contextmanager
def watched(browser: Browser, url: str, expected: str | None = None, **context: Any) -> Iterator[Watched]:
    """A page at this address. At its end, nothing may have gone wrong: no error, no violation, no other host."""
    with browser.new_context(reduced_motion="reduce", **context) as around:
        watch = Watched(around.new_page(), expected)
        base = url.split("#", maxsplit=1)[0].rstrip("/")

        def guard(route: Route) -> None:
            if not route.request.url.startswith((f"{base}/", "blob:", "data:")):
                watch.troubles.append(f"leaves the service: {route.request.url}")
            route.continue_()

        watch.page.route("**/*", guard)
        watch.page.on("console", watch.heard)
        watch.page.on("pageerror", lambda error: watch.troubles.append(str(error)))
        watch.page.goto(url)
        yield watch
        watch.page.unroute_all(behavior="ignoreErrors")
    assert not watch.troubles, watch.troubles
