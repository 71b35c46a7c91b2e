"""Processes that train one network together, each on its share of every batch.

The weights are those of one process that trains on the joint batches, up to the rounding of sums: gradients are
averaged by `torch.nn.parallel.DistributedDataParallel`, and every normalisation layer uses the mean and variance of the
joint batch. torch's own `SyncBatchNorm` runs on GPUs only.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.moments.channel import Moments

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class Processes(Protocol):
    """The processes of a training run.

    Attributes:
        rank: number of this process.
        count: of processes.
    """

    rank: int
    count: int

    def parallel(self, network: nn.Module) -> nn.Module:
        """A network with the tensors of this one, whose gradients and batch statistics are those of all processes."""

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of what is split over all of them, along the first axis; it may be empty."""

    def total(self, value: float) -> float:
        """The sum of the values of all processes."""

    def merge(self, moments: Mapping[str, Moments]) -> dict[str, Moments]:
        """The moments of all processes' rows, by name, the same in each process."""


class OneProcess:
    """A run of one process."""

    rank, count = 0, 1

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network itself."""
        return network

    def share(self, rows: Tensor) -> Tensor:
        """All of it."""
        return rows

    def total(self, value: float) -> float:
        """The value."""
        return value

    def merge(self, moments: Mapping[str, Moments]) -> dict[str, Moments]:
        """The moments."""
        return dict(moments)


ALONE: Processes = OneProcess()
"""This process."""


class ProcessGroup:
    """The processes of torch's default process group, which is initialised."""

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def parallel(self, network: nn.Module) -> nn.Module:
        """A copy that shares the network's parameters and buffers.

        `network` stays as it is, with its own layers, for evaluation and export.
        """
        shared: dict[int, object] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
        replica = copy.deepcopy(network, shared)
        for name, layer in list(replica.named_modules()):
            if isinstance(layer, BatchNorm):
                replica.set_submodule(name, _JointBatchNorm(layer))
        return DistributedDataParallel(replica, forward_sync_buffers=False)

    def share(self, rows: Tensor) -> Tensor:
        """The rank-th of nearly equal parts."""
        return rows.tensor_split(self.count)[self.rank]

    def total(self, value: float) -> float:
        """The sum, by float64."""
        summed = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.item()

    def merge(self, moments: Mapping[str, Moments]) -> dict[str, Moments]:
        """The moments of all ranks, merged in the order of the ranks, so that all ranks get the same bits."""
        return {name: self._merge(found) for name, found in moments.items()}

    def _merge(self, moments: Moments) -> Moments:
        mine = torch.from_numpy(np.stack([np.full_like(moments.mean, moments.count), moments.mean, moments.m2]))
        gathered = [torch.empty_like(mine) for _ in range(self.count)]
        dist.all_gather(gathered, mine)
        merged = Moments.empty(moments.mean.size)
        for count, mean, m2 in (part.numpy() for part in gathered):
            merged = merged.merge(Moments(int(count[0]), mean, m2))
        return merged


@contextmanager
def join() -> Iterator[Processes]:
    """The processes that torchrun started, connected by gloo; outside of torchrun, this process alone."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    dist.init_process_group("gloo")
    try:
        yield ProcessGroup()
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum over all processes. Each process's values are in every sum, so gradients are summed too."""

    @staticmethod
    def forward(_ctx: object, values: Tensor) -> Tensor:
        """The sums, in the shape of the values."""
        return _all_reduce(values)

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> Tensor:
        """The gradient of the values, from those of all processes' sums."""
        return _all_reduce(gradient)


def _sum(values: Tensor) -> Tensor:
    return _Sum.apply(values)  # type: ignore[no-untyped-call,no-any-return]


def _all_reduce(values: Tensor) -> Tensor:
    summed = values.clone()
    dist.all_reduce(summed)
    return summed


class _JointBatchNorm(nn.Module):
    """A normalisation layer that normalises by the mean and variance of all processes' rows.

    Ioffe & Szegedy 2015, algorithm 1, with sums over all processes. Gradients flow through them, as through those of
    one process. It has the parameters and buffers of `layer`, and keeps its running statistics as it would.
    """

    def __init__(self, layer: BatchNorm) -> None:
        super().__init__()
        self._layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> (N, C, ...); N may be 0 if other processes have rows."""
        layer = self._layer
        if not self.training:
            return layer(x)  # type: ignore[no-any-return]
        values = x.transpose(0, 1).flatten(1)  # (C, n)
        count = _sum(torch.tensor(values.shape[1], dtype=torch.float64))
        mean = _sum(values.sum(1)) / count
        var = _sum((values - mean[:, None]).square().sum(1)) / count  # biased
        self._update(count, mean.detach(), var.detach())
        per_channel = (-1, *(1,) * (x.dim() - 2))
        scale = layer.weight * torch.rsqrt(var + layer.eps)
        return (x - mean.view(per_channel)) * scale.view(per_channel) + layer.bias.view(per_channel)

    @torch.no_grad()
    def _update(self, count: Tensor, mean: Tensor, var: Tensor) -> None:
        layer = self._layer
        if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
            return
        layer.num_batches_tracked += 1
        fraction = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
        layer.running_mean.lerp_(mean, fraction)
        layer.running_var.lerp_(var * count / (count - 1), fraction)  # unbiased, as torch keeps it
