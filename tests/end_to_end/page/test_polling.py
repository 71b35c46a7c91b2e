"""The requests that an open page sends by itself."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from models.manifest import Manifest
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.starter import seed
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import Polling, opened
from tests.end_to_end.page.checks import send

TALL = {"width": 1280, "height": 4000}
LOW = {"width": 1280, "height": 300}

EVERYWHERE = {"/v2/overview"}
"""For the state of all models, whatever else can be seen."""

VERSION = "/v2/models/convnet/versions/1"
TABS = {
    "": {
        f"{VERSION}/drift",
        "/v2/models/convnet/rollout",
        "/v2/models/convnet/recalibrations",
        "/v2/models/convnet/reference",
    },
    "/layers": {f"{VERSION}/drift", f"{VERSION}/layers/blocks.0.norm/live", f"{VERSION}/live"},
    "/history": {f"{VERSION}/drift/history"},
    "/versions": {
        "/v2/models/convnet/rollout",
        "/v2/models/convnet/recalibrations",
        "/v2/models/convnet/reference",
    },
    "/try": {f"{VERSION}/drift"},
}
"""What is requested for each tab."""


ANSWERED = ".figure:has-text('Answered') .value"


@contextmanager
def polling(
    browser: Browser, process: Process, viewport: dict[str, int], tab: str = ""
) -> Iterator[tuple[Page, Polling]]:
    """A page that has requested everything once, with a clock that only the test moves."""
    watched: list[Polling] = []
    url = f"{process.url}/#/models/convnet{tab}{'/blocks.0.norm' if tab == '/layers' else ''}?version=1"
    with opened(browser, url, prepare=lambda page: watched.append(Polling(page)), viewport=viewport) as page:
        expect(page.locator("#model > section:not([hidden])").first).to_be_visible()
        watched[0].pause()
        yield page, watched[0]


@pytest.mark.slow
@pytest.mark.parametrize("others", [0, 7])
def test_an_idle_page_sends_few_requests_however_many_models_there_are(
    browser: Browser, tmp_path: Path, others: int
) -> None:
    repository = Repository(tmp_path / "repository")
    seed(repository)
    for number in range(others):
        written = tiny_bundle().manifest.model_dump() | {"model": f"other-{number}"}
        for version in range(2):
            bundle = tiny_bundle(seed=version)
            repository.publish(Bundle(Manifest.model_validate(written), folded=bundle.folded, source=bundle.source))
    with running(repository.root) as process, polling(browser, process, TALL) as (page, polled):
        for tab, paths in TABS.items():
            page.evaluate("tab => location.hash = `#/models/convnet${tab}?version=1`", tab)
            expect(page.locator("#tabs [aria-current]")).to_have_attribute("href", f"#/models/convnet{tab}?version=1")
            polled.advance(12)  # what the tab needs first
            polled.advance(20)
            assert set(polled.sent) == EVERYWHERE | paths, tab
            assert polled.sent <= Counter(dict.fromkeys(polled.sent, 2)), tab  # every ten seconds
        page.evaluate("location.hash = '#/'")
        expect(page.get_by_role("rowheader")).to_have_count(others + 2)
        polled.advance(12)
        polled.advance(20)
        assert polled.sent == Counter({"/v2/overview": 2})


def test_what_cannot_be_seen_is_not_requested(browser: Browser, starters: Process) -> None:
    with polling(browser, starters, LOW, "/versions") as (page, polled):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        polled.advance(20)
        assert "/v2/models/convnet/rollout" not in polled.sent

        with page.expect_request("**/v2/models/convnet/rollout"):
            page.locator("#versions").scroll_into_view_if_needed()
        polled.advance(1)

        page.evaluate(
            """() => {
                Object.defineProperty(document, "hidden", { get: () => true });
                document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
        polled.advance(20)
        assert polled.sent == Counter()


@pytest.fixture(scope="module")
def observing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that observes all requests, and judges windows of 32 rows."""
    arguments = ("--watch-percent", "100", "--drift-window-rows", "32")
    with running(tmp_path_factory.mktemp("observing") / "repository", *arguments) as process:
        yield process


def test_events_show_traffic_and_alarms_at_once(browser: Browser, observing: Process) -> None:
    noise = np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype(np.float32)
    with polling(browser, observing, TALL) as (page, polled):
        answered = page.locator(ANSWERED)
        expect(answered).to_have_text("0")
        send(observing, noise)

        # The clock stands: the service has sent events of both.
        expect(answered).to_have_text("1")
        expect(page.locator("#verdict .headline")).to_have_text("\N{BLACK UP-POINTING TRIANGLE}The inputs have changed")
        assert polled.sent[f"{VERSION}/drift"] == 1

        for count in (2, 3, 4):
            send(observing, noise)
            expect(answered).to_have_text(str(count))
            polled.advance(2)
            assert polled.sent[f"{VERSION}/drift"] == 1  # every two seconds, while there is traffic


def test_without_events_the_counters_are_requested(browser: Browser, observing: Process) -> None:
    def refuse_events(page: Page) -> None:
        page.route("**/v2/events", lambda route: route.fulfill(status=503))

    with opened(browser, f"{observing.url}/#/models/mlp", expected_error="503", prepare=refuse_events) as page:
        answered = page.locator(ANSWERED)
        expect(answered).to_have_text("0")
        for count in ("1", "2"):
            page.get_by_role("link", name="Try it", exact=True).click()
            page.get_by_role("button", name="Try the example").click()
            page.get_by_role("link", name="Now", exact=True).click()
            expect(answered).to_have_text(count)
        requests = page.locator(".figure", has=page.get_by_text("Requests", exact=True))
        expect(requests.locator(".value")).not_to_have_text("\N{EN DASH}")
