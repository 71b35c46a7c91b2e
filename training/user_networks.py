"""A network that a user's own code builds, with weights from a .safetensors file."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from models.errors import InvalidInput
from models.importing.state_dict import NOT_SAFETENSORS
from training.example_inputs import Inputs


def build(source: str) -> tuple[nn.Module, Inputs | None]:
    """Call the function, and return the network in evaluation mode, and example inputs if it returns them as well.

    Args:
        source: ``package.module:function``. The present folder is searched first, as by ``python -m``. The function has
            no arguments, and returns a network, or a network and its example inputs.

    Raises:
        InvalidInput: there is no such module or function, or it returns something else.
    """
    module_name, _, function_name = source.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the user's module needs
        raise InvalidInput(f"there is no module {module_name} in {folder} or among the installed ones") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InvalidInput(f"module {module_name} has no function {function_name}")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise InvalidInput(f"{source} cannot be called without arguments: {error}") from error
    except ValueError:  # of some functions in C nothing is known
        pass
    result = function()
    network, inputs = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if not isinstance(network, nn.Module):
        raise InvalidInput(
            f"{source} returns a {type(network).__name__}: expected a torch.nn.Module, or one and its example inputs"
        )
    return network.eval(), inputs


def load_weights(network: nn.Module, path: Path) -> None:
    """Load the tensors of a .safetensors file into a network.

    Raises:
        InvalidInput: the file cannot be read, or does not have exactly the network's tensors; the message names them.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} {NOT_SAFETENSORS} ({error})", "weights") from error
    own = network.state_dict()
    shapes = {
        name: f"{list(tensors[name].shape)} where the network has {list(own[name].shape)}"
        for name in tensors.keys() & own.keys()
        if tensors[name].shape != own[name].shape
    }
    problems: Mapping[str, list[str]] = {
        "it lacks": sorted(name for name in own.keys() - tensors.keys() if not name.endswith("num_batches_tracked")),
        "the network lacks": sorted(tensors.keys() - own.keys()),
        "other shapes": [f"{name} {shape}" for name, shape in sorted(shapes.items())],
    }
    if any(problems.values()):
        text = "; ".join(f"{what} {', '.join(names)}" for what, names in problems.items() if names)
        raise InvalidInput(f"{path} is not of this network: {text}", "weights")
    network.load_state_dict(tensors, strict=False)
