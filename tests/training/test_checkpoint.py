"""Checkpoints on disk."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.errors import InvalidInput
from training import checkpoint
from training.config import Config

CONFIG = Config("mlp", "digits")


def written(path: Path) -> nn.Module:
    network = nn.Linear(2, 3)
    checkpoint.write(path, CONFIG, 4, network, torch.optim.Adam(network.parameters()))
    return network


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network = written(tmp_path / "new" / checkpoint.FILE)
    found = checkpoint.read(tmp_path / "new" / checkpoint.FILE)
    other = nn.Linear(2, 3)

    found.restore_network(other)

    assert (found.config, found.epoch) == (CONFIG, 4)
    torch.testing.assert_close(other.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_a_failed_write_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / checkpoint.FILE
    written(path)
    before = path.read_bytes()

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        written(path)

    assert path.read_bytes() == before


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    written(tmp_path / checkpoint.FILE)

    with pytest.raises(InvalidInput, match="of another network"):
        checkpoint.read(tmp_path / checkpoint.FILE).restore_network(nn.Linear(2, 4))


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95pickle", b"\xff" * 64])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)

    with pytest.raises(InvalidInput, match="not a checkpoint"):
        checkpoint.read(tmp_path / "file")


def test_somebody_elses_safetensors_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "file")

    with pytest.raises(InvalidInput, match="not a checkpoint of this program"):
        checkpoint.read(tmp_path / "file")
