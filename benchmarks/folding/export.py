"""Exports a network, and computes in torch what its graphs have to give. A process of its own.

Each exporter writes two graphs: one with BN preserved, and one with the exporter's defaults.
"""

import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.onnx import TrainingMode

from benchmarks.folding.networks import build, norm_layers, statistics

Array = NDArray[Any]


def export(name: str, how: str, folder: Path) -> None:
    """Write the graphs of one exporter, what torch computes, and facts: how long it took, or why it failed."""
    warnings.simplefilter("ignore")
    network, rows = build(name)
    facts: dict[str, Any] = {
        "layers": len(norm_layers(network)),
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    started = time.perf_counter()
    with torch.no_grad():
        try:
            (_dynamo if how == "dynamo" else _legacy)(network, rows, folder)
            facts["export_s"] = round(time.perf_counter() - started, 1)
        except Exception as error:  # noqa: BLE001 - what an exporter cannot do is a result
            facts["export_failed"] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
        single = network(rows).numpy()
        network.double()
        expected, observed = _observe(network, rows.double())
        adapted, statistics = _adapt(network, rows.double())
    np.savez(folder / "torch.npz", rows=rows.numpy(), expected=expected, single=single, adapted=adapted)
    np.savez(folder / "observed.npz", allow_pickle=False, **observed)
    np.savez(folder / "statistics.npz", allow_pickle=False, **statistics)
    (folder / f"{how}.json").write_text(json.dumps(facts))


def _dynamo(network: nn.Module, rows: Tensor, folder: Path) -> None:
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        network, (rows,), dynamo=True, optimize=False, dynamic_shapes=({0: batch},), verbose=False
    )
    assert program is not None
    program.save(str(folder / "dynamo.onnx"))
    program.optimize()
    program.save(str(folder / "dynamo, default.onnx"))


def _legacy(network: nn.Module, rows: Tensor, folder: Path) -> None:
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    names: dict[str, Any] = {
        "input_names": ["input"],
        "output_names": ["output"],
        "dynamic_axes": axes,
        "dynamo": False,
    }
    preserved: dict[str, Any] = {"training": TrainingMode.PRESERVE, "do_constant_folding": False}
    for how, options in (("legacy", preserved), ("legacy, default", {})):
        torch.onnx.export(network, (rows,), str(folder / f"{how}.onnx"), **names, **options)


def _observe(network: nn.Module, rows: Tensor) -> tuple[Array, dict[str, Array]]:
    """The output, and mean and mean square of each row and channel of each layer in z units, one entry for each run."""
    found = defaultdict[str, list[Array]](list)
    hooks = [
        layer.register_forward_hook(
            lambda module, given, _, name=name: found[name].append(_moments(module, given[0], len(rows)))
        )
        for name, layer in norm_layers(network).items()
    ]
    output = network(rows).numpy()
    for hook in hooks:
        hook.remove()
    return output, _numbered(found)


def _moments(layer: _BatchNorm, x: Tensor, rows: int) -> Array:
    shape = [1, -1] + [1] * (x.dim() - 2)
    # timm's layers may contain an activation: what is watched is the normalisation itself
    mean, variance = statistics(layer)
    z = (x - mean.view(shape)) / (variance + layer.eps).sqrt().view(shape)
    z = (z * layer.weight.sign().view(shape)).flatten(2) if x.dim() > 2 else (z * layer.weight.sign())[..., None]
    moments = torch.stack([z.mean(-1), z.square().mean(-1)])
    # The entries of a row lie beside each other where a reshape has joined the rows with another axis.
    return moments.reshape(2, rows, -1, moments.shape[-1]).mean(dim=2).numpy()


def _adapt(network: nn.Module, rows: Tensor) -> tuple[Array, dict[str, Array]]:
    """AdaBN without a prior: every layer normalises by the statistics of the batch."""
    found = defaultdict[str, list[Array]](list)
    layers = norm_layers(network)
    for name, layer in layers.items():
        layer.train()
        layer.momentum = 1.0
        layer.register_forward_hook(lambda _, given, __, name=name: found[name].append(_statistics(given[0])))
    return network(rows).numpy(), _numbered(found)


def _statistics(x: Tensor) -> Array:
    axes = [axis for axis in range(x.dim()) if axis != 1]
    return torch.stack([x.mean(axes), x.var(axes, unbiased=False)]).numpy()


def _numbered(found: Mapping[str, list[Array]]) -> dict[str, Array]:
    return {
        name if run == 0 else f"{name}#{run + 1}": values
        for name, runs in found.items()
        for run, values in enumerate(runs)
    }


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
