"""One version of a model: what is written is read, and what cannot be is refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from models.datatypes import Datatype
from models.manifest import ImagePreprocessing, Manifest, NormLayer, Parent, Placement, TensorSpec, TrainingRecord
from tests.bundles import image_bundle, tiny_bundle


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

    @pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
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
