"""The schema of manifest.json: `models.manifest`."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from models.datatypes import Datatype
from models.manifest import (
    MODEL_NAME,
    Gate,
    ImagePreprocessing,
    LayerHistory,
    Lineage,
    Manifest,
    NormLayer,
    Parent,
    Placement,
    TensorSpec,
    TrainingHistory,
    TrainingRecord,
    channels,
)
from tests.bundles import image_bundle, tiny_bundle

GREY: dict[str, Any] = {"mode": "grey", "height": 8, "width": 8, "scale": 1, "mean": (0,), "std": (1,)}
LAYER: dict[str, Any] = tiny_bundle().manifest.norm_layers[0].model_dump()
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NOT_FINITE = pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])


def round_trip(manifest: Manifest) -> Manifest:
    return Manifest.model_validate_json(manifest.model_dump_json(exclude_none=True))


@pytest.mark.parametrize(
    "manifest",
    [
        tiny_bundle().manifest,
        tiny_bundle(labels=None, parent=Parent(model="other", version=3)).manifest,
        image_bundle(labels=("a", "ü", "\n")).manifest,
    ],
)
def test_what_is_written_is_read(manifest: Manifest) -> None:
    assert round_trip(manifest) == manifest


@given(
    config=st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    ),
    metrics=st.dictionaries(st.text(), FINITE),
)
def test_a_training_record_keeps_values_and_types(config: dict[str, Any], metrics: dict[str, float]) -> None:
    record = TrainingRecord(config=config, metrics=metrics)

    again = TrainingRecord.model_validate_json(record.model_dump_json(exclude_none=True))

    assert again == record
    assert [type(value) for value in again.config.values()] == [type(value) for value in config.values()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_channels_give_back_the_same_bits(dtype: type, data: st.DataObject) -> None:
    width = 32 if dtype is np.float32 else 64
    numbers = st.floats(width=width, allow_nan=False, allow_infinity=False)
    values = data.draw(hnp.arrays(dtype, st.integers(1, 8), elements=numbers))

    layer = NormLayer(
        **{**LAYER, "num_features": len(values), "running_var": [1] * len(values)}
        | dict.fromkeys(("running_mean", "gamma", "beta"), channels(values))
    )
    again = NormLayer.model_validate_json(layer.model_dump_json())

    assert np.array(again.gamma, dtype=dtype).tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("field", "points"),
    [("gamma", ((1, 2),)), ("beta", ((1, 2), (1,))), ("gradient_norm", (1, 2, 3)), ("running_var", ())],
)
def test_a_history_has_one_value_for_each_step_and_percentile(field: str, points: tuple[Any, ...]) -> None:
    fields = dict.fromkeys(LayerHistory.model_fields, ((1, 2), (3, 4))) | {"gradient_norm": (1, 2)}
    TrainingHistory(steps=(1, 9), percentiles=(25, 75), layers={"norm": LayerHistory(**fields)})

    with pytest.raises(ValidationError, match=f"layer 'norm': {field} needs one value for each step and percentile"):
        TrainingHistory(steps=(1, 9), percentiles=(25, 75), layers={"norm": LayerHistory(**fields | {field: points})})


def test_channels_are_written_with_few_digits() -> None:
    assert channels(np.array([0.1, 1 / 3], dtype=np.float32)) == (0.1, 0.33333334)


class TestNames:
    @pytest.mark.parametrize("name", ["a", "7", "ResNet-18_v1.5", "a" * 128, "default", "con", "a..b", "a."])
    def test_a_name_of_letters_digits_dots_dashes_and_underscores_is_taken(self, name: str) -> None:
        assert tiny_bundle(name=name).manifest.model == name
        assert Parent(model=name, version=1).model == name

    @pytest.mark.parametrize("name", ["", ".a", "-a", "_a", "a\n", "a b", "a/b", "ä", "a\0", "a" * 129, 1, None])
    def test_any_other_is_not(self, name: object) -> None:
        with pytest.raises(ValidationError, match="model"):
            Manifest(**{**tiny_bundle().manifest.model_dump(), "model": name})
        with pytest.raises(ValidationError, match="model"):
            Parent(model=name, version=1)

    @given(st.from_regex(re.compile(MODEL_NAME.pattern), fullmatch=True))
    def test_a_name_is_one_part_of_a_path(self, name: str) -> None:
        assert len(Path(name).parts) == 1
        assert name not in {".", ".."}


class TestRecords:
    def test_a_manifest_does_not_change(self) -> None:
        manifest = tiny_bundle().manifest
        with pytest.raises(ValidationError, match="frozen"):
            manifest.model = "other"

    @pytest.mark.parametrize("part", [TensorSpec, ImagePreprocessing, Placement, NormLayer, Manifest, TrainingRecord])
    def test_a_field_that_is_not_known_is_refused(self, part: type) -> None:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            part(colour="red")

    @pytest.mark.parametrize("version", [0, 1, "2", None])
    def test_another_schema_version_is_refused(self, version: object) -> None:
        with pytest.raises(ValidationError, match="schema_version"):
            Manifest(**{**tiny_bundle().manifest.model_dump(), "schema_version": version})

    @pytest.mark.parametrize("field", ["inputs", "outputs"])
    def test_a_model_has_inputs_and_outputs(self, field: str) -> None:
        with pytest.raises(ValidationError, match=field):
            Manifest(**{**tiny_bundle().manifest.model_dump(), field: ()})

    @pytest.mark.parametrize(("shape", "is_free"), [((), False), ((4,), False), ((4, -1), False), ((-1, 4), True)])
    def test_a_tensor_can_have_a_batch_axis(self, shape: tuple[int, ...], is_free: bool) -> None:
        assert TensorSpec(name="x", datatype="FP32", shape=shape).has_free_first_axis is is_free

    def test_a_data_type_of_another_protocol_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="datatype"):
            TensorSpec(name="x", datatype="float32", shape=(-1, 4))

    @NOT_FINITE
    def test_a_number_that_json_cannot_hold_is_refused(self, number: float) -> None:
        """It would be written as null, and the bundle never be read again."""
        with pytest.raises(ValidationError, match="finite number"):
            TrainingRecord(config={}, metrics={"loss": number})
        with pytest.raises(ValidationError, match="finite number"):
            Placement(kind="folded_back", tensor="t", scale=(number,), shift=(0,))


class TestNumClasses:
    @pytest.mark.parametrize(
        ("shape", "datatype", "labels", "expected"),
        [
            ((-1, 10), "FP32", None, 10),
            ((-1, 3), "INT8", ("a", "b", "c"), 3),
            ((5, 3), "INT8", ("a", "b", "c"), None),
            ((), "FP32", None, None),
            ((-1, 1), "FP32", None, None),
            ((-1, 1), "FP32", ("yes",), None),
            ((-1, 10), "BYTES", None, None),
            ((-1,), "FP32", None, None),
            ((-1, 10, 7), "FP32", None, None),
            ((-1, -1), "FP32", None, None),
            ((-1, -1), "FP32", ("a", "b", "c"), 3),
            ((-1, -1), "FP32", ("a",), None),
        ],
    )
    def test_a_model_classifies_whose_first_output_has_one_score_for_each_of_several_classes(
        self, shape: tuple[int, ...], datatype: Datatype, labels: tuple[str, ...] | None, expected: int | None
    ) -> None:
        first = TensorSpec(name="first", datatype=datatype, shape=shape)
        second = TensorSpec(name="second", datatype="FP32", shape=(-1, 4))
        update = {"outputs": (first, second), "labels": labels}

        assert tiny_bundle().manifest.model_copy(update=update).num_classes == expected


class TestNormLayer:
    @pytest.mark.parametrize("field", ["running_mean", "running_var", "gamma", "beta"])
    @pytest.mark.parametrize("values", [(), (1.0,), (1.0,) * 4])
    def test_there_is_one_number_per_channel(self, field: str, values: tuple[float, ...]) -> None:
        with pytest.raises(ValidationError, match=f"layer 'norm': {field} has {len(values)} values for 3 channels"):
            NormLayer(**{**LAYER, field: values})

    @pytest.mark.parametrize("field", ["running_mean", "running_var", "gamma", "beta"])
    @NOT_FINITE
    def test_a_number_that_is_not_finite_is_refused(self, field: str, number: float) -> None:
        with pytest.raises(ValidationError, match="finite number"):
            NormLayer(**{**LAYER, field: (1.0, number, 1.0)})

    def test_a_negative_variance_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="layer 'norm': running_var has a negative value"):
            NormLayer(**{**LAYER, "running_var": (1.0, -1e-9, 1.0)})

    def test_a_channel_that_never_varied_is_taken(self) -> None:
        assert NormLayer(**{**LAYER, "running_var": (0.0, 1.0, 1.0)}).running_var[0] == 0

    @pytest.mark.parametrize("change", [{"eps": 0}, {"eps": -1e-5}, {"momentum": 1.1}, {"momentum": -0.1}])
    def test_eps_and_momentum_have_bounds(self, change: dict[str, float]) -> None:
        with pytest.raises(ValidationError, match=next(iter(change))):
            NormLayer(**{**LAYER, **change})

    def test_a_layer_without_channels_is_refused(self) -> None:
        empty = dict.fromkeys(("running_mean", "running_var", "gamma", "beta"), ())
        with pytest.raises(ValidationError, match="num_features"):
            NormLayer(**{**LAYER, **empty, "num_features": 0})


class TestPlacement:
    def test_a_kept_layer_has_a_reason_and_a_folded_one_has_none(self) -> None:
        Placement(kind="kept", reason="its input is used elsewhere", tensor="t")
        with pytest.raises(ValidationError, match="a kept layer needs a reason"):
            Placement(kind="kept", tensor="t")
        with pytest.raises(ValidationError, match="a folded one has none"):
            Placement(kind="folded_back", reason="because", tensor="t")

    @pytest.mark.parametrize("given", ["scale", "shift"])
    def test_scale_and_shift_come_together(self, given: str) -> None:
        with pytest.raises(ValidationError, match="come together"):
            Placement(kind="folded_forward", tensor="t", **{given: (1.0,)})


class TestImagePreprocessing:
    @pytest.mark.parametrize(("mode", "count"), [("grey", 1), ("rgb", 3)])
    @pytest.mark.parametrize("field", ["mean", "std"])
    def test_there_is_one_mean_and_std_per_colour_channel(self, mode: str, count: int, field: str) -> None:
        good = {**GREY, "mode": mode, "mean": (0,) * count, "std": (1,) * count}
        ImagePreprocessing(**good)
        for wrong in (0, 2, 4):
            with pytest.raises(ValidationError, match=f"mode '{mode}' needs {count} values each of mean and std"):
                ImagePreprocessing(**{**good, field: (1,) * wrong})

    @pytest.mark.parametrize("std", [0, -1])
    def test_std_is_positive(self, std: float) -> None:
        with pytest.raises(ValidationError, match="std must be positive"):
            ImagePreprocessing(**{**GREY, "std": (std,)})

    @pytest.mark.parametrize("field", ["height", "width"])
    def test_an_image_has_a_size(self, field: str) -> None:
        with pytest.raises(ValidationError, match=field):
            ImagePreprocessing(**{**GREY, field: 0})

    def test_another_mode_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="mode"):
            ImagePreprocessing(**{**GREY, "mode": "bgr"})


class TestGate:
    @pytest.mark.parametrize(
        ("figure", "lower", "upper", "passed"),
        [
            (0.9, 0.9, 1.1, True),
            (1.1, 0.9, 1.1, True),
            (0.89, 0.9, 1.1, False),
            (1.2, None, 1.1, False),
            (-5.0, None, 1.1, True),
            (5.0, 0.9, None, True),
            (0.0, None, None, True),
            (None, None, None, False),
        ],
    )
    def test_it_is_passed_by_a_figure_within_its_bounds_and_says_so_in_json(
        self, figure: float | None, lower: float | None, upper: float | None, passed: bool
    ) -> None:
        gate = Gate(name="x", about="a figure", figure=figure, lower=lower, upper=upper)

        assert gate.passed is passed
        assert json.loads(gate.model_dump_json())["passed"] is passed
        assert Gate.model_validate_json(gate.model_dump_json()) == gate
        assert Gate.model_validate(gate.model_dump()) == gate

    def test_what_is_written_beside_the_figure_does_not_pass_it(self) -> None:
        assert not Gate.model_validate({"name": "x", "about": "", "figure": 0.0, "lower": 1.0, "passed": True}).passed
        with pytest.raises(ValidationError, match="Extra inputs"):
            Gate.model_validate({"name": "x", "about": "", "figure": 0.0, "colour": "red"})


def test_a_recalibrated_version_has_a_parent_and_a_record_and_no_other_has() -> None:
    usual = {"created_at": "2026-01-02T03:04:05Z", "created_by": "denge tests"}
    record = {"rows": 64, "prior": 16.0, "gates": [{"name": "rows", "about": "rows", "figure": 64.0, "lower": 64.0}]}
    parent = {"model": "tiny", "version": 1}

    found = Lineage.model_validate({**usual, "origin": "recalibrated", "parent": parent, "recalibration": record})

    assert found.recalibration is not None
    assert found.recalibration.gates[0].passed
    for wrong in (
        {"origin": "recalibrated", "parent": parent},
        {"origin": "recalibrated", "recalibration": record},
        {"origin": "trained", "recalibration": record},
    ):
        with pytest.raises(ValidationError, match="re-calibrated version"):
            Lineage.model_validate({**usual, **wrong})
