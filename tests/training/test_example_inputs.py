"""Example inputs and the names of a network's inputs and outputs."""

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from models.errors import GraphError, InvalidInput, TrainingModeGraph
from training.example_inputs import ExampleInputs

ROW, ROWS = torch.zeros(1, 6), torch.zeros(3, 6)


class Boxes(NamedTuple):
    corners: Tensor
    scores: Tensor


class Network(nn.Module):
    """Returns what it is made with."""

    def __init__(self, result: object = None) -> None:
        super().__init__()
        self.result = result

    def forward(self, image: Tensor, mask: Tensor) -> object:  # noqa: ARG002
        return self.result


def test_names_are_those_of_the_arguments() -> None:
    examples = ExampleInputs.of(Network(), (ROWS, ROWS))

    assert examples.names == ("image", "mask")
    assert (len(examples.arguments), examples.keywords) == (2, {})


def test_inputs_by_name_are_keyword_arguments() -> None:
    examples = ExampleInputs.of(Network(), {"mask": ROWS, "image": ROWS})

    assert examples.names == ("mask", "image")
    assert (examples.arguments, list(examples.keywords)) == ((), ["mask", "image"])


def test_names_can_be_given() -> None:
    assert ExampleInputs.of(Network(), (ROWS, ROWS), ["a", "b"]).names == ("a", "b")


def test_a_single_row_becomes_two() -> None:
    assert [len(tensor) for tensor in ExampleInputs.of(Network(), (ROW, ROW)).tensors] == [2, 2]
    assert [len(tensor) for tensor in ExampleInputs.of(Network(), (ROWS, ROWS)).tensors] == [3, 3]


@pytest.mark.parametrize(
    ("inputs", "names", "message"),
    [
        ((), None, "there is no input"),
        ((ROW, ROWS), None, "must be the batch"),
        (torch.zeros(()), None, "must be the batch"),
        ((ROWS, ROWS), ["a"], "input_names"),
        ({"image": ROWS}, ["a"], "input_names"),
    ],
)
def test_inputs_that_are_none_are_refused(inputs: object, names: list[str] | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ExampleInputs.of(Network(), inputs, names)


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (ROW, ["output"]),
        ((ROW, ROW), ["output_0", "output_1"]),
        ({"logits": ROW, "aux": [ROW, None]}, ["logits", "aux_0"]),
        (Boxes(ROW, ROW), ["corners", "scores"]),
    ],
)
def test_outputs_are_named_by_the_result(result: object, names: list[str]) -> None:
    assert list(ExampleInputs.of(Network(), (ROWS, ROWS)).run(Network(result))) == names


def test_a_result_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(GraphError, match="returns a str"):
        ExampleInputs.of(Network(), (ROWS, ROWS)).run(Network("text"))


class NormalisedByRows(nn.Module):
    """What keeps running statistics, and does not use them."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, torch.zeros(6), torch.ones(6), training=True)


def test_a_module_that_normalises_by_the_rows_is_named_with_what_to_do() -> None:
    network = nn.Sequential(nn.Linear(6, 6), nn.Sequential(NormalisedByRows()))
    assert ExampleInputs.of(network, ROWS).run(network)["output"].shape == ROWS.shape
    one_row = replace(ExampleInputs.of(network, ROWS), tensors=(ROW,))

    with pytest.raises(
        TrainingModeGraph, match=r"module '1\.0' \(NormalisedByRows\) fails on .* 1 rows.* training=False"
    ):
        one_row.run(network)


@pytest.mark.parametrize(
    ("network", "where"),
    [
        (nn.Sequential(nn.ReLU(), nn.Linear(5, 2)), r"^module '1' \(Linear\) fails on inputs with 3 rows: .*5x2"),
        (nn.Linear(5, 2), r"^the network \(Linear\) fails on inputs with 3 rows: .*5x2"),
    ],
)
def test_a_module_that_fails_is_named(network: nn.Module, where: str) -> None:
    with pytest.raises(GraphError, match=where) as found:
        ExampleInputs.of(network, ROWS).run(network)
    assert not isinstance(found.value, TrainingModeGraph)
