"""A training run between two epochs, as one safetensors file: tensors and text, no code.

    network.<name>              parameters and buffers, named as in the network's state_dict
    optimizer.<i>.<name>        Adam's moments and step count of the i-th parameter
    generator                   state of torch's global random generator, uint8
    history.<name>              statistics of the layers so far (training.layer_watch), if they are watched

The metadata holds `config` (JSON), `epoch` (how many are complete) and `format`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from models.durable_files import replace_file
from models.errors import InvalidInput
from training.config import Config

FILE = "checkpoint.safetensors"

_FORMAT = "denge training checkpoint 1"


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    Attributes:
        config: of the run.
        epoch: how many epochs are complete.
        tensors: by the names above.
    """

    config: Config
    epoch: int
    tensors: dict[str, Tensor]

    @property
    def history(self) -> dict[str, Tensor]:
        """Statistics of the layers, as `LayerWatch.tensors` returned them; empty if they were not watched."""
        return _under("history.", self.tensors)

    def restore_network(self, network: nn.Module) -> None:
        """Load the weights and statistics into a network built from the same settings.

        Raises:
            InvalidInput: the network has other parameters.
        """
        try:
            network.load_state_dict(_under("network.", self.tensors))
        except RuntimeError as error:
            raise InvalidInput("the checkpoint is of another network") from error

    def restore_run(self, network: nn.Module, optimizer: Optimizer) -> None:
        """Restore everything that the next epoch depends on, torch's global random generator included.

        Raises:
            InvalidInput: the network has other parameters.
        """
        self.restore_network(network)
        state = optimizer.state_dict()
        state["state"] = {}
        for name, tensor in _under("optimizer.", self.tensors).items():
            index, field = name.split(".", 1)
            state["state"].setdefault(int(index), {})[field] = tensor
        optimizer.load_state_dict(state)
        torch.set_rng_state(self.tensors["generator"])


def write(
    path: Path,
    config: Config,
    epoch: int,
    network: nn.Module,
    optimizer: Optimizer,
    history: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write a checkpoint. A kill at any point leaves the previous one.

    Raises:
        OSError: the disk is full or may not be written.
    """
    tensors = {f"network.{name}": tensor.contiguous() for name, tensor in network.state_dict().items()}
    for index, fields in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in fields.items()}
    tensors |= {f"history.{name}": tensor for name, tensor in history.items()}
    tensors["generator"] = torch.get_rng_state()
    metadata = {"format": _FORMAT, "config": config.to_json(), "epoch": str(epoch)}
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save(tensors, metadata))


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InvalidInput: there is no such file, or it is not a checkpoint.
    """
    if not path.is_file():
        raise InvalidInput(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} is not a checkpoint: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise InvalidInput(f"{path} is not a checkpoint of this program")
    return Checkpoint(Config.from_json(metadata["config"]), int(metadata["epoch"]), tensors)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
