"""Example inputs of a network, as torch's exporter needs them, with their names and those of the outputs."""

import inspect
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.datatypes import Arrays
from models.errors import GraphError, InvalidInput, TrainingModeGraph

Inputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""Of a network: its only argument, its positional arguments, or its arguments by name."""

_FIELD = "example_inputs"

_NEEDS_ROWS = "more than 1 value per channel when training"
"""In torch's error where a batch of one row is normalised by itself."""


@dataclass(frozen=True)
class ExampleInputs:
    """Two or more rows for every input.

    Attributes:
        names: of the inputs, in the order of the arguments.
        tensors: with the batch on the first axis, of the same size in all.
        by_name: whether the network takes them as keyword arguments.
    """

    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    by_name: bool

    @classmethod
    def of(cls, network: nn.Module, inputs: Inputs, names: Sequence[str] | None = None) -> "ExampleInputs":
        """The inputs, each with two rows or more: an exporter makes a batch of one row a constant.

        Args:
            network: the names of its arguments are those of the inputs by default.
            inputs: shape (N, ...) each, N at least 1.
            names: of the inputs in the graph.

        Raises:
            InvalidInput: there is no input, one has no batch axis or another number of rows, or the number of names is
                wrong.
        """
        by_name = isinstance(inputs, Mapping)
        given = dict(inputs) if isinstance(inputs, Mapping) else _positional(network, inputs)
        if names is not None:
            if len(names) != len(given) or (by_name and set(names) != set(given)):
                raise InvalidInput(f"got {list(names)}, the network's inputs are {list(given)}", "input_names")
            given = {name: given[name] for name in names} if by_name else dict(zip(names, given.values(), strict=True))
        if not given:
            raise InvalidInput("there is no input", _FIELD)
        rows = {name: len(tensor) if tensor.dim() else 0 for name, tensor in given.items()}
        if len(set(rows.values())) != 1 or not all(rows.values()):
            raise InvalidInput(f"the first axis of each must be the batch, of one size; got {rows}", _FIELD)
        repeats = 2 if set(rows.values()) == {1} else 1
        return cls(tuple(given), tuple(torch.cat([tensor] * repeats) for tensor in given.values()), by_name)

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """Positional arguments of a forward pass."""
        return () if self.by_name else self.tensors

    @property
    def keywords(self) -> dict[str, Tensor]:
        """Keyword arguments of a forward pass."""
        return dict(zip(self.names, self.tensors, strict=True)) if self.by_name else {}

    def cpu(self) -> "ExampleInputs":
        """The same inputs in main memory."""
        return replace(self, tensors=tuple(tensor.cpu() for tensor in self.tensors))

    def of_arrays(self, arrays: Arrays, dtype: torch.dtype) -> "ExampleInputs":
        """The same inputs with other rows; floats become `dtype`."""
        tensors = (torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in self.names)
        return replace(
            self, tensors=tuple(found.to(dtype) if found.is_floating_point() else found for found in tensors)
        )

    @torch.no_grad()
    def run(self, network: nn.Module) -> dict[str, Tensor]:
        """One forward pass: the outputs by name.

        Raises:
            TrainingModeGraph: a module normalises by the rows, which one alone does not allow.
            GraphError: a module fails, or the network returns something that is no tensor.
        """
        try:
            found = network(*self.arguments, **self.keywords)
        except Exception as error:  # the code is the user's
            where = f"{_failed_module(network, error)} fails on inputs with {len(self.tensors[0])} rows: {error}"
            if _NEEDS_ROWS in str(error):
                raise TrainingModeGraph(
                    f"{where}. It normalises by the rows of a request: call functional.batch_norm with training=False "
                    "and running statistics"
                ) from error
            raise GraphError(where) from error
        return dict(_named(found, ""))


def _positional(network: nn.Module, inputs: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    names = [
        parameter.name
        for parameter in inspect.signature(network.forward).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    names = [names[index] if index < len(names) else f"input_{index}" for index in range(len(tensors))]
    return dict(zip(names, tensors, strict=True))


def _failed_module(network: nn.Module, error: Exception) -> str:
    """The innermost module in whose code an error was raised, by its name in the network and its class."""
    names = {id(module): name for name, module in network.named_modules()}
    found = network
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module) and id(module) in names:
            found = module
    name = names[id(found)]
    return f"module '{name}' ({type(found).__name__})" if name else f"the network ({type(found).__name__})"


def _named(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a network's result, in the exporter's order: by key, by field or by number; "output" if single."""
    if isinstance(value, Tensor):
        yield name or "output", value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named(item, f"{name}_{key}" if name else str(key))
    elif isinstance(value, tuple | list):
        keys = getattr(value, "_fields", range(len(value)))
        for key, item in zip(keys, value, strict=True):
            yield from _named(item, f"{name or 'output'}_{key}" if isinstance(key, int) else key)
    elif value is not None:
        raise GraphError(f"the network returns a {type(value).__name__}, where tensors are expected")
