"""Population statistics: mean and variance of the inputs of a trained network's normalisation layers.

During training a layer keeps an exponential average over the last few dozen batches, while the weights still change.
Wu & Johnson ("Rethinking 'Batch' in BatchNorm", 2021, section 3) fix the weights first and then average over many
batches ("PreciseBN"):

    mean = sum_b n_b mean_b / sum_b n_b                          n_b: values per channel in batch b
    var  = sum_b n_b (mean_b^2 + var_b) / sum_b n_b - mean^2     var_b: biased

The merge of `models.moments.channel.Moments` is the same quantity without the cancellation. All layers are estimated in
one pass in which each normalises by its batch's own statistics, as in training, so that no layer's input depends on
statistics that are not estimated yet.

For the first layer the result does not depend on how the rows are split into batches: it is the mean and variance of
its input over all rows. The inputs of deeper layers are normalised by each batch's own statistics, so theirs do depend
on the split: the less, the larger the batches are.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice

import torch
from torch import Tensor, nn

from models.errors import InvalidInput
from models.moments.channel import Moments
from training.processes import ALONE, BatchNorm, Processes

_BATCH_ROWS = 256


def batches(rows: Tensor) -> Iterable[Tensor]:
    """Rows in nearly equal batches of at most 256, so that no small last batch has statistics of few rows."""
    return rows.tensor_split(-(-len(rows) // _BATCH_ROWS))


@torch.no_grad()
def store_statistics(
    network: nn.Module,
    batches: Iterable[Tensor],
    processes: Processes = ALONE,
) -> dict[str, Moments]:
    """Estimate population statistics over all batches, and store them in the normalisation layers of a network.

    `running_mean` and `running_var` become the mean and the population (biased) variance. Nothing else changes, and
    after an error the statistics are unchanged too.

    Args:
        network: its weights are final. Layers other than batch normalisation run in evaluation mode.
        batches: each of shape (N, ...), with N at least 2.
        processes: take every so many-th batch each, and merge what they find. All have the same batches.

    Returns:
        The moments of each layer's input, by the layer's name.

    Raises:
        InvalidInput: there are no batches, or a layer keeps no running statistics, is a SyncBatchNorm, or is not used
            exactly once in a forward pass, so that one mean and variance would not describe its input.
    """
    if any(isinstance(module, nn.SyncBatchNorm) for module in network.modules()):
        raise InvalidInput("a SyncBatchNorm has its statistics in several processes: build the network without it")
    layers = {name: module for name, module in network.named_modules() if isinstance(module, BatchNorm)}
    statistics = {name: _running_statistics(name, layer) for name, layer in layers.items()}
    moments = {name: Moments.empty(layer.num_features) for name, layer in layers.items()}

    with _batch_statistics(network, layers), _recorded_inputs(layers) as inputs:
        for batch in islice(batches, processes.rank, None, processes.count):
            if len(batch) < 2:
                raise InvalidInput("a batch of fewer than 2 rows has no variance")
            inputs.clear()
            network(batch)
            for name in layers:
                calls = inputs.get(name, [])
                if len(calls) != 1:
                    raise InvalidInput(f"layer '{name}' is used {len(calls)} times in one forward pass, must be once")
                moments[name] = moments[name].merge(calls[0])

    moments = processes.merge(moments)
    if any(found.count == 0 for found in moments.values()):
        raise InvalidInput("there are no rows to estimate population statistics from")
    for name, (running_mean, running_var) in statistics.items():
        running_mean.copy_(torch.from_numpy(moments[name].mean))
        running_var.copy_(torch.from_numpy(moments[name].var))
    return moments


def _running_statistics(name: str, layer: BatchNorm) -> tuple[Tensor, Tensor]:
    if layer.running_mean is None or layer.running_var is None:
        raise InvalidInput(f"layer '{name}' keeps no running statistics (track_running_stats=False)")
    return layer.running_mean, layer.running_var


@contextmanager
def _batch_statistics(network: nn.Module, layers: dict[str, BatchNorm]) -> Iterator[None]:
    """Inside, the layers normalise by the batch without updating; all other modules are in evaluation mode."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    for layer in layers.values():
        layer.training = True
        layer.track_running_stats = False
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        for layer in layers.values():
            layer.track_running_stats = True


@contextmanager
def _recorded_inputs(layers: dict[str, BatchNorm]) -> Iterator[dict[str, list[Moments]]]:
    """Moments of each layer's input, one for each call, by the layer's name."""
    inputs: dict[str, list[Moments]] = {}
    with ExitStack() as hooks:
        for name, layer in layers.items():

            def record(_: nn.Module, args: tuple[Tensor], name: str = name) -> None:
                inputs.setdefault(name, []).append(_moments(args[0]))

            hooks.callback(layer.register_forward_pre_hook(record).remove)
        yield inputs


def _moments(x: Tensor) -> Moments:
    """Moments of C channels over rows and positions, from shape (N, C, ...)."""
    values = x.double().transpose(0, 1).flatten(1)  # (C, N * positions)
    var, mean = torch.var_mean(values, dim=1, correction=0)
    return Moments(values.shape[1], mean.numpy(), (var * values.shape[1]).numpy())
