"""What onnxruntime can run graphs on, here on a machine without a GPU."""

import onnxruntime
import pytest

from models.errors import ProviderUnavailable
from models.runtime import engine
from models.runtime.providers import options, validate_provider
from models.runtime.session import open_session
from tests.bundles import tiny_bundle


def test_a_provider_that_onnxruntime_was_not_built_with_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    validate_provider("cpu")
    with pytest.raises(
        ProviderUnavailable,
        match=r"provider .cuda.: .* has no CUDAExecutionProvider, only CPUExecutionProvider;",
    ):
        validate_provider("cuda")


def test_a_provider_that_does_not_start_is_refused_in_place_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime goes on with the CPU where CUDA cannot start, and does not say so."""
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(engine, "open_session", lambda graph, **_options: open_session(graph))
    bundle = tiny_bundle()

    assert engine.Engine(bundle.folded, bundle.manifest.inputs, "cpu").provider == "CPUExecutionProvider"
    with pytest.raises(ProviderUnavailable, match="did not start, and onnxruntime would run CPUExecutionProvider"):
        engine.Engine(bundle.folded, bundle.manifest.inputs, "cuda")


def test_a_new_batch_size_starts_no_exhaustive_search_on_a_gpu() -> None:
    assert options("cuda", "float32", capture=False)["cudnn_conv_algo_search"] == "HEURISTIC"


def test_a_gpu_rounds_only_where_it_is_asked_to() -> None:
    assert options("cuda", "float32", capture=False)["use_tf32"] == "0"
    assert options("cuda", "tf32", capture=False)["use_tf32"] == "1"
    assert options("cpu", "float32", capture=False) == {}
