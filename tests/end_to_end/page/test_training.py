"""How a layer's statistics came about in training."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from models.manifest import LayerHistory, TrainingHistory
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import running
from tests.end_to_end.page.browser import opened


@pytest.mark.slow
def test_a_layer_shows_how_its_statistics_came_about(browser: Browser, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    bundle = tiny_bundle()
    repository.publish(bundle)
    fields = dict.fromkeys(LayerHistory.model_fields, ((-1, 0, 1), (2, 3, 5), (4, 6.25, 8)))
    layers = {"norm": LayerHistory(**fields | {"gradient_norm": (3, 2, 0.125)})}
    history = TrainingHistory(steps=(1, 20, 400), percentiles=(15, 50, 85), layers=layers)
    watched = bundle.manifest.model_copy(update={"training_history": history})
    repository.publish(replace(bundle, manifest=watched))

    with running(repository.root) as process:
        with opened(browser, f"{process.url}/#/models/tiny/layers?version=2") as page:
            page.get_by_text("How these statistics came about in training").click()
            expect(page.get_by_text("400 steps. Lines are medians")).to_be_visible()
            words = "Running variance, median over the channels: 0 at step 1, 6.25 at step 400."
            expect(page.get_by_role("img", name=words)).to_be_visible()
            expect(page.get_by_role("img", name="Gradient of gamma and beta, median")).to_be_visible()
        with opened(browser, f"{process.url}/#/models/tiny/layers?version=1") as page:
            expect(page.locator("#channel h3").first).to_be_visible()
            expect(page.get_by_text("How these statistics came about in training")).to_have_count(0)
