"""A torch network -> its source graph, with every normalisation layer a BatchNormalization node.

torch's exporter folds normalisation by default, and the layers' statistics are lost: so it runs with
``optimize=False``. That leaves the zero bias of a convolution without bias as a small computation, which no tool folds
through: so constants are folded afterwards, and nothing else is.
"""

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir
import torch
from onnxscript import optimizer
from torch import nn

from models.datatypes import Arrays, Run
from models.errors import GraphError, InvalidInput
from models.graph.find import find
from training.example_inputs import ExampleInputs, Inputs
from training.norm_modules import make_explicit, validate_evaluation_mode


@dataclass(frozen=True)
class Exported:
    """A network as a graph.

    Attributes:
        graph: with explicit normalisation layers and a free batch axis. Weights have the names of the network's
            state_dict. No file or machine is named in it.
        oracle: a float64 copy of the network as a function, to compare graphs with.
    """

    graph: onnx.ModelProto
    oracle: Run


def export(
    network: nn.Module,
    example_inputs: Inputs,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Exported:
    """Export a network; it is not changed.

    A SyncBatchNorm is exported like any other layer: at inference they are the same. Frozen layers and subclasses with
    an activation inside become a BatchNormalization node and what follows it: see `training.norm_modules`. A layer that
    is used twice becomes two, ``bn`` and ``bn#2``.

    Args:
        network: in evaluation mode.
        example_inputs: one row or more for every input, on the network's device.
        input_names: by default, the names of the arguments of `forward`.
        output_names: by default, "output" for a single tensor, else the keys or fields of the result, or
            "output_0" and so on.

    Raises:
        InvalidInput: the inputs or names are not the network's.
        TrainingModeGraph: a module of the network is in training mode.
        MissingStatistics: a normalisation layer keeps no running statistics.
        GraphError: torch cannot export the network with a free batch axis, or the graph has fewer normalisation layers
            than were used.
    """
    validate_evaluation_mode(network)
    examples = ExampleInputs.of(network, example_inputs, input_names)
    # First, since weights that hooks compute can be copied only after a pass without gradients.
    outputs = _output_names(examples.run(network), output_names)
    examples = examples.cpu()
    explicit = copy.deepcopy(network).cpu()
    explicit.requires_grad_(requires_grad=False)
    used = make_explicit(explicit, examples.run)
    graph = _source_graph(explicit, examples, outputs)
    found = len(find(graph))
    if found < used.calls:
        raise GraphError(
            f"normalisation layers were used {used.calls} times, the graph has {found} BatchNormalization nodes: "
            f"use torch's BatchNorm for the layers that compute something of their own: {', '.join(used.unlike)}"
        )
    return Exported(graph, _oracle(network, examples, outputs))


def _output_names(outputs: Iterable[str], names: Sequence[str] | None) -> tuple[str, ...]:
    found = tuple(outputs)
    if names is None:
        return found
    if len(names) != len(found):
        raise InvalidInput(f"got {list(names)}, the network has {len(found)} outputs", "output_names")
    return tuple(names)


def _source_graph(network: nn.Module, examples: ExampleInputs, outputs: Sequence[str]) -> onnx.ModelProto:
    free = {0: torch.export.Dim("batch")}
    keywords = examples.keywords
    with _quiet():
        try:
            program: Any = torch.onnx.export(
                network,
                examples.arguments,
                kwargs=keywords or None,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=list(examples.names),
                output_names=list(outputs),
                dynamic_shapes=dict.fromkeys(keywords, free) if keywords else tuple(free for _ in examples.arguments),
            )
        except Exception as error:  # torch raises what it comes across
            raise GraphError(f"torch cannot export the network with a free batch axis: {_reason(error)}") from error
        optimizer.fold_constants(program.model)
        optimizer.remove_unused_nodes(program.model)
    graph = onnx_ir.to_proto(program.model)
    if any(not value.type.tensor_type.shape.dim[0].dim_param for value in graph.graph.input):
        raise GraphError("the network fixes the number of rows: its first axis must be a batch of any size")
    _strip(graph)
    return graph


def _oracle(network: nn.Module, examples: ExampleInputs, outputs: Sequence[str]) -> Run:
    exact = copy.deepcopy(network).cpu().double()

    def run(inputs: Arrays) -> Arrays:
        found = examples.of_arrays(inputs, torch.float64).run(exact)
        return {name: tensor.cpu().numpy() for name, tensor in zip(outputs, found.values(), strict=True)}

    return run


def _reason(error: BaseException) -> str:
    """The first sentence of the error that torch's exporter began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's notes on its own deprecations and on libraries that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*LeafSpec.*is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", r".*axis name: batch will not be used", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's metadata: stack traces with paths of this machine, and much else."""
    graph = model.graph
    parts: Iterable[object] = (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    )
    for part in parts:
        part.ClearField("metadata_props")  # type: ignore[attr-defined]
        part.ClearField("doc_string")  # type: ignore[attr-defined]
