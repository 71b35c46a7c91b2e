"""Engines, most of all those that run on onnxruntime's own values, as a GPU needs it; here on the CPU.

The oracle is onnx's reference implementation, and plain runs.
"""

from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ml_dtypes import bfloat16
from onnx import TensorProto, helper
from onnx.external_data_helper import convert_model_to_external_data
from onnx.reference import ReferenceEvaluator

from models.datatypes import Array
from models.errors import InferenceFailed, InvalidInput, RunTooLong
from models.manifest import TensorSpec
from models.runtime import values
from models.runtime.engine import Engine
from models.runtime.run_sizes import buckets
from models.runtime.session import open_session
from tests import hostile
from tests.bundles import echo_bundle, image_bundle, text_bundle, tiny_bundle

GENERATOR = np.random.default_rng(7)


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows that onnxruntime is given."""
    sizes: list[int] = []
    convert = values.to_value

    def spy(array: np.ndarray, extra_rows: int) -> Any:
        value = convert(array, extra_rows)
        sizes.append(value.shape()[0])
        return value

    monkeypatch.setattr(values, "to_value", spy)
    return sizes


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, (1,)), (2, (1, 2)), (8, (1, 2, 4, 8)), (9, (1, 2, 4, 8, 9)), (32, (1, 2, 4, 8, 16, 32))]
)
def test_buckets_are_powers_of_two_up_to_the_most(most: int, sizes: tuple[int, ...]) -> None:
    assert buckets(most) == sizes


@pytest.mark.parametrize("bundle", [tiny_bundle(), image_bundle()], ids=["tiny", "shapes"])
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 6, 7, 20])
def test_bound_runs_equal_the_reference(bundle: Any, rows: int) -> None:
    (spec,) = bundle.manifest.inputs
    x = GENERATOR.normal(size=(rows, *spec.shape[1:])).astype(np.float32)

    engine = Engine(bundle.folded, bundle.manifest.inputs, buckets=buckets(6))

    got = engine.run({"input": x})

    assert got["logits"].shape == (rows, *bundle.manifest.outputs[0].shape[1:])
    if rows:  # the reference implementation cannot do without rows
        expected = ReferenceEvaluator(onnx.load_from_string(bundle.source)).run(None, {"input": x})[0]
        np.testing.assert_allclose(got["logits"], expected, rtol=1e-5, atol=1e-5)
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(got["logits"], expected + 1e-3, rtol=1e-5, atol=1e-5)


def test_a_device_meets_only_the_buckets_and_what_is_larger(met: list[int]) -> None:
    bundle = tiny_bundle()
    engine = Engine(bundle.folded, bundle.manifest.inputs, buckets=buckets(6))
    assert set(met) >= {1, 2, 4, 6}  # before the first request

    met.clear()
    for rows in range(10):
        engine.run({"input": np.zeros((rows, 4), np.float32)})

    assert set(met[:7]) <= {1, 2, 4, 6}
    assert met[7:] == [7, 8, 9]


def test_rows_that_fill_up_are_zeros_and_do_run() -> None:
    total = helper.make_node("ReduceSum", ["input", "axes"], ["logits"], keepdims=0)
    count = helper.make_node("Shape", ["input"], ["shape"], start=0, end=1)
    graph = _graph(
        [total, count], TensorProto.FLOAT, {"axes": np.array([0])}, ["M"], extra=[("shape", TensorProto.INT64)]
    )
    engine = Engine(graph, _specs("FP32"), buckets=(4,))

    outputs = engine.run({"input": np.ones((3, 2), np.float32)})

    assert outputs["logits"].tolist() == [3, 3]
    assert outputs["shape"].tolist() == [4]  # so a graph whose rows know of each other would show it


def test_arrays_that_are_no_block_of_memory_are_taken() -> None:
    bundle = tiny_bundle()
    engine = Engine(bundle.folded, bundle.manifest.inputs, buckets=(4,))
    wide = GENERATOR.normal(size=(4, 8)).astype(np.float32)

    got = engine.run({"input": wide[:, ::2]})["logits"]

    np.testing.assert_array_equal(got, engine.run({"input": wide[:, ::2].copy()})["logits"])


def test_threads_do_not_disturb_each_other() -> None:
    bundle = tiny_bundle()
    engine = Engine(bundle.folded, bundle.manifest.inputs, buckets=buckets(8))
    plain = Engine(bundle.folded, bundle.manifest.inputs)
    batches = [GENERATOR.normal(size=(rows % 9 + 1, 4)).astype(np.float32) for rows in range(200)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda x: engine.run({"input": x})["logits"], batches))

    for x, got in zip(batches, answers, strict=True):
        np.testing.assert_allclose(got, plain.run({"input": x})["logits"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", [(), (4,)])
def test_bfloat16_goes_in_and_comes_out(sizes: tuple[int, ...]) -> None:
    bundle = echo_bundle("BF16")
    x = GENERATOR.normal(size=(3, 2)).astype(bfloat16)

    got = Engine(bundle.folded, bundle.manifest.inputs, buckets=sizes).run({"input": x})["logits"]

    assert got.dtype == bfloat16
    assert got.tobytes() == x.tobytes()


def test_many_rows_of_bfloat16_run_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = echo_bundle("BF16")
    x = GENERATOR.normal(size=(300, 2)).astype(bfloat16)
    engine = Engine(bundle.folded, bundle.manifest.inputs)
    met: list[int] = []
    to_value = values.to_value

    def spy(array: Array, extra: int) -> Any:
        met.append(len(array))
        return to_value(array, extra)

    monkeypatch.setattr(values, "to_value", spy)

    assert engine.run({"input": x})["logits"].tobytes() == x.tobytes()
    assert met == [128, 128, 44]


def test_a_run_that_fails_on_a_cpu_writes_nothing_between_the_lines_of_the_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """onnxruntime's own lines are no JSON; what they say is raised."""
    nodes = [helper.make_node("Gather", ["weights", "input"], ["logits"])]
    graph = _graph(nodes, TensorProto.INT64, {"weights": np.ones((4, 2), np.int64)}, ["N", 2, 2], extra=[])
    out_of_range = {"input": np.full((1, 2), 99)}
    with pytest.raises(InvalidInput):
        Engine(graph, _specs("INT64")).run(out_of_range)
    assert capfd.readouterr().err == ""

    with pytest.raises(Exception, match="indices element out of data bounds"):
        open_session(graph, log_errors=True).run(None, out_of_range)
    assert "onnxruntime" in capfd.readouterr().err, "it would write a line"


