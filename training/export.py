"""A trained network -> its source graph, with every normalisation layer still a BatchNormalization node.

torch's exporter folds normalisation by default, and the layers' statistics are lost: so it runs with
``optimize=False``. That leaves the zero bias of a convolution without bias as a small computation, which no tool folds
through: so constants are folded afterwards, and nothing else is.
"""

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx_ir
import torch
from onnxscript import optimizer
from torch import nn

from models.datatypes import Arrays, Run
from models.errors import GraphError, MissingStatistics, TrainingModeGraph
from models.graph.find import find

INPUT = "input"
OUTPUT = "logits"

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm


def source_graph(network: nn.Module, row_shape: tuple[int, ...]) -> onnx.ModelProto:
    """The source graph of a network of one input and one output, with a free batch axis.

    Args:
        network: in evaluation mode. A SyncBatchNorm is exported like any other: at inference they are the same.
        row_shape: the input's shape without its first axis.

    Returns:
        A graph from `input`, float32, to `logits`. Weights have the names of the network's state_dict. No file or
        machine is named in it.

    Raises:
        TrainingModeGraph: a module of the network is in training mode.
        MissingStatistics: a normalisation layer keeps no running statistics.
        GraphError: the graph has other normalisation layers than the network.
    """
    if network.training or any(module.training for module in network.modules()):
        raise TrainingModeGraph("the network is in training mode: call network.eval() before exporting it")
    layers = {name: module for name, module in network.named_modules() if isinstance(module, BatchNorm)}
    for name, layer in layers.items():
        if layer.running_mean is None or layer.running_var is None:
            raise MissingStatistics(f"layer '{name}' keeps no running statistics (track_running_stats=False)")

    # Two rows: with one, the exporter would make the batch axis a constant.
    example = torch.zeros(2, *row_shape)
    with _quiet():
        program: Any = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            optimize=False,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        optimizer.fold_constants(program.model)
        optimizer.remove_unused_nodes(program.model)
    graph = onnx_ir.to_proto(program.model)
    _strip(graph)

    found = len(find(graph))
    if found != len(layers):
        raise GraphError(
            f"the network has {len(layers)} normalisation layers, its graph {found}: "
            "each must be used exactly once in a forward pass"
        )
    return graph


def oracle(network: nn.Module) -> Run:
    """A float64 copy of the network as a function, to compare the graphs with."""
    exact = copy.deepcopy(network).double().eval()

    @torch.no_grad()
    def run(inputs: Arrays) -> Arrays:
        return {OUTPUT: exact(torch.from_numpy(inputs[INPUT].astype(np.float64))).numpy()}

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's notes on its own deprecations and on libraries that are not installed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*LeafSpec.*is deprecated", FutureWarning)
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
