"""The onnxruntime session of the limits and of the reference: the service's settings, none of its code."""

from pathlib import Path
from typing import Any

import onnxruntime

PROVIDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}),
}


def open_session(path: Path, provider: str = "cpu") -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(path, options, providers=[PROVIDERS[provider]])
