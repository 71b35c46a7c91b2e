"""onnxruntime's execution providers: the hardware that a graph runs on."""

from typing import Any, Literal

import numpy as np
import onnxruntime

from models.errors import ProviderUnavailable

Provider = Literal["cpu", "cuda"]

NAMES: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Their names in onnxruntime."""

OPTIONS: dict[Provider, dict[str, str]] = {
    "cpu": {},
    "cuda": {
        # The default, an exhaustive search, stalls the first run of every new batch size for hundreds of milliseconds.
        "cudnn_conv_algo_search": "HEURISTIC",
        # TF32 would round the factors of every product to 10 bits, too few for the parity checks of publishing.
        "use_tf32": "0",
    },
}


def validate_provider(provider: Provider) -> None:
    """Check that onnxruntime was built with a provider. Whether it works shows when a model is loaded.

    Raises:
        ProviderUnavailable: it was not.
    """
    available = onnxruntime.get_available_providers()
    if NAMES[provider] not in available:
        raise ProviderUnavailable(
            f"provider '{provider}': this onnxruntime has no {NAMES[provider]}, only {', '.join(available)}; "
            "install onnxruntime-gpu for 'cuda'"
        )


def runtime_version() -> str:
    """The version of onnxruntime."""
    return str(onnxruntime.__version__)


def pinned_memory() -> Any:
    """Host memory that the GPU copies from by itself; None where this onnxruntime offers none."""
    try:
        cuda = next(device for device in onnxruntime.get_ep_devices() if device.ep_name == NAMES["cuda"])
        memory = cuda.memory_info(onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE)
        probe = onnxruntime.OrtValue.ortvalue_from_shape_and_type([1], np.float32, memory_info=memory)
        probe.numpy()[0] = 1.0
    except Exception:  # noqa: BLE001 - older releases have no such interface, and its errors have no common class
        return None
    return memory if probe.numpy()[0] == 1.0 else None


def input_memory(provider: Provider) -> Any:
    """Host memory to put inputs into before a run; None to run on the arrays as they are."""
    return pinned_memory() if provider == "cuda" else None
