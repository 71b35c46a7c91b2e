"""The replicas that serve together, where there are several."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.end_to_end.conftest import running
from tests.end_to_end.page.browser import opened


@pytest.mark.slow
def test_each_replica_is_listed_with_what_it_serves(browser: Browser, tmp_path: Path) -> None:
    with (
        running(tmp_path / "repository", "--workers", "2") as service,
        opened(browser, service.url) as page,
    ):
        group = page.locator("#replicas")
        expect(group.locator("summary")).to_have_text("2 replicas, which serve the same", timeout=30_000)
        group.locator("summary").click()

        expect(group.get_by_role("rowheader")).to_have_count(2)
        expect(group.get_by_role("rowheader", name="(this one)")).to_have_count(1)
        expect(group.get_by_role("cell", name="ready")).to_have_count(2)
        with page.expect_download() as kept:
            group.get_by_role("button", name="Save as CSV").click()
        assert len(kept.value.path().read_text().splitlines()) == 3
