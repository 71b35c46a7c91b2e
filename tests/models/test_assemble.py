"""The assembly line: what each origin says, and what the manifest then says."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from models.assemble import assemble, signed_lineage
from models.datatypes import Arrays
from models.drift.detector import Detector
from models.errors import GraphError, InvalidInput, ParityError, TrainingModeGraph
from models.graph.load import parse, serialize
from models.manifest import Batching, Parent, TrainingRecord
from models.model_info import ModelInfo
from models.moments.window import WindowMoments
from models.observation import ObservationReader
from models.repository import held_out
from models.repository.bundle import Bundle
from models.runtime.load import load
from models.stored_graph import StoredGraph
from models.version import PROGRAM
from tests.bundles import image_bundle
from tests.graphs import linear_norm
from tests.models.graph.cases import Graph

ROWS = {"x": np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)}
INFO = ModelInfo("tiny", labels=("a", "b", "c"))


def assembled(info: ModelInfo = INFO, **options: object) -> Bundle:
    return assemble(linear_norm(), info, signed_lineage("imported"), **options)  # type: ignore[arg-type]


def test_every_graph_is_compared_and_the_comparisons_are_recorded() -> None:
    bundle = assembled()

    assert bundle.source == serialize(linear_norm())
    assert "observed, optimized" in {each.candidate for each in bundle.manifest.parity.comparisons}
    assert len(bundle.manifest.parity.comparisons) == 7
    assert bundle.observed is not None
    outputs = [load(graph, optimize=True)(ROWS)["y"] for graph in (bundle.source, bundle.folded, bundle.observed)]
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs[2], outputs[0], rtol=1e-4, atol=1e-5)


def test_the_graphs_are_compared_with_the_oracle_on_the_rows_that_are_given() -> None:
    seen: list[Arrays] = []

    def oracle(inputs: Arrays) -> Arrays:
        seen.append(inputs)
        return load(serialize(linear_norm()), optimize=False)(inputs)

    parity = assembled(oracle=oracle, rows=ROWS).manifest.parity

    assert parity.comparisons[0].reference == "torch, float64"
    assert parity.rows == 1 + 3 + 17 + 32
    np.testing.assert_array_equal(seen[-1]["x"], ROWS["x"][:32])
    with pytest.raises(ParityError, match="differs from torch, float64"):
        assembled(oracle=lambda inputs: {"y": oracle(inputs)["y"] + 1e-3})


def test_what_is_known_of_the_model_is_in_the_manifest_and_can_be_handed_on() -> None:
    manifest = image_bundle().manifest
    info = replace(ModelInfo.of(manifest), description="shapes", batching=Batching(max_batch_rows=4))

    again = assemble(parse(image_bundle().source), info, signed_lineage("imported")).manifest

    assert (again.model, again.labels, again.preprocessing) == (manifest.model, manifest.labels, manifest.preprocessing)
    assert ModelInfo.of(again) == info
    assert (again.inputs, again.outputs) == (manifest.inputs, manifest.outputs)


def test_scores_are_read_off_the_graph_unless_they_are_known() -> None:
    probabilities = linear_norm(final="y = Softmax(normalized)")

    assert assembled().manifest.scores == "logits"
    assert assemble(probabilities, INFO, signed_lineage("imported")).manifest.scores == "probabilities"
    known = replace(INFO, scores="logits")
    assert assemble(probabilities, known, signed_lineage("imported")).manifest.scores == "logits"


def test_lineage_and_training_are_recorded() -> None:
    record = TrainingRecord(config={"epochs": 2}, metrics={"test_accuracy": 0.9})
    lineage = signed_lineage("trained", Parent(model="tiny", version=3))

    manifest = assemble(linear_norm(), INFO, lineage, training=record).manifest

    assert manifest.training == record
    assert manifest.lineage == lineage
    assert lineage.created_by == PROGRAM
    assert lineage.parent == Parent(model="tiny", version=3)
    assert abs((datetime.now(UTC) - lineage.created_at).total_seconds()) < 3600


def test_rows_set_the_thresholds_and_only_held_out_rows_are_kept() -> None:
    kept = held_out.keep(ROWS)
    bundle = assembled(rows=ROWS, held_out=kept)

    assert bundle.held_out == kept
    drift = bundle.manifest.drift
    assert drift is not None
    assert drift.rows == 300
    assert drift.classes is not None
    expected = np.bincount(load(bundle.folded, optimize=True)(ROWS)["y"].argmax(axis=1), minlength=3)
    assert drift.classes.counts == tuple(expected)
    assert assembled(rows=ROWS).held_out is None
    assert assembled(rows={"x": ROWS["x"][:63]}).manifest.drift is None
    assert assembled().manifest.drift is None


def test_labels_must_be_as_many_as_the_classes() -> None:
    with pytest.raises(InvalidInput, match="labels: got 2, expected one for each of the 3 values of output 'y'"):
        assembled(ModelInfo("tiny", labels=["a", "b"]))


@pytest.mark.parametrize("name", ["../theirs", "", "a b", ".hidden"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"name: .* is no name for a model"):
        assembled(ModelInfo(name))


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_a_tolerance_that_is_not_positive_is_refused(tolerance: float) -> None:
    with pytest.raises(InvalidInput, match="tolerance"):
        assembled(tolerance=tolerance)


def without_norm() -> onnx.ModelProto:
    model = linear_norm()
    del model.graph.node[1]
    model.graph.node[0].output[0] = "y"
    return model


@pytest.mark.parametrize(
    ("model", "reason", "capabilities"),
    [
        (without_norm(), "the graph has no BatchNormalization node", {"folding", "recalibration"}),
        (linear_norm(statistics=False), "the graph cannot be folded: .* running mean", {"folding", "recalibration"}),
        (linear_norm(batch="1"), "the model has no batch axis: the first axis of 'x'", {"batching"}),
    ],
    ids=["no norm layer", "no statistics", "no batch axis"],
)
def test_a_graph_is_served_as_it_is_only_where_that_is_allowed(
    model: onnx.ModelProto, reason: str, capabilities: set[str]
) -> None:
    with pytest.raises(GraphError, match=reason):
        assemble(model, INFO, signed_lineage("imported"))

    bundle = assemble(model, INFO, signed_lineage("imported"), allow_unfolded=True, warnings=["export it again"])

    assert set(bundle.manifest.limits) >= capabilities
    assert all(re.match(reason, bundle.manifest.limits[name]) for name in capabilities)  # type: ignore[index]
    assert bundle.manifest.warnings == ("export it again",)
    assert (bundle.folded == bundle.source) == ("folding" in capabilities)


def test_a_fold_that_cannot_be_compared_is_not_served() -> None:
    late = linear_norm(final="y = Reshape(normalized, three_by_three)")
    late.graph.initializer.append(numpy_helper.from_array(np.array([7, 3]), "three_by_three"))

    bundle = assemble(late, INFO, signed_lineage("imported"), allow_unfolded=True)

    assert "could not be compared with its source" in bundle.manifest.limits["folding"]
    assert "cannot be run on random inputs" in (bundle.manifest.parity.skipped or "")
    assert bundle.folded == bundle.source
    assert not bundle.manifest.is_batchable


def test_a_graph_in_training_mode_is_refused_also_where_it_need_not_be_folded() -> None:
    model = linear_norm("training_mode = 1", outputs="y, new_mean, new_var")

    with pytest.raises(TrainingModeGraph):
        assemble(model, INFO, signed_lineage("imported"), allow_unfolded=True)


def image_network() -> onnx.ModelProto:
    """A convolution with a normalisation layer, whose mean over positions is the output."""
    return parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        images (float[N, 1, 16, 16] x) => (float[N, 2] y)
        <float[2, 1, 1, 1] w = {1, -2}, float[2] one = {1, 1}, float[2] zero = {0, 0}, int64[2] axes = {2, 3}> {
            conv = Conv(x, w)
            norm = BatchNormalization(conv, one, zero, zero, one)
            y = ReduceMean<keepdims = 0>(norm, axes)
        }
    """)


