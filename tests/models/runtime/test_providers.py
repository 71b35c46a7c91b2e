"""What onnxruntime can run graphs on, here on a machine without a GPU."""

from collections.abc import Callable
from typing import Any

import onnxruntime
import pytest

from models.errors import ProviderUnavailable
from models.runtime.providers import input_memory, pinned_memory, validate_provider


class Device:
    """A GPU, as onnxruntime describes it."""

    ep_name = "CUDAExecutionProvider"

    def __init__(self, memory: Any) -> None:
        self.memory_info: Callable[[Any], Any] = lambda _kind: memory


def test_a_provider_that_onnxruntime_was_not_built_with_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    validate_provider("cpu")
    with pytest.raises(
        ProviderUnavailable,
        match=r"provider .cuda.: .* has no CUDAExecutionProvider, only CPUExecutionProvider;",
    ):
        validate_provider("cuda")


def test_without_a_gpu_there_is_no_pinned_memory() -> None:
    assert pinned_memory() is None
    assert input_memory("cuda") is None


def test_pinned_memory_is_what_the_cuda_device_says_it_is(monkeypatch: pytest.MonkeyPatch, shared_memory: Any) -> None:
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: [Device(shared_memory)])

    assert pinned_memory() is shared_memory
    assert input_memory("cuda") is shared_memory
    assert input_memory("cpu") is None
