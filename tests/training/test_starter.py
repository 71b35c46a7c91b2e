"""The bundles that ship with the code are what docs/training.md says they are."""

import re
from pathlib import Path

import numpy as np
import pytest

from models import starter
from models.graph.fold import Folded
from models.graph.load import parse
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load
from tests.models.parity.watched import checked
from training.data import mnist
from training.data.dataset import GREY_28

FOLDER = Path(starter.__file__).parent
MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"

REQUIRED = {"mlp": 0.975, "convnet": 0.992}


@pytest.fixture(params=REQUIRED)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return Repository(FOLDER).read(request.param, 1)


def test_a_starter_says_all_that_the_service_shows(bundle: Bundle) -> None:
    manifest = bundle.manifest

    assert manifest.labels == tuple("0123456789")
    assert manifest.preprocessing == GREY_28
    assert manifest.training is not None
    assert manifest.training.config["data"] == "mnist"
    assert manifest.training.metrics["test_accuracy"] >= REQUIRED[manifest.model]
    assert {layer.placement.kind for layer in manifest.norm_layers} == {"folded_back"}


def test_a_starter_is_small_and_names_no_folder(bundle: Bundle) -> None:
    folder = FOLDER / bundle.manifest.model / "1"
    contents = [path.read_bytes() for path in folder.iterdir()]

    assert sum(map(len, contents)) < 1_000_000
    assert not any(re.search(rb"/(home|root|tmp|work|usr)\b|[\w-]+/site-packages", data) for data in contents)


def test_the_graphs_of_a_starter_still_agree(bundle: Bundle) -> None:
    checked(parse(bundle.source), Folded(parse(bundle.folded), bundle.manifest.norm_layers))


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST is not beside this checkout")
def test_a_starter_has_the_accuracy_that_it_states(bundle: Bundle) -> None:
    data = mnist.load(MNIST)
    (spec,) = bundle.manifest.inputs
    rows = data.prepare(data.test_images).reshape(-1, *spec.shape[1:])

    logits = load(bundle.folded, optimize=True)({spec.name: rows})["logits"]

    assert bundle.manifest.training is not None
    correct = np.mean(logits.argmax(axis=1) == data.test_labels)
    # A row whose two best classes are equal up to rounding may fall either way.
    assert correct == pytest.approx(bundle.manifest.training.metrics["test_accuracy"], abs=2e-4)
