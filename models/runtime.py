"""One onnxruntime session: provider, threads, warm-up, run. The only import of onnxruntime."""

import ctypes
import os
from collections.abc import Mapping, Sequence
from math import inf, prod
from time import perf_counter
from typing import Any, Literal, Self

# onnxruntime >= 1.29 reports home on Linux unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.datatypes import to_numpy
from models.errors import GraphError, InferenceFailed, InvalidInput, ProviderUnavailable
from models.manifest import TensorSpec
from models.parity import Run

Array = NDArray[Any]
Outputs = dict[str, Array]
Provider = Literal["cpu", "cuda"]

_PROVIDER_NAMES: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_PROVIDER_OPTIONS: dict[Provider, dict[str, str]] = {
    "cpu": {},
    "cuda": {
        # The default, an exhaustive search, stalls the first run of every new batch size for hundreds of milliseconds.
        "cudnn_conv_algo_search": "HEURISTIC",
        # TF32 would round the factors of every product to 10 bits: graphs are compared with more before publishing.
        "use_tf32": "0",
    },
}
_ERRORS_ONLY = 3
_WARM_UP_ROWS = 8
_SHORT_SECONDS = 0.01
"""Runs that take longer are not measured again and again while someone waits for the service to start."""

_BFLOAT16 = 16
"""The number of this type in ONNX."""


class Engine:
    """Runs one graph.

    Args:
        graph: the serialized ONNX model.
        inputs: what it takes, for the warm-up.
        provider: what runs it.
        threads: threads inside one run.
        buckets: numbers of rows, ascending. A run of fewer rows than the largest is filled up with zeros to the next
            one, so that a device meets no other sizes, and has met these before the first request.

    Attributes:
        output_names: of the graph, in its order.

    Raises:
        ProviderUnavailable: the provider is not the one that onnxruntime would use.
        InferenceFailed: onnxruntime refuses the graph, or its first run fails.
    """

    def __init__(
        self,
        graph: bytes,
        inputs: Sequence[TensorSpec],
        provider: Provider = "cpu",
        threads: int = 1,
        buckets: Sequence[int] = (),
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
        self.output_names = [output.name for output in self._session.get_outputs()]
        self._buckets = buckets
        self._takes_text = any(spec.datatype == "BYTES" for spec in inputs)
        types = {tensor.type for tensor in (*self._session.get_inputs(), *self._session.get_outputs())}
        # onnxruntime takes bfloat16 only as values of its own, and text never.
        if types >= {"tensor(bfloat16)", "tensor(string)"}:
            raise InferenceFailed("onnxruntime takes bfloat16 and text, but not both in one graph")
        bound = "tensor(bfloat16)" in types or provider == "cuda" or bool(buckets)
        self._run = self._run_bound if bound and "tensor(string)" not in types else self._run_plain
        self._pinned = pinned_memory() if provider == "cuda" else None
        self._seconds_per_run, self._seconds_per_row = self._warm_up(inputs)

    def run(self, inputs: Mapping[str, Array]) -> Outputs:
        """All outputs by name, for inputs by name. Safe to call from several threads at once.

        Raises:
            InvalidInput: the graph refuses a value.
            InferenceFailed: onnxruntime broke on these inputs.
        """
        try:
            return self._run(inputs)
        except Exception as error:
            # A node that refuses its argument has met an index out of range, say. Of text only the model knows what is
            # right.
            by_node = type(error).__name__ == "InvalidArgument" and "while running" in str(error)
            if by_node or self._takes_text:
                raise InvalidInput("the model cannot be run on these values", "inputs") from error
            raise InferenceFailed("the model cannot be run on these inputs") from error

    def expected_seconds(self, rows: int) -> float:
        """How long a run of this many rows takes, as measured when the engine started."""
        return self._seconds_per_run + rows * self._seconds_per_row

    def release(self) -> Self:
        """Free the session and its memory. What is known of it stays; it runs no more."""
        del self._session
        return self

    def _run_plain(self, inputs: Mapping[str, Array]) -> Outputs:
        return dict(zip(self.output_names, self._session.run(self.output_names, inputs), strict=True))

    def _run_bound(self, inputs: Mapping[str, Array]) -> Outputs:
        """Run on values of onnxruntime's own: copied to the device once, and from it once."""
        rows = len(next(iter(inputs.values())))
        extra = next((bucket for bucket in self._buckets if bucket >= rows), rows) - rows
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, _to_value(array, extra, self._pinned))
        for name in self.output_names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        arrays = map(_to_array, binding.get_outputs())
        outputs = dict(zip(self.output_names, arrays, strict=True))
        return {name: array[:rows] for name, array in outputs.items()} if extra else outputs

    def _warm_up(self, inputs: Sequence[TensorSpec]) -> tuple[float, float]:
        """Run it for the first time, and measure seconds a run and seconds a row."""
        if self._takes_text:
            return inf, 0.0  # What text it understands is its own affair.
        for rows in self._buckets:
            self.run({spec.name: _zeros(spec, rows) for spec in inputs})
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


