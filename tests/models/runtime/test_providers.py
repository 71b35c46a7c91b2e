"""What onnxruntime can run graphs on, here on a machine without a GPU."""

import onnxruntime
import pytest

from models.errors import ProviderUnavailable
from models.runtime.providers import options, validate_provider


def test_a_provider_that_onnxruntime_was_not_built_with_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    validate_provider("cpu")
    with pytest.raises(
        ProviderUnavailable,
        match=r"provider .cuda.: .* has no CUDAExecutionProvider, only CPUExecutionProvider;",
    ):
        validate_provider("cuda")


def test_a_gpu_rounds_only_where_it_is_asked_to() -> None:
    assert options("cuda", "float32", capture=False)["use_tf32"] == "0"
    assert options("cuda", "tf32", capture=False)["use_tf32"] == "1"
    assert options("cpu", "float32", capture=False) == {}