def test_inputs_that_differ_in_length_keep_it() -> None:
    nodes = [helper.make_node("Identity", ["input"], ["logits"]), helper.make_node("Identity", ["other"], ["same"])]
    graph = _graph(nodes, TensorProto.BFLOAT16, {}, ["N", 2], other=True, extra=[("same", TensorProto.BFLOAT16)])
    engine = Engine(graph, (*_specs("BF16"), TensorSpec(name="other", datatype="BF16", shape=(-1, 2))))

    outputs = engine.run({"input": np.ones((3, 2), bfloat16), "other": np.ones((5, 2), bfloat16)})

    assert (outputs["logits"].shape, outputs["same"].shape) == ((3, 2), (5, 2))


def test_bfloat16_beside_text_is_refused_when_it_is_loaded() -> None:
    nodes = [
        helper.make_node("Identity", ["input"], ["logits"]),
        helper.make_node("Cast", ["input"], ["text"], to=TensorProto.STRING),
    ]
    graph = _graph(nodes, TensorProto.BFLOAT16, {}, ["N", 2], extra=[("text", TensorProto.STRING)])

    with pytest.raises(InferenceFailed):
        Engine(graph, _specs("BF16"))


def test_text_is_not_run_before_someone_sends_some(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Any] = []
    monkeypatch.setattr(Engine, "run", lambda _self, inputs: runs.append(inputs))

    engine = Engine(echo_bundle("BYTES").folded, echo_bundle("BYTES").manifest.inputs)

    assert runs == []
    assert engine.expected_seconds(0) == engine.expected_seconds(3) == float("inf")


def test_text_that_the_model_does_not_understand_is_invalid_input() -> None:
    cast = [helper.make_node("Cast", ["input"], ["number"], to=TensorProto.FLOAT)]
    cast.append(helper.make_node("Cast", ["number"], ["logits"], to=TensorProto.STRING))
    engine = Engine(_graph(cast, TensorProto.STRING, {}, ["N", 2], extra=[]), _specs("BYTES"))

    assert engine.run({"input": np.array([["1", "2"]], object)})["logits"].tolist() == [["1", "2"]]
    with pytest.raises(InvalidInput, match="inputs: "):
        engine.run({"input": np.array([["1", "two"]], object)})


def test_an_index_out_of_range_is_invalid_input() -> None:
    gather = helper.make_node("Gather", ["table", "input"], ["logits"])
    graph = _graph([gather], TensorProto.INT64, {"table": np.array([5, 6])}, ["N", 2], extra=[])
    engine = Engine(graph, _specs("INT64"))

    assert engine.run({"input": np.array([[0, 1]])})["logits"].tolist() == [[5, 6]]
    with pytest.raises(InvalidInput, match="inputs: "):
        engine.run({"input": np.array([[0, 2]])})


