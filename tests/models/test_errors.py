"""The domain's exceptions: `models.errors`."""

import inspect
import re

import pytest

from models import errors
from models.errors import DengeError, InvalidInput, LayerNotFound, ModelNotFound, TooLarge, VersionNotFound


def subclasses(cls: type[DengeError], depth: int = 0) -> list[tuple[int, str]]:
    return [(depth, cls.__name__), *(line for child in cls.__subclasses__() for line in subclasses(child, depth + 1))]


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    """So that nobody has to read on."""
    _, tree = (errors.__doc__ or "").split("\n\n")
    drawn = re.findall(r"^((?:[│├└─ ]{4})*)(\w+)", tree, re.MULTILINE)

    assert sorted((len(branches) // 4, name) for branches, name in drawn) == sorted(
        entry for entry in subclasses(DengeError) if entry[1] in vars(errors)
    )


def test_every_error_of_the_module_is_in_the_tree_and_says_what_it_means() -> None:
    for _, cls in inspect.getmembers(
        errors, lambda found: inspect.isclass(found) and found.__module__ == errors.__name__
    ):
        assert issubclass(cls, DengeError)
        assert cls.__doc__


@pytest.mark.parametrize("cls", [InvalidInput, TooLarge])
def test_invalid_input_says_where(cls: type[InvalidInput]) -> None:
    assert str(cls("must be positive", "inputs[0].shape")) == "inputs[0].shape: must be positive"
    assert cls("must be positive", "inputs[0].shape").field == "inputs[0].shape"


def test_invalid_input_without_a_place_is_the_message_alone() -> None:
    assert str(InvalidInput("not JSON")) == "not JSON"
    assert InvalidInput("not JSON").field == ""


def test_what_is_not_found_is_named_and_kept() -> None:
    assert str(ModelNotFound("m")) == "Request for unknown model: 'm' is not found"
    assert str(VersionNotFound("m", 3)) == "Request for unknown model: 'm' version 3 is not found"
    assert str(ModelNotFound("m", ["mlp", "net"])).endswith("'m' is not found; models: mlp, net")
    assert str(VersionNotFound("m", 3, range(1, 11))).endswith("; versions: 1, 2, 3, 4, 5, 6, 7, 8 and 2 more")
    assert str(LayerNotFound("m", "bn1")) == "Model 'm' has no normalisation layer 'bn1'"
    assert str(LayerNotFound("m", "bn1", ["bn2"])).endswith("'bn1'; layers: bn2")
    error = VersionNotFound("m", 3)
    assert (error.model, error.version) == ("m", 3)
