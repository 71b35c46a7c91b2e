"""All models at a glance."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from models.manifest import Manifest
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import opened


@pytest.mark.slow
def test_many_models_are_searched_and_sorted(browser: Browser, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    bundle = tiny_bundle()
    names = [f"model-{number}" for number in range(9)]
    for name in names:
        written = bundle.manifest.model_dump() | {"model": name}
        repository.publish(Bundle(Manifest.model_validate(written), folded=bundle.folded, source=bundle.source))
    with running(repository.root) as process, opened(browser, process.url) as page:
        rows = page.get_by_role("rowheader")
        expect(page.locator("#models .headline")).to_have_text("All 9 models are served, no alarm")
        expect(page.locator(".health")).to_contain_text("No request waits")
        expect(page.locator(".health")).to_contain_text("runs on CPU")
        expect(rows).to_have_text(names)

        page.get_by_role("button", name="Model").click()
        page.get_by_role("button", name="Model").click()
        expect(page.get_by_role("columnheader", name="Model")).to_have_attribute("aria-sort", "descending")
        expect(rows).to_have_text(names[::-1])

        page.get_by_role("searchbox", name="Search models by name").fill("L-3")
        expect(rows).to_have_text(["model-3"])
        page.get_by_role("searchbox").fill("other")
        expect(page.get_by_text('No model has "other" in its name.')).to_be_visible()


def test_before_the_first_request_it_says_where_to_begin(browser: Browser, odd: Process) -> None:
    with opened(browser, odd.url) as page:
        page.get_by_role("link", name="Try hostile").click()

        expect(page.locator("#try-lead")).to_contain_text("Send version 1 something")
