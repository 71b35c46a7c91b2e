"""Photograph every view of the page, light and dark, wide and narrow, of a service that meets a shift.

    python scripts/screenshots.py build/screenshots

The service is started here, on a free port and with a repository of its own. Chromium has to be installed.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import launched

Scheme = Literal["light", "dark"]
SCHEMES = get_args(Scheme)
WIDTHS = (1440, 390)
MODEL = "#/models/convnet"
VIEWS = {
    "overview": "#/",
    "now": MODEL,
    "layers": f"{MODEL}/layers",
    "history": f"{MODEL}/history",
    "versions": f"{MODEL}/versions",
    "try": f"{MODEL}/try",
    "now-before-traffic": "#/models/mlp",
}
SETTLED_MS = 1500


def main(folder: Path) -> None:
    """Write the pictures, named by view, scheme and width."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as repository, running(Path(repository) / "repository") as service, launched() as browser:
        raise_alarm(browser, service)
        for scheme, width in product(SCHEMES, WIDTHS):
            for page, view in views(browser, service, scheme, width):
                page.screenshot(path=folder / f"{view}-{scheme}-{width}.png", full_page=True)


def raise_alarm(browser: Browser, service: Process) -> None:
    """Send clean digits, then noisy ones, as the page itself offers to."""
    page = browser.new_page()
    page.goto(f"{service.url}/{MODEL}/try")
    for noise in ("0", "60"):
        page.get_by_role("slider", name="Noise").fill(noise)
        page.get_by_role("button", name="Send 512 of them").click()
        expect(page.locator("#guide").get_by_role("status")).to_be_visible()
    expect(page.locator("#guide").get_by_role("status")).to_contain_text("changed")
    page.close()


def views(browser: Browser, service: Process, scheme: Scheme, width: int) -> Iterator[tuple[Page, str]]:
    """Yields a page with each view, and the view's name."""
    with browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    ) as context:
        page = context.new_page()
        page.goto(service.url)
        for view, address in VIEWS.items():
            page.evaluate("address => location.hash = address", address)
            page.wait_for_timeout(SETTLED_MS)
            yield page, view


if __name__ == "__main__":
    main(Path(sys.argv[1]))
