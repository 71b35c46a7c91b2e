"""The 8-bit version of a bundle: what it keeps of its parent, what its record says, and when it is refused."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest

from models.errors import InvalidInput, VersionRefused
from models.graph.fold import fold
from models.graph.load import parse, serialize
from models.graph.merge import merge
from models.graph.observe import observe
from models.manifest import Manifest, QuantizationRecord, Speed
from models.quantization import version
from models.quantization.limits import RangesFrom
from models.quantization.qdq import Quantized, quantize_graph
from models.quantization.tensor_statistics import Statistics
from models.quantization.version import quantize, unchanged_layers
from models.recalibration.candidate import Candidate
from models.runtime.load import load
from tests.graphs import changed
from tests.models.graph.cases import Graph
from tests.models.graph.test_merge import block
from tests.models.quantization.network import bundle, images


def speeds(*ratios: float) -> tuple[Speed, ...]:
    pairs = zip((1, 32), ratios, strict=True)
    return tuple(Speed(rows=rows, parent_ms=ratio, own_ms=1, ratio=ratio) for rows, ratio in pairs)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The ratios that are measured."""
    ratios = [(1.5, 2.0)]
    monkeypatch.setattr(version, "measure_speed", lambda *_: speeds(*ratios[-1]))
    return ratios


def record(candidate: Candidate) -> QuantizationRecord:
    found = candidate.bundle.manifest.lineage.quantization
    assert found is not None
    return found


@pytest.mark.parametrize("ranges_from", ["rows", "batch_norm"])
def test_a_version_that_pays_may_be_published(ranges_from: RangesFrom) -> None:
    parent = bundle()

    candidate = quantize(parent, 3, ranges_from=ranges_from)

    made, found = candidate.publishable(), record(candidate)
    assert (made.source, made.observed, made.held_out) == (parent.source, parent.observed, parent.held_out)
    assert made.manifest.drift == parent.manifest.drift
    assert made.manifest.norm_layers == parent.manifest.norm_layers
    lineage = made.manifest.lineage
    assert lineage.parent is not None
    assert (lineage.origin, lineage.parent.version) == ("quantized", 3)
    assert (found.ranges_from, found.layers, found.float_layers) == (ranges_from, 4, {})
    assert (found.rows, found.compared_rows) == ((32, 96) if ranges_from == "rows" else (0, 128))
    assert found.agreement is not None
    assert found.agreement >= 0.96
    assert found.accuracy_before is None
    assert [gate.name for gate in found.gates] == ["loss", "speed_1", "speed_32"]
    assert made.manifest.parity.skipped is not None
    assert Manifest.model_validate_json(made.manifest.model_dump_json(exclude_none=True)) == made.manifest
    types = {node.op_type for node in parse(made.folded).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= types
    new = images(64, 9)
    (before,), (after,) = (load(each.folded, optimize=True)(new).values() for each in (parent, made))
    assert 0 < np.abs(after - before).max() < 0.4 * before.std()


def test_one_that_is_slower_is_refused_with_the_figures(measured: list[tuple[float, float]]) -> None:
    measured.append((0.7, 2.0))

    candidate = quantize(bundle(), 1)

    with pytest.raises(VersionRefused, match=r"^speed_1 0.7 is below 1.05$"):
        candidate.publishable()
    forced = candidate.publishable(force=True).manifest.lineage.quantization
    assert forced is not None
    assert forced.forced


def test_wrong_scales_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(folded: onnx.ModelProto, statistics: Statistics) -> Quantized:
        right = quantize_graph(folded, statistics)
        name = next(tensor.name for tensor in right.model.graph.initializer if "weight.scale" in tensor.name)
        return replace(right, model=parse(changed(right.model, name, 3.0)))

    monkeypatch.setattr(version, "quantize_graph", wrong)

    candidate = quantize(bundle(), 1)

    assert [gate.name for gate in candidate.failed_gates] == ["loss"]
    assert candidate.failed_gates[0].figure is not None
    assert candidate.failed_gates[0].figure > 2


def test_labels_decide_where_they_are_known() -> None:
    rows = images(400, 4)
    labels = next(iter(load(bundle().folded, optimize=True)(rows).values())).argmax(axis=1)

    found = record(quantize(bundle(), 1, rows, labels, tolerance=5))

    assert found.compared_rows == 300
    assert found.accuracy_before == 1
    assert found.accuracy_after == found.agreement


def test_without_rows_a_version_is_not_published_but_by_force() -> None:
    parent = bundle(with_rows=False)

    with pytest.raises(InvalidInput, match="rows: the bundle has no held-out rows"):
        quantize(parent, 1)
    candidate = quantize(parent, 1, ranges_from="batch_norm")

    assert [gate.name for gate in candidate.failed_gates] == ["loss"]
    assert record(candidate).compared_rows == 0
    assert candidate.publishable(force=True).folded != parent.folded


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (8, {}, "rows: got 8, expected 16 or more"),
        (64, {"tolerance": -1}, "tolerance: got -1"),
        (64, {"labels": np.full(64, 9)}, "labels: output"),
    ],
)
def test_wrong_input_is_an_error_in_words(rows: int, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        quantize(bundle(), 1, images(rows), **options)  # type: ignore[arg-type]


def test_a_version_in_eight_bits_is_not_quantised_again() -> None:
    once = quantize(bundle(), 1).publishable()

    with pytest.raises(InvalidInput, match="bundle: version 2 computes in 8 bits already"):
        quantize(once, 2)


def names(layers: Sequence[object]) -> list[str]:
    return [str(getattr(layer, "name", "")) for layer in layers]


def test_layers_of_merged_branches_say_nothing_about_the_merged_tensor() -> None:
    g = Graph()
    stem = g.op("Relu", g.bn(g.conv(g.input(4, 6, 5), 4, 4, pads=[1] * 4), 4, "stem"))
    source = g.model(block(g, stem), dtype=np.float32)
    made = fold(source)
    observed = serialize(observe(made.model, made.norm_layers))
    manifest = bundle().manifest.model_copy(update={"norm_layers": made.norm_layers})
    parent = replace(bundle(), manifest=manifest, observed=observed)

    assert len(unchanged_layers(parent, made.model)) == 4
    assert names(unchanged_layers(parent, merge(made.model).model)) == names(made.norm_layers[:1])
