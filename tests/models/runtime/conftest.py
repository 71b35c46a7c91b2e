"""Memory for the tests of the runtime."""

from typing import Any

import onnxruntime
import pytest


@pytest.fixture(scope="session")
def shared_memory() -> Any:
    """Memory of the CPU that onnxruntime allocates, in the place of CUDA's pinned memory."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)
    return memory
