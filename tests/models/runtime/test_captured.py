"""Runs by CUDA graphs. The CPU captures nothing, but computes the same by the same memory.

Plain runs are the oracle.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from models.datatypes import Array
from models.errors import InferenceFailed
from models.manifest import TensorSpec
from models.runtime import providers
from models.runtime.captured import CapturedRuns
from models.runtime.device import device
from models.runtime.engine import Engine
from models.runtime.run_sizes import buckets
from models.runtime.session import open_session
from tests.bundles import image_bundle, tiny_bundle

GENERATOR = np.random.default_rng(7)
SPEC = TensorSpec(name="x", datatype="FP32", shape=(-1, 2))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Runs up to 6 rows as a GPU does."""
    monkeypatch.setattr(providers, "CAPTURING", frozenset({"cpu"}))
    bundle = tiny_bundle()
    return Engine(bundle.folded, bundle.manifest.inputs, buckets=buckets(6))


def plain() -> Engine:
    bundle = tiny_bundle()
    return Engine(bundle.folded, bundle.manifest.inputs)


def rows(count: int) -> dict[str, Array]:
    return {"input": GENERATOR.normal(size=(count, 4)).astype(np.float32)}


def session(op: str, *extra: str, **attributes: float) -> onnxruntime.InferenceSession:
    """Of one node: `y` from `x` [N, 2]."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *extra], ["y"], **attributes)],
        "tiny",
        [value("x", TensorProto.FLOAT, ["N", 2])],
        [value("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return open_session(model.SerializeToString())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6, 7, 20])
def test_runs_of_every_size_equal_plain_ones(engine: Engine, count: int) -> None:
    inputs = rows(count)

    found = engine.run(inputs)["logits"]

    expected = plain().run(inputs)["logits"]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert not count or not np.allclose(found, expected + 1e-3, rtol=1e-6, atol=1e-6)


def test_images_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = image_bundle()
    x = GENERATOR.normal(size=(3, *bundle.manifest.inputs[0].shape[1:])).astype(np.float32)
    expected = Engine(bundle.folded, bundle.manifest.inputs).run({"input": x})["logits"]
    monkeypatch.setattr(providers, "CAPTURING", frozenset({"cpu"}))

    found = Engine(bundle.folded, bundle.manifest.inputs, buckets=(4,)).run({"input": x})["logits"]

    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_answer_is_not_changed_by_the_next_run(engine: Engine) -> None:
    first = engine.run(rows(3))["logits"]
    before = first.copy()

    engine.run(rows(3))

    np.testing.assert_array_equal(first, before)


def test_rows_of_the_run_before_are_not_left_in_the_memory() -> None:
    total = CapturedRuns(session("ReduceSum", "axes", keepdims=1), [SPEC], (4,), 1e-6, "cpu")
    ones = {"x": np.ones((4, 2), np.float32)}
    assert total.run(ones, onnxruntime.RunOptions())["y"].tolist() == [[4, 4]]

    found = total.run({"x": ones["x"][:1]}, onnxruntime.RunOptions())

    assert found["y"].tolist() == [[1, 1]]


def test_threads_do_not_disturb_each_other(engine: Engine) -> None:
    batches, oracle = [rows(count % 9 + 1) for count in range(200)], plain()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(engine.run, batches))

    for batch, outputs in zip(batches, found, strict=True):
        np.testing.assert_allclose(outputs["logits"], oracle.run(batch)["logits"], rtol=1e-6, atol=1e-6)


def test_what_a_capture_does_not_repeat_is_found() -> None:
    CapturedRuns(session("Relu"), [SPEC], (2,), 1e-6, "cpu")

    with pytest.raises(InferenceFailed, match="a captured run gives another 'y'"):
        CapturedRuns(session("RandomNormalLike", seed=1.0), [SPEC], (2,), 1e-6, "cpu")


def test_a_model_that_cannot_be_captured_is_run_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise InferenceFailed("a node runs on the CPU")

    monkeypatch.setattr(providers, "CAPTURING", frozenset({"cpu"}))
    monkeypatch.setattr("models.runtime.engine.CapturedRuns", refuse)
    bundle, inputs = tiny_bundle(), rows(3)

    engine = Engine(bundle.folded, bundle.manifest.inputs, buckets=buckets(6))

    np.testing.assert_allclose(engine.run(inputs)["logits"], plain().run(inputs)["logits"], rtol=1e-6, atol=1e-6)
    assert not engine.is_busy


def test_an_engine_is_busy_while_another_run_has_its_memory(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    @contextmanager
    def spy():  # type: ignore[no-untyped-def]
        seen.append(engine.is_busy)
        yield

    monkeypatch.setattr(device, "run", spy)
    engine.run(rows(2))

    assert seen == [True]
    assert not engine.is_busy