def spots(count: int, first: int) -> np.ndarray:
    """Images of a spot in one of three columns."""
    random = np.random.default_rng(first)
    images = 0.1 * random.random((count, 1, 16, 16), dtype=np.float32)
    for image, column in zip(images, first + random.integers(3, size=count), strict=True):
        image[0, 4:12, column : column + 4] += 1
    return images


def test_images_are_watched_by_choice_and_tell_where_the_values_are() -> None:
    def significant(is_watched: bool, images: np.ndarray) -> bool | None:
        info = ModelInfo("spots", watch_image=is_watched)
        bundle = assemble(image_network(), info, signed_lineage("imported"), rows={"x": spots(500, 4)})
        manifest = bundle.manifest
        assert ModelInfo.of(manifest).watch_image == is_watched
        assert [layer.kind for layer in manifest.watched_layers] == ["image"] * is_watched
        assert len(manifest.topology) == 3  # input, layer, output
        assert bundle.observed is not None
        outputs = load(bundle.observed, optimize=True)({"x": images})
        rows = ObservationReader(manifest.layers, outputs).read(outputs)
        return Detector(manifest.drift).assess({name: WindowMoments.of(of) for name, of in rows.items()}).significant

    assert significant(True, spots(64, 8))
    assert not significant(True, spots(64, 4))
    assert not significant(False, spots(64, 8))


