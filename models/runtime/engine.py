"""A graph ready to serve: provider, threads, warm-up, runs."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from itertools import repeat
from math import inf
from typing import Any, Self

from models.datatypes import Array, Arrays
from models.errors import GraphError, InferenceFailed, InvalidInput, ProviderUnavailable, RunTooLong
from models.manifest import TensorSpec
from models.rows import count_rows, zeros
from models.runtime import providers, values
from models.runtime.captured import CapturedRuns
from models.runtime.device import device
from models.runtime.providers import Precision, Provider, validate_provider
from models.runtime.row_wise import RowTrial, try_rows
from models.runtime.run_sizes import RunSizes, run_in_parts
from models.runtime.run_times import RunTimes
from models.runtime.session import open_session, run_session, silence
from models.runtime.shared_graph import NO_VALUES, SharedGraph
from models.runtime.watchdog import watchdog
from models.sequences import find_unstackable
from models.stored_graph import SerializedGraph

_TOLERANCES: dict[Provider, float] = {"cpu": 1e-6, "cuda": 1e-3}
"""Of outputs of rows that run together, beside those that run alone: a GPU has other kernels for other sizes."""

_ROUNDED_TOLERANCE = 1e-2
"""The same for less than float32: 20 times what one rounding to half precision changes."""

MOST_ROWS = 128
"""Of one run, where rows do not depend on each other: more take memory, which the session keeps, and no less time a row
(36 us with 128 rows of the starter convnet, 47 with 512)."""

_TRY_SECONDS = 3.0  # also of the first run, which takes longer
_RUN_SECONDS = 60.0


class Engine:
    """Runs one graph.

    Args:
        graph: the serialized ONNX model, with its weights; on a CPU, it may share them with other engines.
        inputs: of the graph, for the warm-up.
        provider: what runs it.
        threads: threads inside one run.
        buckets: numbers of rows, ascending. A run of fewer rows than the largest is filled up with zeros to the next
            one, so that a device meets no other sizes, and has met these before the first request.
        run_seconds: a run that takes longer is ended.
        batched: whether the first axis of every input is the batch. A graph without may refuse zeros, with which it is
            warmed up: it may take a divisor, or the shape of another input.
        keep_memory: whether the memory of a run is kept for the next one.
        precision: what a GPU computes with.

    Attributes:
        output_names: of the graph, in its order.
        provider: the name of the execution provider that runs it, e.g. ``CPUExecutionProvider``.
        precision: what it computes with.
        values: weights that other engines may share, by name.
        is_row_wise: whether rows have the same outputs beside others as alone, as far as that can be tried.

    Raises:
        ProviderUnavailable: the provider is not the one that onnxruntime would use.
        InferenceFailed: onnxruntime refuses the graph, it takes or gives something else than tensors, or its first run
            fails.
        RunTooLong: its first run takes too long.
    """

    lays_out = True
    """Whether onnxruntime lays out the weights anew when the graph is opened."""

    def __init__(
        self,
        graph: SerializedGraph | SharedGraph,
        inputs: Sequence[TensorSpec],
        provider: Provider = "cpu",
        threads: int = 1,
        buckets: Sequence[int] = (),
        *,
        run_seconds: float = _RUN_SECONDS,
        batched: bool = True,
        keep_memory: bool = True,
        precision: Precision = "float32",
    ) -> None:
        validate_provider(provider)
        self.provider, self.precision = providers.NAMES[provider], precision
        free_axes = (spec.shape[1:] if batched else spec.shape for spec in inputs)
        self._has_free_rows = any(-1 in axes for axes in free_axes)
        self._takes_text = any(spec.datatype == "BYTES" for spec in inputs)
        self._captured: CapturedRuns | None = None
        self.values = graph.values if isinstance(graph, SharedGraph) else NO_VALUES  # the session does not keep them
        self._open = partial(
            open_session,
            provider=provider,
            precision=precision,
            threads=threads,
            keep_memory=keep_memory,
            lay_out=self.lays_out,
        )
        self._batched = batched
        self._tolerance = _TOLERANCES[provider] if precision == "float32" else _ROUNDED_TOLERANCE
        with device.opening if provider == "cuda" else nullcontext():
            if provider in providers.CAPTURING and buckets and not (self._has_free_rows or self._takes_text):
                # Where a node runs on the CPU, or a size follows from values, runs cannot be captured.
                with suppress(Exception):
                    self._session = self._open(graph, capture=True)
                    silence()
                    self._captured = CapturedRuns(self._session, inputs, buckets, self._tolerance, provider)
            if self._captured is None:
                try:
                    self._session = self._open(graph, log_errors=provider == "cuda")  # why it does not start
                except GraphError as error:
                    raise InferenceFailed("onnxruntime cannot load the graph") from error
        if self._session.get_providers()[0] != self.provider:
            raise ProviderUnavailable(
                f"provider '{provider}': {self.provider} did not start, and onnxruntime would run "
                f"{self._session.get_providers()[0]}; check the GPU, its driver and the CUDA libraries"
            )
        if provider == "cuda":
            silence()
        self.output_names = [output.name for output in self._session.get_outputs()]
        self._buckets, self._sizes = buckets, RunSizes(buckets)
        self._run_seconds = run_seconds
        self.is_row_wise, self._most_rows = False, 0
        self._times = RunTimes()
        types = values.tensor_types(self._session)
        if others := sorted(name for name in types if not name.startswith("tensor(")):
            raise InferenceFailed(f"the graph takes or gives a {others[0]}; only tensors are served")
        # onnxruntime takes bfloat16 only as values of its own, and text never.
        if types >= {values.BFLOAT16, values.TEXT}:
            raise InferenceFailed("onnxruntime takes bfloat16 and text, but not both in one graph")
        bound = values.BFLOAT16 in types or provider == "cuda" or bool(buckets)
        if values.TEXT in types:
            self._run = self._run_plain if provider == "cpu" else self._run_beside_captures
        else:
            self._run = self._run_bound if bound else self._run_plain
        with suppress(*(() if batched else (InvalidInput, InferenceFailed))):
            self._prepare(inputs)

    def run(self, inputs: Mapping[str, Array], seconds: float = inf) -> Arrays:
        """All outputs by name, for inputs by name. Safe to call from several threads at once.

        Args:
            inputs: by name.
            seconds: how long the run may take, if that is less than `run_seconds`.

        Raises:
            InvalidInput: the graph refuses a value.
            RunTooLong: the run took too long, and was ended.
            InferenceFailed: onnxruntime failed on these inputs.
        """
        limit = min(seconds, self._run_seconds)
        options = watchdog.watch(limit)
        try:
            return self._run(inputs, options)
        except Exception as error:
            if options.terminate:
                self._times.distrust(for_ever=limit == self._run_seconds)
                raise RunTooLong(f"the model did not finish within {limit:g} s, and was ended") from error
            if (output := find_unstackable(str(error))) is not None:
                raise InvalidInput(
                    f"output '{output}' is a sequence of tensors, which are of different shapes for these values: no "
                    "tensor can hold them",
                    "inputs",
                ) from error
            # A node fails with InvalidArgument on an index out of range, for example. Whether a text is valid, only the
            # graph can tell.
            by_node = type(error).__name__ == "InvalidArgument" and "while running" in str(error)
            if by_node or self._takes_text:
                raise InvalidInput("the model cannot be run on these values", "inputs") from error
            raise InferenceFailed("the model cannot be run on these inputs") from error
        finally:
            watchdog.release(options)

    def expected_seconds(self, rows: int) -> float:
        """Seconds that a run of this many rows takes, as measured; infinite where rows differ."""
        return self._times.expected(rows)

    def learn(self, rows: int, seconds: float) -> None:
        """Expect less from now on, where a run of one row took less than those that were measured at the start."""
        self._times.learn(rows, seconds)

    @property
    def is_busy(self) -> bool:
        """Whether a run would have to wait for another one."""
        return self._captured is not None and self._captured.is_busy

    def optimize(self) -> None:
        """Do what was put off when the graph was opened; nothing was, here."""

    def replace_graph(self, graph: SharedGraph) -> None:
        """Run the same graph on shared weights from now on, on a CPU. Runs that have begun end as they are.

        Raises:
            GraphError: onnxruntime cannot load it.
            InferenceFailed, RunTooLong: as `optimize`, which comes first.
        """
        self.optimize()
        self._session, self.values = self._open(graph), graph.values

    def release(self) -> Self:
        """Free the session and its memory. The attributes and the expected seconds stay; runs fail."""
        del self._session
        self._captured = None
        return self

    def _prepare(self, inputs: Sequence[TensorSpec]) -> None:
        """Run the graph for the first times: find out whether rows may share a run, and how long runs take."""
        self._meet_sizes(inputs)
        trial = self._try_rows(inputs) if self._batched else RowTrial(is_row_wise=False, seconds=0.0)
        self._measure(inputs, trial.seconds)
        self.is_row_wise = trial.is_row_wise
        if self.is_row_wise and self._can_try_rows(inputs):
            self._most_rows = MOST_ROWS

    def _run_plain(self, inputs: Mapping[str, Array], options: Any) -> Arrays:
        if self._most_rows and count_rows(inputs) > self._most_rows:
            return run_in_parts(lambda part: self._run_plain(part, options), inputs, repeat(self._most_rows))
        outputs = run_session(self._session, self.output_names, inputs, options)
        return dict(zip(self.output_names, outputs, strict=True))

    def _run_beside_captures(self, inputs: Mapping[str, Array], options: Any) -> Arrays:
        with device.run():
            return self._run_plain(inputs, options)

    def _run_bound(self, inputs: Mapping[str, Array], options: Any) -> Arrays:
        """Run on values of onnxruntime's own: copied to the device once, and from it once."""
        rows = count_rows(inputs) if self._buckets else 0
        if self._captured is None:
            if not self._buckets and 0 < self._most_rows < count_rows(inputs):
                return run_in_parts(lambda part: self._run_bound(part, options), inputs, repeat(self._most_rows))
            with device.run():
                return self._run_values(inputs, rows, options)
        captured, most = self._captured, self._buckets[-1]
        if 0 < rows <= most:
            return captured.run(inputs, options)
        if rows > most and self.is_row_wise:
            return run_in_parts(lambda part: captured.run(part, options), inputs, repeat(most))
        return captured.run_uncaptured(partial(self._run_values, inputs, rows), options)

    def _run_values(self, inputs: Mapping[str, Array], rows: int, options: Any) -> Arrays:
        extra = self._sizes.choose(rows) - rows if self._buckets else 0
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, values.to_value(array, extra))
        for name in self.output_names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding, options)
        arrays = map(values.to_array, binding.get_outputs())
        outputs = dict(zip(self.output_names, arrays, strict=True))
        return {name: array[:rows] for name, array in outputs.items()} if extra else outputs

    def _meet_sizes(self, inputs: Sequence[TensorSpec]) -> None:
        """Run the graph on each number of rows that a device is to meet."""
        if not (self._takes_text or self._has_free_rows):
            for rows in self._buckets:
                self.run({spec.name: zeros(spec, rows) for spec in inputs})
            self._sizes = RunSizes(self._buckets)  # so that few rows are tried as few

    def _measure(self, inputs: Sequence[TensorSpec], tried: float) -> None:
        """Warm up, and measure the times of runs: again, unless the trial took long enough to tell."""
        if self._takes_text:
            return  # no text is known that every graph accepts
        if self._has_free_rows:
            # Nor is a size of a row, and a row of any size can follow.
            with suppress(InvalidInput, InferenceFailed):
                self.run({spec.name: zeros(spec, 1) for spec in inputs})
            return
        self._sizes = RunSizes(self._buckets)  # so that one row is measured as one
        self._times.measure(self.run, inputs, tried)

    def _try_rows(self, inputs: Sequence[TensorSpec]) -> RowTrial:
        if self._can_try_rows(inputs):
            # Where random rows are refused, or free axes have to fit each other, the manifest is believed.
            with suppress(InvalidInput, InferenceFailed, RunTooLong):
                return try_rows(lambda rows: self.run(rows, _TRY_SECONDS), inputs, self._tolerance)
            self._times.trust()
        return RowTrial(is_row_wise=True, seconds=0.0)

    def _can_try_rows(self, inputs: Sequence[TensorSpec]) -> bool:
        """Whether rows of any number can be made up for the inputs. No text is known that every graph accepts."""
        return not self._takes_text and all(spec.has_free_first_axis for spec in inputs)
