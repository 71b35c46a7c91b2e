"""The page in a real browser, against a real service."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from models.manifest import Manifest
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from tests.bundles import image_bundle, sentence_bundle, tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, Process, running
from tests.end_to_end.page.browser import launched, opened
from tests.end_to_end.page.checks import HOSTILE, TOKEN, send


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=TIMEOUT_SECONDS * 1000)
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, starters: Process) -> Iterator[Page]:
    with opened(browser, f"{starters.url}/#/models/convnet/try") as page:
        expect(page.locator("#model")).to_be_visible()
        yield page


@pytest.fixture(scope="package")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that has met noise instead of digits, and observes all that it meets."""
    with running(
        tmp_path_factory.mktemp("drifted") / "repository", "--watch-percent", "100", "--drift-window-rows", "32"
    ) as process:
        send(process, np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype(np.float32))
        yield process


@pytest.fixture
def alarmed(browser: Browser, drifted: Process) -> Iterator[Page]:
    with opened(browser, f"{drifted.url}/#/models/convnet") as page:
        expect(page.locator("#verdict .headline")).to_have_text("▲The inputs have changed")
        yield page


@pytest.fixture(scope="package")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service with a model of texts."""
    repository = Repository(tmp_path_factory.mktemp("texts") / "repository")
    repository.publish(sentence_bundle())
    with running(repository.root) as process:
        yield process


def with_layer(bundle: Bundle, name: str, layer: str) -> Bundle:
    """The same bundle under another name, with another name for its layer."""
    written = bundle.manifest.model_dump()
    written["model"] = name
    written["description"] = HOSTILE
    written["norm_layers"][0]["name"] = layer
    return Bundle(Manifest.model_validate(written), folded=bundle.folded, source=bundle.source)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service with models whose words are markup, whose names are long, and which need a token to be changed."""
    repository = Repository(tmp_path_factory.mktemp("odd") / "repository")
    repository.publish(with_layer(image_bundle(labels=(HOSTILE, "<b>square</b>", "star" * 40)), "hostile", HOSTILE))
    repository.publish(with_layer(tiny_bundle(), "n" * 128, "layer" * 40))
    repository.publish(tiny_bundle())
    with running(repository.root, "--admin-token", TOKEN) as process:
        yield process
