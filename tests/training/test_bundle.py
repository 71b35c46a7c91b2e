"""A trained network -> its bundle."""

import numpy as np
import pytest
import torch

from models.runtime.load import load
from training import bundle, loop, published_part
from training.config import Config
from training.data.dataset import ImageDataset
from training.networks.build import build
from training.run import Rows

CONFIG = Config("mlp", "digits", epochs=1, width=8)


def test_the_bundle_is_of_the_network_with_population_statistics(few_digits: ImageDataset) -> None:
    rows, network = Rows.of(CONFIG, few_digits), build(CONFIG, few_digits)
    before = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))

    part = published_part.of(network, few_digits, rows)
    metrics = bundle.store_statistics(part)
    made = bundle.make("tiny", CONFIG, part, metrics)

    manifest = made.manifest
    with torch.no_grad():
        first = network.hidden[0].linear(rows.train).double()  # type: ignore[index]
        expected = network(rows.test)
    np.testing.assert_allclose(manifest.norm_layers[0].running_mean, first.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(manifest.norm_layers[0].running_var, first.var(0, correction=0), rtol=1e-4)
    logits = load(made.folded, optimize=True)({"input": rows.test.numpy()})["logits"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)

    assert manifest.training is not None
    assert manifest.training.config == CONFIG.to_dict()
    assert manifest.training.metrics == {
        "test_accuracy": pytest.approx(np.mean(logits.argmax(1) == few_digits.test_labels)),
        "test_accuracy_with_running_averages": before,
    }
    assert manifest.lineage.origin == "trained"
    assert (manifest.labels, manifest.preprocessing) == (few_digits.class_names, few_digits.preprocessing)
    assert manifest.parity.comparisons[0].reference == "torch, float64"
    assert made.held_out is not None
