"""The loss of a version: by labels, by the parent's probabilities, or of the outputs themselves."""

from dataclasses import replace

import numpy as np
import pytest

from models.graph.load import parse
from models.quantization.comparison import compare
from models.quantization.speed import measure_speed, processor
from models.repository.bundle import Bundle
from models.runtime.load import load
from tests.bundles import tiny_bundle
from tests.graphs import changed
from tests.models.quantization.network import bundle, images

ROWS = images(200, 7)


def other(parent: Bundle) -> bytes:
    """The network with other weights in its last layer."""
    graph = parse(parent.folded)
    return changed(graph, graph.graph.node[-1].input[1], -1.0)


def scores(graph: bytes) -> np.ndarray:
    return next(iter(load(graph, optimize=True)(ROWS).values())).astype(np.float64)


def test_nothing_is_lost_by_the_same_graph() -> None:
    parent = bundle()

    found = compare(parent.manifest, parent.folded, parent.folded, ROWS)

    assert (found.rows, found.loss, found.agreement, found.max_probability_difference) == (200, 0, 1, 0)
    assert found.accuracy_before is None


def test_the_expected_loss_is_what_the_parent_gives_its_own_class_more() -> None:
    parent = bundle()

    found = compare(parent.manifest, parent.folded, other(parent), ROWS)

    before, after = scores(parent.folded), scores(other(parent))
    old, new = (np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (before, after))
    chosen = after.argmax(axis=1)
    assert found.loss == pytest.approx(100 * np.mean(old.max(axis=1) - old[np.arange(200), chosen]))
    assert found.agreement == np.mean(before.argmax(axis=1) == chosen)
    assert found.max_probability_difference == pytest.approx(np.abs(old - new).max())
    assert found.loss > 20


def test_labels_count_for_more_than_agreement() -> None:
    parent = bundle()
    labels = scores(other(parent)).argmax(axis=1)

    found = compare(parent.manifest, parent.folded, other(parent), ROWS, labels)

    assert found.accuracy_after == 1
    assert found.accuracy_before is not None
    assert found.loss == pytest.approx(100 * (found.accuracy_before - 1))
    assert found.loss < 0


def test_without_classes_the_outputs_are_compared() -> None:
    parent = tiny_bundle()
    (output,) = parent.manifest.outputs
    manifest = parent.manifest.model_copy(
        update={"outputs": (output.model_copy(update={"shape": (-1, 2, 1)}),), "labels": None}
    )
    rows = {"input": np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)}

    same = compare(manifest, parent.folded, parent.folded, rows)
    moved = compare(manifest, parent.folded, other(parent), rows)

    assert (same.loss, same.agreement) == (0, None)
    assert moved.loss > 10


def test_both_graphs_are_timed_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.quantization.speed.SECONDS", 0)
    parent = replace(bundle())

    speeds = measure_speed(parent.folded, parent.folded, images(3), (1, 8))

    assert [speed.rows for speed in speeds] == [1, 8]
    assert all(speed.parent_ms > 0 and speed.own_ms > 0 and speed.ratio > 0 for speed in speeds)
    assert processor()