def _specs(datatype: Any) -> tuple[TensorSpec, ...]:
    return (TensorSpec(name="input", datatype=datatype, shape=(-1, 2)),)


def _graph(
    nodes: list[Any],
    kind: int,
    constants: dict[str, np.ndarray],
    shape: list[Any],
    *,
    other: bool = False,
    extra: list[tuple[str, int]],
) -> bytes:
    inputs = [helper.make_tensor_value_info("input", kind, ["N", 2])]
    if other:
        inputs.append(helper.make_tensor_value_info("other", kind, ["K", 2]))
    outputs = [helper.make_tensor_value_info("logits", kind, shape)]
    outputs += [helper.make_tensor_value_info(name, type_, None) for name, type_ in extra]
    initializers = [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def test_the_engine_refuses_inputs_that_the_graph_does_not_take() -> None:
    bundle = tiny_bundle()
    engine = Engine(bundle.folded, bundle.manifest.inputs)

    with pytest.raises(InferenceFailed):
        engine.run({"input": np.ones((1, 5), np.float32)})


def test_data_outside_of_the_graph_is_never_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load_from_string(tiny_bundle().folded)
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InferenceFailed):
        Engine((tmp_path / "model.onnx").read_bytes(), tiny_bundle().manifest.inputs)


@pytest.mark.parametrize(
    "graph",
    [
        "(float[N, M] input) => (float[N, M] logits) { logits = Identity(input) }",
        # A convolution that takes no image as small as those that it is tried with.
        (
            "(float[N, 1, H, W] input) => (float[N, 1, H, W] logits) "
            "{ w = Constant <value = float[1, 1, 2, 2] {1, 1, 1, 1}> () logits = Conv(input, w) }"
        ),
    ],
)
def test_how_long_rows_of_any_size_take_is_not_known(graph: str) -> None:
    bundle = text_bundle("free", graph)

    engine = Engine(bundle.folded, bundle.manifest.inputs)

    assert engine.expected_seconds(1) == float("inf")


def test_without_a_batch_axis_only_a_fixed_shape_is_measured() -> None:
    free, fixed = (
        text_bundle("any", f"(float{shape} input) => (float{shape} logits) {{ logits = Identity(input) }}")
        for shape in ("[N]", "[3]")
    )

    assert Engine(free.folded, free.manifest.inputs, batched=False).expected_seconds(1) == float("inf")
    assert Engine(fixed.folded, fixed.manifest.inputs, batched=False).expected_seconds(1) < float("inf")


def test_bfloat16_without_an_axis_goes_in_and_comes_out() -> None:
    bundle = text_bundle("scalar", "(bfloat16 input) => (bfloat16 logits) { logits = Identity(input) }")
    x = np.array(1.5, bfloat16)

    got = Engine(bundle.folded, bundle.manifest.inputs, batched=False).run({"input": x})["logits"]

    assert (got.shape, got.dtype, float(got)) == ((), x.dtype, 1.5)


def test_a_graph_that_gives_a_sequence_is_refused_when_it_is_loaded() -> None:
    graph = "(float[N] input) => (seq(float[N]) logits) { logits = SequenceConstruct(input) }"
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : 18]> network {graph}')

    with pytest.raises(InferenceFailed, match=r"takes or gives a seq\(tensor\(float\)\); only tensors are served"):
        Engine(model.SerializeToString(), (TensorSpec(name="input", datatype="FP32", shape=(-1,)),))


def test_a_run_that_takes_too_long_is_ended() -> None:
    bundle = hostile.endless_on_ones()
    engine = Engine(bundle.folded, bundle.manifest.inputs)
    zeros, ones = (np.full((1, 2), value, np.float32) for value in (0, 1))
    assert engine.expected_seconds(1) < 1

    with pytest.raises(RunTooLong, match=r"did not finish within 0\.1 s"):
        engine.run({"input": ones}, 0.1)
    assert engine.expected_seconds(1) == inf, "for a while, nothing is run at once"
    np.testing.assert_array_equal(engine.run({"input": zeros})["logits"], zeros)


def test_a_graph_that_never_ends_is_not_loaded() -> None:
    bundle = hostile.endless()

    with pytest.raises(RunTooLong):
        Engine(bundle.folded, bundle.manifest.inputs, run_seconds=0.1)