def load(graph: bytes, *, optimize: bool) -> Run:
    """Any graph as a function, on one core: the service's `models.parity.Load`.

    Raises:
        GraphError: onnxruntime cannot load the graph; or, when the function is called, cannot run it.
    """
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[_PROVIDER_NAMES["cpu"]])
    except Exception as error:
        raise GraphError(f"onnxruntime cannot load the graph: {error}") from error
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, Array]) -> Outputs:
        try:
            return dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:
            raise GraphError(f"onnxruntime cannot run the graph: {error}") from error

    return run


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


def buckets(max_rows: int) -> tuple[int, ...]:
    """Powers of two up to a number of rows, and the number itself."""
    return (*(1 << power for power in range((max_rows - 1).bit_length())), max_rows)


def pinned_memory() -> Any:
    """Host memory that the GPU copies from by itself; None where this onnxruntime has none to give."""
    try:
        cuda = next(device for device in onnxruntime.get_ep_devices() if device.ep_name == _PROVIDER_NAMES["cuda"])
        memory = cuda.memory_info(onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE)
        tried = onnxruntime.OrtValue.ortvalue_from_shape_and_type([1], np.float32, memory_info=memory)
        tried.numpy()[0] = 1.0
    except Exception:  # noqa: BLE001 - older ones have no such interface, and its errors have no common name
        return None
    return memory if tried.numpy()[0] == 1.0 else None


def _to_value(array: Array, extra: int, pinned: Any) -> Any:
    """The array with `extra` rows of zeros after its own, for the device to copy."""
    shape = (len(array) + extra, *array.shape[1:])
    if array.dtype.kind == "V":  # bfloat16
        bits = _filled(np.empty(shape, np.uint16), array.view(np.uint16))
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _BFLOAT16)
    if pinned is not None:
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, array.dtype, memory_info=pinned)
        _filled(value.numpy(), array)
        return value
    as_it_is = array.flags.c_contiguous and not extra
    return onnxruntime.OrtValue.ortvalue_from_numpy(array if as_it_is else _filled(np.empty(shape, array.dtype), array))


def _filled(buffer: Array, array: Array) -> Array:
    buffer[: len(array)] = array
    buffer[len(array) :] = 0
    return buffer


def _to_array(value: Any) -> Array:
    if value.element_type() != _BFLOAT16:
        array: Array = value.numpy()
        return array
    shape = value.shape()
    raw = ctypes.string_at(value.data_ptr(), 2 * prod(shape))
    return np.frombuffer(raw, to_numpy("BF16")).reshape(shape)


def _zeros(spec: TensorSpec, rows: int) -> Array:
    shape = [1 if size < 0 else size for size in spec.shape[1:]]
    return np.zeros([rows if spec.shape[0] < 0 else spec.shape[0], *shape], dtype=to_numpy(spec.datatype))
