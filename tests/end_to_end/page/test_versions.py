"""Versions side by side, and re-calibration."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from models.recalibration.domains import calibrate_domains
from models.repository.held_out import unpack
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.domains import DOWN, UP, domain_bundle, publish_domains
from tests.end_to_end.conftest import running
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import NARROW, scroll_width, send


@pytest.fixture
def versions(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The page of a model with three versions."""
    repository = Repository(tmp_path / "repository")
    for seed in range(3):
        repository.publish(tiny_bundle(seed=seed))
    with (
        running(repository.root, "--loaded-versions", "2") as process,
        opened(browser, f"{process.url}/#/models/tiny/versions", viewport=NARROW) as page,
    ):
        expect(row(page, 3)).to_contain_text("default")
        yield page


def row(page: Page, version: int) -> Locator:
    return page.locator("#versions tbody tr").filter(has=page.get_by_role("link", name=str(version), exact=True))


def decide(page: Page, words: str, says: str) -> None:
    page.get_by_role("button", name=words, exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(says)


def test_versions_are_tried_promoted_and_rolled_back(versions: Page) -> None:
    page = versions
    expect(row(page, 1)).to_contain_text("not loaded")
    with page.expect_download() as kept:
        page.locator("#versions").get_by_role("button", name="Save as CSV").click()
    lines = [line.split(",") for line in kept.value.path().read_text().splitlines()]
    assert lines[0][:5] == ["model", "version", "roles", "loaded", "origin"]
    assert [line[1:4] for line in lines[1:]] == [["1", "", "false"], ["2", "", "true"], ["3", "default", "true"]]
    decide(page, "Load version 1", "Version 1 is loaded.")
    decide(page, "Shadow version 1", "Version 1 is compared with the default.")
    expect(row(page, 1)).to_contain_text("shadow")
    decide(page, "Canary version 2", "Version 2 answers 10 % of the requests.")
    expect(row(page, 2)).to_contain_text("canary 10 %")
    page.get_by_label("Share of version 2 in per cent").fill("25")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(row(page, 2)).to_contain_text("canary 25 %")
    assert scroll_width(page) == NARROW["width"]

    decide(page, "Promote version 2", "Version 2 is the default.")
    expect(row(page, 2)).to_contain_text("promoted")
    expect(page.get_by_role("option", name="default (2)")).to_have_count(1)
    decide(page, "Roll back to 3", "Version 3 is the default again.")
    expect(row(page, 3)).to_contain_text("promoted")
    others = httpx2.post(f"{page.url.split('#')[0]}v2/models/tiny/rollout/promote", json={"version": 2})
    others.raise_for_status()  # someone else decides, and the page sees it
    expect(page.get_by_role("option", name="default (2)")).to_have_count(1)
    expect(page.locator("#versions a[aria-current]")).to_have_text("2")
    decide(page, "End shadow version 1", "The comparison has ended.")
    decide(page, "Unload version 1", "Version 1 is unloaded.")
    expect(row(page, 1)).to_contain_text("not loaded")


def test_domains_are_shown_and_ended(browser: Browser, tmp_path: Path) -> None:
    repository = publish_domains(Repository(tmp_path / "repository"))
    domains = calibrate_domains(domain_bundle(1), 1, {version: domain_bundle(version) for version in (UP, DOWN)})
    repository.change_rollout("tiny", lambda rollout, default: rollout.with_domains(domains, 1, default))
    with (
        running(repository.root) as process,
        opened(browser, f"{process.url}/#/models/tiny/versions", viewport=NARROW) as page,
    ):
        expect(page.locator(".lead").filter(has_text="answers every request")).to_have_text(
            f"Version 1 answers every request, except for the rows that fit version {UP} or {DOWN}."
        )
        expect(row(page, UP)).to_contain_text("domain")
        decide(page, "End the domains", "The default version answers all rows.")
        expect(row(page, UP)).to_contain_text("only when named")


@pytest.mark.slow
def test_a_version_is_recalibrated_from_traffic_or_refused(browser: Browser, tmp_path: Path) -> None:
    with (
        running(tmp_path / "repository") as process,
        opened(browser, f"{process.url}/#/models/convnet/versions", viewport=NARROW) as page,
    ):
        job = page.locator(".jobs li").first
        bundle = Repository(tmp_path / "repository").read("convnet", 1)
        digits = unpack(bundle.held_out or b"", bundle.manifest.inputs)["input"]
        noise = np.random.default_rng(0).normal(size=digits.shape).astype(np.float32)
        for rows, outcome in ((noise, "Refused"), (0.6 * digits + 0.5, "Published as version 2")):
            page.get_by_label("Rows", exact=True).fill("64")
            decide(page, "Re-calibrate version 1", "The re-calibration has started.")
            expect(job).to_contain_text("Collecting rows")
            send(process, rows)
            expect(job).to_contain_text(outcome)
            expect(job.locator(".gates tbody tr").first).to_be_visible()

        with page.expect_download() as kept:
            job.get_by_role("button", name="Save as CSV").click()
        header, *lines = kept.value.path().read_text().splitlines()
        assert header == "gate,figure,lower,upper,passed,outvoted,about"
        assert len(lines) == job.locator(".gates tbody tr").count()
        expect(page.locator(".jobs li")).to_have_count(2)
        expect(page.locator(".jobs li").nth(1)).to_contain_text("is below")
        expect(page.locator(".jobs li").nth(1).locator(".gates .failure").first).to_have_text("✗ no")
        assert scroll_width(page) == NARROW["width"]
        job.get_by_role("link", name="version 2").click()
        expect(page.locator("#about")).to_contain_text("recalibrated, from convnet 1")
        expect(page.get_by_role("heading", name="Checks that it passed")).to_be_visible()
        expect(row(page, 2)).to_contain_text("when named")
