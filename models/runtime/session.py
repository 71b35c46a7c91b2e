"""Opens onnxruntime sessions."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime

from models.datatypes import Array
from models.errors import GraphError
from models.memory import release_pages
from models.runtime import providers
from models.runtime.providers import Precision, Provider
from models.runtime.shared_graph import NO_VALUES, SharedGraph
from models.stored_graph import SerializedGraph, split

_ERROR, _FATAL = 3, 4
_MIN_FILE_BYTES = 4096
"""Of a weight that is written to a file. Smaller ones stay in the model."""


def open_session(
    graph: SerializedGraph | SharedGraph,
    *,
    provider: Provider = "cpu",
    precision: Precision = "float32",
    capture: bool = False,
    threads: int = 1,
    optimize: bool = True,
    lay_out: bool = True,
    keep_memory: bool = True,
    log_errors: bool = False,
    write_to: Path | None = None,
    weights_name: str = "",
) -> onnxruntime.InferenceSession:
    """A session that runs one graph.

    Args:
        graph: the serialized ONNX model, with its weights. The values of a shared one have to stay as long as the
            session.
        provider: what runs it. onnxruntime goes on with the CPU when CUDA cannot start.
        precision: what a GPU computes with.
        capture: whether a GPU's runs are captured, as `models.runtime.captured` needs it.
        threads: threads inside one run.
        optimize: whether onnxruntime rewrites the graph with its own optimisations.
        lay_out: whether that includes another layout of weights, which makes runs faster, and takes most of the time.
        keep_memory: whether the session keeps the memory of a run for the next one.
        log_errors: whether onnxruntime logs errors. All are raised as well, but for the reason why CUDA cannot start.
        write_to: file for the rewritten graph.
        weights_name: of the file beside it for its large weights.

    Raises:
        GraphError: onnxruntime cannot load the graph.
    """
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    stored, values = (graph.graph, graph.values) if isinstance(graph, SharedGraph) else (graph, NO_VALUES)
    rewrites = optimize and not values  # otherwise it is done
    rewriting = levels.ORT_ENABLE_ALL if lay_out else levels.ORT_ENABLE_EXTENDED
    options.graph_optimization_level = rewriting if rewrites else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR if log_errors else _FATAL
    # A pattern is kept for every shape ever met: with a free batch size that only grows.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = keep_memory
    # Weights in another layout as well, which makes runs faster.
    options.add_session_config_entry("session.disable_prepacking", "0" if optimize else "1")
    # Weights are in the files that come with the graph. Should it name another, this folder has no files.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    model, weights = split(stored)
    if weights:
        sizes = [len(content) for content in weights.values()]
        options.add_external_initializers_from_files_in_memory(list(weights), list(weights.values()), sizes)
    for name, value in values.items():
        options.add_initializer(name, value)
    if write_to is not None:
        options.optimized_model_filepath = str(write_to)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights_name)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", str(_MIN_FILE_BYTES)
        )
    if provider == "cuda":
        onnxruntime.preload_dlls()  # the CUDA libraries that pip installed, which the loader does not look for
    chosen = providers.NAMES[provider], providers.options(provider, precision, capture=capture)
    try:
        return onnxruntime.InferenceSession(model, options, providers=[chosen])
    except Exception as error:  # its exception classes are private, and this is their base
        raise GraphError(f"onnxruntime cannot load the graph: {error}") from error
    finally:
        release_pages(weights)  # the session has its own copy


def run_session(
    session: onnxruntime.InferenceSession,
    output_names: Sequence[str],
    inputs: Mapping[str, Array],
    options: onnxruntime.RunOptions,
) -> list[Array]:
    """Run a session once, without the checks of onnxruntime's Python class: a twentieth of a small request.

    The runtime repeats the checks of names and types. Nor does a run that fails on a GPU go on with the CPU, as that
    class does.

    Args:
        session: from `open_session`.
        output_names: of the outputs that are computed.
        inputs: by name.
        options: of the run.

    Returns:
        The outputs, in the order of their names.
    """
    outputs: list[Array] = getattr(session, "_sess", session).run(output_names, inputs, options)
    return outputs


def silence() -> None:
    """Log nothing that belongs to no session, from now on: errors are raised, and CUDA tries plans that do not work."""
    onnxruntime.set_default_logger_severity(_FATAL)
