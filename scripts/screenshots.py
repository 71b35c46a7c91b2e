"""Photograph every view of the page, light and dark, wide and narrow, of a service that meets a shift.

    python scripts/screenshots.py build/screenshots

The service is started here, on a free port and with a repository of its own. Chromium has to be installed. The picture
of the README, docs/images/page.png, is written as well.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import httpx2
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import launched

Scheme = Literal["light", "dark"]
SCHEMES = get_args(Scheme)
WIDTHS = (1440, 390)
TIMEOUT_MS = 60_000
MODEL = "#/models/convnet"
FIRST = {"overview-first": "#/", "now-first": MODEL, "try-first": f"{MODEL}/try"}
"""Before any traffic."""
VIEWS = {
    "overview": "#/",
    "now": MODEL,
    "layers": f"{MODEL}/layers",
    "history": f"{MODEL}/history",
    "versions": f"{MODEL}/versions",
    "try": f"{MODEL}/try",
    "now-before-traffic": "#/models/mlp",
    "not-there": "#/models/none",
}
"""With an open alarm."""
NEXT = {"now-next": MODEL, "versions-next": f"{MODEL}/versions?version=2", "history-next": f"{MODEL}/history"}
"""With a version that has been re-calibrated, which nobody uses yet."""
REPAIRED = {"now-repaired": MODEL, "overview-repaired": "#/"}
"""With that version in use."""
TOKEN = "a-token-of-the-screenshots"  # noqa: S105 - of a service that ends with this script
README_PICTURE = Path(__file__).parents[1] / "docs" / "images" / "page.png"
README_HEIGHT = 900
README_COLOURS = 128
SETTLED_MS = 1500
MOST_SENT = 10
NOISE = 50
"""Percent. With more of it a re-calibration is sometimes refused."""
MOST_WAITS = 3


def main(folder: Path) -> None:
    """Write the pictures, named by view, scheme and width."""
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=TIMEOUT_MS)
    options = ("--watch-percent", "100", "--admin-token", TOKEN)
    with (
        TemporaryDirectory() as repository,
        running(Path(repository) / "repository", *options) as service,
        launched() as browser,
    ):
        for name, found in shown(browser, service, FIRST):
            found.screenshot(path=folder / f"{name}.png", full_page=True)
        raise_alarm(browser, service)
        for name, found in shown(browser, service, VIEWS):
            found.screenshot(path=folder / f"{name}.png", full_page=True)
            if name.startswith("try-"):
                found.get_by_role("button", name="Try the example").click()
                expect(found.locator(".answer")).to_be_visible()
                found.screenshot(path=folder / f"answer{name.removeprefix('try')}.png", full_page=True)
                found.get_by_role("button", name="Sign in").click()
                found.screenshot(path=folder / f"sign-in{name.removeprefix('try')}.png")
                found.get_by_role("button", name="Cancel").click()
        recalibrate(browser, service)
        for name, found in shown(browser, service, NEXT):
            found.screenshot(path=folder / f"{name}.png", full_page=True)
        ask(service, "rollout/promote", {"version": 2})
        send_until(browser, service, noise=NOISE, words="Inputs as expected")
        for name, found in shown(browser, service, REPAIRED):
            found.screenshot(path=folder / f"{name}.png", full_page=True)
        write_readme_picture(folder)


def write_readme_picture(folder: Path) -> None:
    """What is seen first of a model with an open alarm, in few colours: it is read over slow connections too."""
    with Image.open(folder / "now-next-light-1440.png") as picture:
        seen = picture.convert("RGB").crop((0, 0, picture.width, min(README_HEIGHT, picture.height)))
        seen.quantize(README_COLOURS).save(README_PICTURE, optimize=True)


def raise_alarm(browser: Browser, service: Process) -> None:
    """Send clean digits, then noisy ones until there is an alarm, as the page itself offers to."""
    send_until(browser, service, noise=0, words="Inputs as expected")
    send_until(browser, service, noise=NOISE, words="The inputs have changed")


def recalibrate(browser: Browser, service: Process) -> None:
    """Make version 2 from noisy digits."""
    job = ask(service, "recalibrations", {"collect": 256})["id"]
    send_until(
        browser, service, noise=NOISE, until=lambda: ask(service, f"recalibrations/{job}")["state"] != "collecting"
    )
    for _ in range(MOST_WAITS):
        ended = ask(service, f"recalibrations/{job}?wait={TIMEOUT_MS // 1000}")
        if ended["is_finished"]:
            break
    if ended["state"] != "published":
        raise RuntimeError(f"the re-calibration: {ended['state']}: {ended['reason']}")


def ask(service: Process, path: str, body: object = None) -> dict[str, Any]:
    """Send a request about the model, as its operator."""
    response = httpx2.request(
        "GET" if body is None else "POST",
        f"{service.url}/v2/models/convnet/{path}",
        json=body,
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=2 * TIMEOUT_MS / 1000,
    )
    response.raise_for_status()
    found: dict[str, Any] = response.json()
    return found


def send_until(
    browser: Browser, service: Process, noise: int, words: str = "", until: Callable[[], bool] = lambda: False
) -> None:
    """Send digits until the page says some words, or something else holds.

    Predictions are observed only while the service has time: on a busy machine it takes more than two windows of them.
    """
    page = browser.new_page()
    page.goto(f"{service.url}/{MODEL}/try")
    for _ in range(MOST_SENT):
        said = send(page, noise)
        if until() or (words and words in said):
            break
    else:
        raise RuntimeError(f"not '{words}' after {MOST_SENT} times 512 digits: see the log of the service")
    page.close()


def send(page: Page, noise: int) -> str:
    """Send digits with noise, in percent. Returns what the page says then."""
    button = page.get_by_role("button", name="Send 512 of them")
    page.get_by_role("slider", name="Noise").fill(str(noise))
    button.click()
    expect(button).to_be_enabled()
    expect(page.locator("#guide").get_by_role("status")).to_be_visible()
    page.wait_for_timeout(SETTLED_MS)
    return page.locator("#guide").get_by_role("status").inner_text()


def shown(browser: Browser, service: Process, views: dict[str, str]) -> Iterator[tuple[str, Page]]:
    """Yields a name and a page for each view, scheme and width."""
    for scheme, width in product(SCHEMES, WIDTHS):
        with browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        ) as context:
            page = context.new_page()
            page.goto(service.url)
            for view, address in views.items():
                page.evaluate("address => location.hash = address", address)
                page.wait_for_timeout(SETTLED_MS)
                yield f"{view}-{scheme}-{width}", page


if __name__ == "__main__":
    main(Path(sys.argv[1]))
