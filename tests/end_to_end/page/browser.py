"""A headless Chromium that is installed on the system: none is ever downloaded."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

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
def launched() -> Iterator[Browser]:
    """The browser. Skips the test where none is installed."""
    executable = next((found for name in NAMES if (found := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser,
    url: str,
    *,
    expected_error: str | None = None,
    prepare: Callable[[Page], object] = lambda _page: None,
    **context: Any,
) -> Iterator[Page]:
    """A page at this address. At the end it must have had no error, no violation, and no request to another host.

    Args:
        browser: that opens it.
        url: of the page.
        expected_error: part of the errors that the test provokes.
        prepare: called with the page before it goes to the address.
        context: of the browser, e.g. its viewport.
    """
    problems: list[str] = []
    base = url.split("#", maxsplit=1)[0].rstrip("/")

    def check_host(route: Route) -> None:
        if not route.request.url.startswith((f"{base}/", "blob:", "data:")):
            problems.append(f"a request to another host: {route.request.url}")
        route.fallback()

    def check_message(message: ConsoleMessage) -> None:
        if message.type == "error" and not (expected_error and expected_error in message.text):
            problems.append(message.text)

    with browser.new_context(reduced_motion="reduce", **context) as opened_context:
        page = opened_context.new_page()
        page.route("**/*", check_host)
        page.on("console", check_message)
        page.on("pageerror", lambda error: problems.append(str(error)))
        prepare(page)
        page.goto(url)
        yield page
        page.unroute_all(behavior="ignoreErrors")
    assert not problems, problems


class Polling:
    """The requests that a page sends by itself, on a clock that only the test moves.

    Args:
        page: before it goes to its address.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.sent: Counter[str] = Counter()
        """Requests by path, since the clock was stopped or last moved."""
        page.add_init_script(_COUNT_PENDING)
        page.clock.install()
        page.on("request", lambda request: self._count(request.url, request.resource_type))

    def pause(self) -> None:
        """Stop the clock after all requests that are due have their responses."""
        self._page.clock.pause_at(self._page.evaluate("Date.now() / 1000 + 60"))
        self.advance(1)
        self.sent.clear()

    def advance(self, seconds: int) -> None:
        """Move the clock second by second, and wait for the responses to what is sent in each."""
        self.sent.clear()
        for _ in range(seconds):
            self._page.clock.run_for(1000)
            expect(self._page.locator("html")).to_have_attribute("data-pending", "0")

    def _count(self, url: str, kind: str) -> None:
        if kind == "fetch":
            self.sent[urlsplit(url).path] += 1


_COUNT_PENDING = """
    const plainFetch = fetch;
    const { port1: received, port2: after } = new MessageChannel();
    let pending = 0;
    const count = (change) => {
        pending += change;
        document.documentElement.dataset.pending = pending;
    };
    after.onmessage = () => count(-1);
    fetch = async (...request) => {
        count(1);
        try {
            const response = await plainFetch(...request);
            const text = await response.clone().text();
            response.json = async () => JSON.parse(text);
            return response;
        } finally {
            received.postMessage(null);  // a task later: by then, requests that follow from the response are sent
        }
    };
"""
