"""Several processes that train one network give the network of one process."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from models.repository.repository import Repository
from tests.training import joint_training
from training.processes import ALONE

pytestmark = pytest.mark.slow  # each process takes seconds to import torch

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three processes wrote: the last batch of three rows leaves one row to each."""
    folder = tmp_path_factory.mktemp("joint")
    subprocess.run([*TORCHRUN, "3", joint_training.__file__, folder / "joint"], check=True, capture_output=True)
    return folder


def largest_difference(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    assert found.keys() == expected.keys()
    return max(float((found[name].double() - expected[name].double()).abs().max()) for name in expected)


def test_three_processes_train_the_network_of_one(folder: Path) -> None:
    alone = joint_training.train(ALONE)

    for rank in range(3):
        assert largest_difference(load_file(folder / f"joint.{rank}"), alone) < 1e-12


def test_gradients_alone_give_another_network(folder: Path) -> None:
    alone = joint_training.train(ALONE, 64)

    assert largest_difference(load_file(folder / "joint.apart.0"), alone) > 1e-3


def test_torchrun_publishes_one_version(tmp_path: Path) -> None:
    command = [*TORCHRUN, "2", "-m", "training", "train", "--model", "mlp", "--data", "digits", "--epochs", "2"]
    ran = subprocess.run(
        [*command, "--repository", tmp_path / "repository", "--run-dir", tmp_path / "run"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert ran.stdout.count("published mlp version 1") == 1
    manifest = Repository(tmp_path / "repository").read("mlp", 1).manifest
    assert manifest.training is not None
    assert manifest.training.metrics["test_accuracy"] > 0.8
