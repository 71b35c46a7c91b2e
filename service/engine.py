"""One onnxruntime session: provider, threads, warm-up, run. The only import of onnxruntime."""

import os
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Literal

# onnxruntime >= 1.29 reports home on Linux unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.datatypes import to_numpy
from models.errors import InferenceFailed, ProviderUnavailable
from models.manifest import TensorSpec

Array = NDArray[Any]
Provider = Literal["cpu", "cuda"]

_PROVIDER_NAMES: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_PROVIDER_OPTIONS: dict[Provider, dict[str, str]] = {
    "cpu": {},
    # The default, an exhaustive search, stalls the first request of every new batch size for hundreds of milliseconds.
    "cuda": {"cudnn_conv_algo_search": "HEURISTIC"},
}
_ERRORS_ONLY = 3
_WARM_UP_ROWS = 8
_SHORT_SECONDS = 0.01
"""Runs that take longer are not measured again and again while someone waits for the service to start."""


class Engine:
    """Runs one graph.

    Args:
        graph: the serialized ONNX model.
        inputs: what it takes, for the warm-up.
        provider: what runs it.
        threads: threads inside one run.

    Raises:
        ProviderUnavailable: the provider is not the one that onnxruntime would use.
        InferenceFailed: onnxruntime refuses the graph, or its first run fails.
    """

    def __init__(
        self, graph: bytes, inputs: Sequence[TensorSpec], provider: Provider = "cpu", threads: int = 1
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # A pattern is kept for every shape ever met: with a free batch size that only grows.
        options.enable_mem_pattern = False
        # External data is refused at publishing; should a graph name some all the same, there is nothing to be found.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        self.provider = _PROVIDER_NAMES[provider]
        require_provider(provider)
        if provider == "cuda":
            onnxruntime.preload_dlls()  # the CUDA libraries that pip installed, which the loader does not look for
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=[(self.provider, _PROVIDER_OPTIONS[provider])]
            )
        except Exception as error:
            raise InferenceFailed("onnxruntime cannot load the graph") from error
        # onnxruntime goes on with the CPU when CUDA cannot start, and says so only in its log.
        if self._session.get_providers()[0] != self.provider:
            raise ProviderUnavailable(
                f"{self.provider} was asked for, but onnxruntime would run {self._session.get_providers()[0]}: "
                "check the GPU, its driver and the CUDA libraries"
            )
        self._output_names = [output.name for output in self._session.get_outputs()]
        self._seconds_per_run, self._seconds_per_row = self._warm_up(inputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, for inputs by name. Safe to call from several threads at once.

        Raises:
            InferenceFailed: onnxruntime broke on these inputs.
        """
        try:
            outputs = self._session.run(self._output_names, inputs)
        except Exception as error:
            raise InferenceFailed("the model cannot be run on these inputs") from error
        return dict(zip(self._output_names, outputs, strict=True))

    def expected_seconds(self, rows: int) -> float:
        """How long a run of this many rows takes, as measured when the engine started."""
        return self._seconds_per_run + rows * self._seconds_per_row

    def _warm_up(self, inputs: Sequence[TensorSpec]) -> tuple[float, float]:
        """Run it for the first time, and measure seconds a run and seconds a row."""
        one = self._fastest(inputs, 1)
        if one > _SHORT_SECONDS or any(spec.shape[0] != -1 for spec in inputs):
            return one, 0.0
        per_row = max(self._fastest(inputs, _WARM_UP_ROWS) - one, 0.0) / (_WARM_UP_ROWS - 1)
        return max(one - per_row, 0.0), per_row

    def _fastest(self, inputs: Sequence[TensorSpec], rows: int) -> float:
        feeds = {spec.name: _zeros(spec, rows) for spec in inputs}
        self.run(feeds)
        seconds = []
        for _ in range(3):
            start = perf_counter()
            self.run(feeds)
            seconds.append(perf_counter() - start)
            if seconds[0] > _SHORT_SECONDS:
                break
        return min(seconds)


def require_provider(provider: Provider) -> None:
    """Whether onnxruntime was built with a provider; whether it works shows when a model is loaded.

    Raises:
        ProviderUnavailable: it was not.
    """
    available = onnxruntime.get_available_providers()
    if _PROVIDER_NAMES[provider] not in available:
        raise ProviderUnavailable(f"{_PROVIDER_NAMES[provider]} was asked for, onnxruntime here has only {available}")


def runtime_version() -> str:
    """The version of onnxruntime."""
    return str(onnxruntime.__version__)


def _zeros(spec: TensorSpec, rows: int) -> Array:
    shape = [1 if size < 0 else size for size in spec.shape[1:]]
    return np.zeros([rows if spec.shape[0] < 0 else spec.shape[0], *shape], dtype=to_numpy(spec.datatype))
