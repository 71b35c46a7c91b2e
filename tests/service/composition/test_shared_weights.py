"""Served and observed graph use the same weights in memory, and put out what they did before."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from models import starter
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from models.runtime.rewriting import rewrite
from models.runtime.shared_graph import SharedGraph
from service.composition import shared_weights
from service.composition.shared_weights import is_worth_sharing, share_weights
from service.wire.graph_weights import has_convolutions, read_convolutions

ROWS = {"input": np.random.default_rng(0).random((3, 1, 28, 28)).astype(np.float32)}


def read(model: str) -> Bundle:
    return Repository(Path(starter.__file__).parent).read(model, 1)


@pytest.fixture
def bundle() -> Bundle:
    return read("convnet")


@pytest.fixture
def engine(bundle: Bundle) -> Engine:
    return Engine(bundle.folded, bundle.manifest.inputs)


@pytest.fixture
def is_blocked(bundle: Bundle) -> bool:
    """Whether onnxruntime lays out the weights of convolutions for this processor."""
    return bool(read_convolutions(rewrite(bundle.folded)))


def test_both_put_out_what_they_did_before(bundle: Bundle, engine: Engine) -> None:
    assert bundle.observed is not None
    expected = engine.run(ROWS), Engine(bundle.observed, bundle.manifest.inputs).run(ROWS)

    graph = share_weights(engine, bundle.folded, bundle.observed)

    assert isinstance(graph, SharedGraph)
    for found, before in zip(
        (engine.run(ROWS), Engine(graph, bundle.manifest.inputs).run(ROWS)), expected, strict=True
    ):
        assert found.keys() == before.keys()
        for name, array in found.items():
            np.testing.assert_array_equal(array, before[name])


def test_the_weights_are_in_memory_once(bundle: Bundle, engine: Engine, is_blocked: bool) -> None:
    assert bundle.observed is not None
    graph = share_weights(engine, bundle.folded, bundle.observed)
    assert isinstance(graph, SharedGraph)
    observed = Engine(graph, bundle.manifest.inputs)
    if not is_blocked:
        pytest.skip("this processor has no layout of its own")
    assert {id(value) for value in observed.values.values()} == {id(value) for value in engine.values.values()}
    logits = bundle.manifest.outputs[0].name
    before = engine.run(ROWS)[logits]

    for value in engine.values.values():
        value.numpy()[...] *= 2  # were they copies, nobody would notice

    served, watched = engine.run(ROWS)[logits], observed.run(ROWS)[logits]
    np.testing.assert_allclose(served, watched, rtol=1e-5, atol=1e-5)
    assert np.abs(served - before).max() > 0.1


def test_weights_that_differ_are_not_shared(bundle: Bundle, is_blocked: bool) -> None:
    if not is_blocked:
        pytest.skip("this processor has no layout of its own")
    rewritten = rewrite(bundle.folded)
    weights = read_convolutions(rewritten)
    first = SharedGraph.of(rewritten, weights)
    name = next(iter(weights))
    other = SharedGraph.of(rewritten, {**weights, name: weights[name] + np.float32(1e-3)}, first.values)

    assert [key for key, value in other.values.items() if value is not first.values[key]] == [name]


def test_without_a_place_for_files_the_observed_graph_has_its_own_weights(
    bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert bundle.observed is not None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))

    with capture_logs() as logged:
        assert share_weights(engine, bundle.folded, bundle.observed) is bundle.observed
    assert [event["event"] for event in logged] == ["weights_not_shared"]
    assert engine.run(ROWS)


def test_it_is_worth_it_for_large_graphs_with_convolutions(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_worth_sharing(bundle.folded)
    monkeypatch.setattr(shared_weights, "MIN_BYTES", 0)

    assert is_worth_sharing(bundle.folded)
    assert not is_worth_sharing(read("mlp").folded)
    monkeypatch.setattr(shared_weights, "MAX_BYTES", 1000)
    assert not is_worth_sharing(bundle.folded)
    assert not has_convolutions(b"")
