"""What a manifest says can be done with a version."""

from typing import Any

import pytest

from models.capabilities import require, unavailable
from models.errors import InvalidInput
from models.manifest import Manifest, TensorSpec
from tests.bundles import echo_bundle, generator_bundle, image_bundle, sentence_bundle, text_bundle, tiny_bundle
from tests.watching import watched_bundle

NOTHING_BY_ROWS = {
    "batching",
    "watching",
    "layer_statistics",
    "reference",
    "recalibration",
    "folding",
    "images",
    "text",
    "generation",
}


@pytest.mark.parametrize(
    ("manifest", "missing"),
    [
        (tiny_bundle().manifest, {"layer_statistics", "images", "text", "generation"}),
        (image_bundle().manifest, {"layer_statistics", "text", "generation"}),
        (watched_bundle().manifest, {"images", "text", "generation"}),
        (sentence_bundle().manifest, NOTHING_BY_ROWS - {"batching", "text"}),
        (generator_bundle().manifest, NOTHING_BY_ROWS - {"batching", "generation"}),
        (echo_bundle("FP32").manifest, NOTHING_BY_ROWS - {"batching"}),
        (text_bundle("sum", "(float[3] x) => (float y) { y = ReduceSum(x) }").manifest, NOTHING_BY_ROWS),
    ],
    ids=["no held-out rows", "images", "calibrated", "texts", "generator", "no norm layers", "no batch axis"],
)
def test_capabilities_follow_from_the_manifest(manifest: Manifest, missing: set[str]) -> None:
    assert set(unavailable(manifest)) == missing


def test_what_was_found_when_the_version_was_made_is_the_reason() -> None:
    found = "the model has no batch axis: the first axis of 'x' is not of free size"
    fixed = text_bundle("sum", "(float[3] x) => (float y) { y = ReduceSum(x) }").manifest
    manifest = fixed.model_copy(update={"limits": {"batching": found, "folding": "it is inside a loop"}})

    reasons = unavailable(manifest)

    assert reasons["watching"] == reasons["recalibration"] == found
    assert reasons["folding"] == "it is inside a loop"


def test_text_cannot_be_re_calibrated() -> None:
    manifest = tiny_bundle().manifest
    text = manifest.model_copy(update={"inputs": (TensorSpec(name="input", datatype="BYTES", shape=(-1, 4)),)})

    require(manifest, "recalibration")
    with pytest.raises(InvalidInput, match=r"model: 'tiny' has no recalibration: the model takes text"):
        require(text, "recalibration")


@pytest.mark.parametrize(
    ("graph", "batch_axis", "is_batchable"),
    [
        ("(float[N, 2] x) => (float[N, 2] y) { y = Identity(x) }", None, True),
        ("(float[N, 2] x) => (float[N, 2] y) { y = Identity(x) }", False, False),
        ("(float[2, 2] x) => (float[2, 2] y) { y = Identity(x) }", None, False),
        ("(float x) => (float y) { y = Identity(x) }", None, False),
        ("(float[N] x) => (float y) { y = ReduceSum(x) }", None, False),
    ],
)
def test_a_batch_axis_is_free_in_every_tensor_and_can_be_denied(
    graph: str, batch_axis: Any, is_batchable: bool
) -> None:
    assert text_bundle("any", graph, batch_axis=batch_axis).manifest.is_batchable is is_batchable


def test_a_batch_axis_of_fixed_size_is_refused() -> None:
    with pytest.raises(ValueError, match="must be of free size"):
        text_bundle("fixed", "(float[2] x) => (float[2] y) { y = Identity(x) }", batch_axis=True)
