"""Anybody's ONNX file -> bundle."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from models.errors import ExternalData, GraphError, InvalidInput, MissingStatistics, ParityError, TrainingModeGraph
from models.graph.load import serialize
from models.parity.check import check_folded
from models.runtime.specs import specs
from tests.graphs import changed, linear_norm
from training.importing import read_bundle


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


def test_a_file_with_a_normalisation_layer_becomes_a_bundle(file: Path) -> None:
    file.write_bytes(serialize(linear_norm()))

    bundle = read_bundle(file, "theirs", labels=["a", "b", "c"])

    manifest = bundle.manifest
    assert (manifest.model, manifest.labels, manifest.scores) == ("theirs", ("a", "b", "c"), "logits")
    assert manifest.lineage.origin == "imported"
    assert manifest.training is None
    assert [spec.shape for spec in (*manifest.inputs, *manifest.outputs)] == [(-1, 4), (-1, 3)]
    assert manifest.norm_layers[0].placement.kind == "folded_back"
    assert "BatchNormalization" in {node.op_type for node in onnx.load_from_string(bundle.source).graph.node}
    assert "BatchNormalization" not in {node.op_type for node in onnx.load_from_string(bundle.folded).graph.node}


@pytest.mark.parametrize(
    ("takes", "gives", "datatypes"),
    [
        ("bfloat16", "bfloat16", ["BF16", "BF16"]),
        ("string", "float", ["BYTES", "FP32"]),
        ("double", "float16", ["FP64", "FP16"]),
    ],
)
def test_inputs_and_outputs_may_be_of_any_type(file: Path, takes: str, gives: str, datatypes: list[str]) -> None:
    file.write_bytes(serialize(linear_norm(takes=takes, gives=gives)))

    manifest = read_bundle(file, "theirs", tolerance=1e-2).manifest

    assert [spec.datatype for spec in (*manifest.inputs, *manifest.outputs)] == datatypes
    assert manifest.norm_layers[0].placement.kind == "folded_back"


@pytest.mark.parametrize(("takes", "gives"), [("bfloat16", "bfloat16"), ("string", "string"), ("string", "float")])
def test_a_difference_is_seen_in_any_type(takes: str, gives: str) -> None:
    source = linear_norm(takes=takes, gives=gives)
    inputs, _ = specs(serialize(source))

    with pytest.raises(ParityError, match="differs"):
        check_folded(serialize(source), changed(source, "gamma", 1.1), inputs, tolerance=1e-2)
    check_folded(serialize(source), serialize(source), inputs, tolerance=1e-2)


def test_a_last_softmax_is_noted(file: Path) -> None:
    file.write_bytes(serialize(linear_norm(final="y = Softmax(normalized)")))

    assert read_bundle(file, "theirs").manifest.scores == "probabilities"


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (linear_norm("training_mode = 1", outputs="y, new_mean, new_var"), TrainingModeGraph, "training mode"),
        (linear_norm(statistics=False), MissingStatistics, "running mean"),
        (linear_norm(batch="1"), GraphError, "no batch axis"),
    ],
)
def test_a_file_that_cannot_be_served_is_refused_with_the_reason(
    file: Path, model: onnx.ModelProto, error: type[Exception], message: str
) -> None:
    file.write_bytes(serialize(model))

    with pytest.raises(error, match=message):
        read_bundle(file, "theirs")


def test_a_file_without_normalisation_is_refused_with_advice(file: Path) -> None:
    model = linear_norm()
    del model.graph.node[1]
    model.graph.node[0].output[0] = "y"
    file.write_bytes(serialize(model))

    with pytest.raises(GraphError, match="optimize=False"):
        read_bundle(file, "theirs")


def test_tensors_in_other_files_are_not_followed(file: Path) -> None:
    onnx.save(linear_norm(), file, save_as_external_data=True, size_threshold=0, location="weights")

    with pytest.raises(ExternalData):
        read_bundle(file, "theirs")


@pytest.mark.parametrize("data", [b"", b"not a graph"])
def test_a_file_that_is_not_onnx_is_refused(file: Path, data: bytes) -> None:
    file.write_bytes(data)

    with pytest.raises(GraphError):
        read_bundle(file, "theirs")


def test_labels_must_be_as_many_as_the_classes(file: Path) -> None:
    file.write_bytes(serialize(linear_norm()))

    with pytest.raises(InvalidInput, match="2 labels for the 3 values of output 'y'"):
        read_bundle(file, "theirs", labels=["a", "b"])


def test_a_name_that_cannot_be_a_folder_is_refused(file: Path) -> None:
    file.write_bytes(serialize(linear_norm()))

    with pytest.raises(InvalidInput, match="name"):
        read_bundle(file, "../theirs")


def test_the_tolerance_is_the_callers_and_is_recorded(file: Path) -> None:
    file.write_bytes(serialize(linear_norm()))

    assert read_bundle(file, "theirs", tolerance=1e-3).manifest.parity.tolerance == 1e-3
    with pytest.raises(ParityError):
        read_bundle(file, "theirs", tolerance=1e-12)
    with pytest.raises(InvalidInput, match="tolerance"):
        read_bundle(file, "theirs", tolerance=0)


def test_a_missing_file_is_said_to_be_missing(file: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        read_bundle(file, "theirs")


def held_out(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "rows.npz", **arrays)
    return folder / "rows.npz"


def test_held_out_rows_set_thresholds_and_are_kept(file: Path) -> None:
    file.write_bytes(serialize(linear_norm()))
    rows = np.random.default_rng(0).normal(size=(300, 4))
    np.save(file.with_suffix(".npy"), rows)

    bundle = read_bundle(file, "theirs", held_out=file.with_suffix(".npy"))

    drift = bundle.manifest.drift
    assert drift is not None
    assert (drift.rows, drift.windows) == (300, (1, 16, 64))
    assert drift.layers.keys() == {layer.name for layer in bundle.manifest.norm_layers}
    assert drift.classes is not None
    assert sum(drift.classes.counts) == 300
    assert bundle.reference is not None
    assert read_bundle(file, "theirs").manifest.drift is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            np.zeros((300, 5), np.float32),
            r"held-out: 'x' takes FP32 of shape \[-1, 4\], not float32 of shape \[300, 5\]",
        ),
        (np.zeros((300, 4), complex), "held-out: 'x' takes FP32 .* not complex128"),
        (np.full((300, 4), np.inf, np.float32), "held-out: 'x' has a value that is not finite"),
        (np.zeros((63, 4), np.float32), "held-out: thresholds need at least 64 rows"),
    ],
    ids=["shape", "type", "infinite", "few"],
)
def test_held_out_rows_that_are_not_the_models_are_refused(file: Path, rows: np.ndarray, message: str) -> None:
    file.write_bytes(serialize(linear_norm()))
    with pytest.raises(InvalidInput, match=message):
        read_bundle(file, "theirs", held_out=held_out(file.parent, x=rows))
    with pytest.raises(InvalidInput, match=r"held-out: .* must have an array for each input: x"):
        read_bundle(file, "theirs", held_out=held_out(file.parent, y=rows))


def test_pickled_rows_are_not_read(file: Path) -> None:
    file.write_bytes(serialize(linear_norm()))
    with pytest.raises(InvalidInput, match=r"held-out: .* cannot be read as an \.npy or \.npz file"):
        read_bundle(file, "theirs", held_out=held_out(file.parent, x=np.array([{}], dtype=object)))
