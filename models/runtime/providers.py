"""onnxruntime's execution providers: the hardware that a graph runs on."""

from typing import Literal

import onnxruntime

from models.errors import ProviderUnavailable

Provider = Literal["cpu", "cuda"]

Precision = Literal["float32", "tf32", "float16"]
"""What a GPU computes with: `tf32` rounds the factors of products to 10 bits, `float16` all values."""

NAMES: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Their names in onnxruntime."""

CAPTURING: frozenset[Provider] = frozenset({"cuda"})
"""Those whose runs can be captured (`models.runtime.captured`)."""


def options(provider: Provider, precision: Precision, *, capture: bool) -> dict[str, str]:
    """Options of onnxruntime for a provider.

    Args:
        provider: the provider.
        precision: what it computes with. For `float16`, the graph is one of half precision already.
        capture: whether runs are captured.
    """
    if provider == "cpu":
        return {}
    return {
        # The default, an exhaustive search, stalls the first run of every new batch size for hundreds of milliseconds.
        "cudnn_conv_algo_search": "HEURISTIC",
        # On by default, and too coarse for the parity checks of publishing.
        "use_tf32": str(int(precision == "tf32")),
        # Tensor cores take the channels last: other layouts are turned for each convolution.
        "prefer_nhwc": str(int(precision != "float32")),
        "enable_cuda_graph": str(int(capture)),
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
