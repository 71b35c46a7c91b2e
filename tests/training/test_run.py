"""A whole run, interrupted and not."""

from pathlib import Path

import pytest
import torch
from torch import nn

from models.errors import InvalidInput
from training import checkpoint, run
from training.config import Config
from training.data.dataset import ImageDataset

CONFIG = Config("convnet", "digits", epochs=3, width=4)


def train(data: ImageDataset, folder: Path, config: Config = CONFIG, *, resume: bool = False) -> nn.Module:
    return run.train(config, data, run.Rows.of(config, data), folder, resume=resume, log=lambda _: None)


def weights(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


def test_a_resumed_run_ends_with_the_same_bits_as_an_uninterrupted_one(
    tmp_path: Path, few_digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights(train(few_digits, tmp_path / "uninterrupted"))

    write = checkpoint.write

    def write_and_die(path: Path, *rest: object) -> None:
        write(path, *rest)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write", write_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(few_digits, tmp_path / "interrupted")
    monkeypatch.undo()
    assert checkpoint.read(tmp_path / "interrupted" / checkpoint.FILE).epoch == 1
    torch.manual_seed(12345)
    resumed = train(few_digits, tmp_path / "interrupted", resume=True)

    assert weights(resumed) == expected


def test_resuming_without_the_optimizers_state_would_be_noticed(
    tmp_path: Path, few_digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights(train(few_digits, tmp_path / "a"))
    found = checkpoint.read(tmp_path / "a" / checkpoint.FILE)
    tensors = {name: tensor for name, tensor in found.tensors.items() if not name.startswith("optimizer.")}
    monkeypatch.setattr(checkpoint, "read", lambda _: checkpoint.Checkpoint(CONFIG, 2, tensors))

    assert weights(train(few_digits, tmp_path / "a", resume=True)) != expected


def test_two_runs_of_one_seed_are_equal_and_of_two_seeds_are_not(tmp_path: Path, few_digits: ImageDataset) -> None:
    first, again = (train(few_digits, tmp_path, Config("mlp", "digits", epochs=1)) for _ in range(2))
    other = train(few_digits, tmp_path, Config("mlp", "digits", epochs=1, seed=1))

    assert weights(first) == weights(again) != weights(other)


def test_a_run_with_other_settings_is_not_resumed(tmp_path: Path, few_digits: ImageDataset) -> None:
    train(few_digits, tmp_path, Config("mlp", "digits", epochs=1))

    with pytest.raises(InvalidInput, match="epochs 1 -> 2"):
        train(few_digits, tmp_path, Config("mlp", "digits", epochs=2), resume=True)


def test_nothing_to_resume_is_an_error(tmp_path: Path, few_digits: ImageDataset) -> None:
    with pytest.raises(InvalidInput, match="no checkpoint"):
        train(few_digits, tmp_path, resume=True)


def test_a_finished_run_resumes_to_itself(tmp_path: Path, few_digits: ImageDataset) -> None:
    assert weights(train(few_digits, tmp_path)) == weights(train(few_digits, tmp_path, resume=True))