def test_margins_are_watched_by_choice_and_kept_by_versions_that_are_made_from_it() -> None:
    def layers(info: ModelInfo, rows: dict[str, np.ndarray] | None) -> list[str]:
        manifest = assemble(image_network(), info, signed_lineage("imported"), rows=rows).manifest
        assert ModelInfo.of(manifest).watch_margin == any(layer.kind == "margin" for layer in manifest.watched_layers)
        assert manifest.drift is None or {layer.name for layer in manifest.layers} == set(manifest.drift.layers)
        return [layer.kind for layer in manifest.watched_layers]

    rows = {"x": spots(100, 4)}
    assert layers(ModelInfo("spots"), rows) == []
    assert layers(ModelInfo("spots", watch_margin=True), rows) == ["margin"]
    assert layers(ModelInfo("spots", watch_margin=True, watch_image=True), rows) == ["image", "margin"]
    assert layers(ModelInfo("spots", watch_margin=True), None) == []


def test_images_take_rows_that_give_their_units() -> None:
    info = ModelInfo("spots", watch_image=True)

    manifest = assemble(image_network(), info, signed_lineage("imported")).manifest

    assert manifest.watched_layers == ()
    assert manifest.warnings == ("its image is not watched: that takes reference rows",)


def test_what_a_network_does_not_have_is_said_not_to_be_watched() -> None:
    g = Graph()
    network = g.model(g.bn(g.gemm(g.input(8), 8, 4), 4, "norm"), dtype=np.float32)
    info, rows = ModelInfo("numbers", watch_image=True, watch_margin=True), np.random.default_rng(0).random((100, 8))

    manifest = assemble(network, info, signed_lineage("imported"), rows={"x": rows.astype(np.float32)}).manifest

    assert [layer.kind for layer in manifest.watched_layers] == ["margin"]
    assert manifest.warnings == ("its image is not watched: no input is an image of known size",)


@pytest.mark.parametrize(("classes", "half", "is_apart"), [(8, False, True), (8, True, True), (256, False, False)])
def test_the_served_graphs_do_without_the_file_of_the_source_graph_where_they_share_little(
    classes: int, half: bool, is_apart: bool
) -> None:
    g = Graph()
    inner = g.op("Relu", g.bn(g.gemm(g.input(256), 256, 256), 256, "norm"))
    network = g.model(g.gemm(inner, 256, classes), dtype=np.float32)

    made = assemble(network, ModelInfo("wide", half_weights=half), signed_lineage("imported"))

    for graph in (made.folded, made.observed):
        assert isinstance(graph, StoredGraph)
        assert ("source.weights" not in graph.weights) == is_apart
        assert "folded.weights" in graph.weights
    x = {"x": np.random.default_rng(0).normal(size=(5, 256)).astype(np.float32)}
    source, folded = (load(graph, optimize=True)(x) for graph in (made.source, made.folded))
    (name,) = source
    tolerance = (1e-3 if half else 1e-5) * np.abs(source[name]).max()
    np.testing.assert_allclose(folded[name], source[name], rtol=0, atol=tolerance)
