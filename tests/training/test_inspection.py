"""Layers in text."""

from pathlib import Path

import pytest

from models.errors import InvalidInput
from models.graph.load import serialize
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.graphs import linear_norm
from training.inspection import find


def test_a_bundle_is_described_with_its_facts_layers_and_parity(tmp_path: Path) -> None:
    Repository(tmp_path).publish(tiny_bundle())

    text = find(str(tmp_path / "tiny" / "1")).to_text()

    assert text.startswith("tiny: trained 2026-01-02\ninput: FP32 [-1, 4]\nlogits: FP32 [-1, 2]\n")
    assert "folded back into fc" in text
    assert "1 of 1 folded\nparity on 16 rows" in text


def test_a_file_is_described_as_it_would_be_folded(tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(serialize(linear_norm()))

    assert "1 of 1 folded" in find(str(tmp_path / "network.onnx")).to_text()


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no bundle or file"):
        find(str(tmp_path / "nothing")).to_text()
    with pytest.raises(InvalidInput, match="not a bundle, a model or a repository"):
        find(str(tmp_path)).to_text()


def test_folders_of_bundles_name_them(tmp_path: Path) -> None:
    for _ in range(2):
        Repository(tmp_path).publish(tiny_bundle())

    assert find(str(tmp_path / "tiny")).to_text().splitlines()[1:] == [
        f"  {tmp_path / 'tiny' / version}" for version in "12"
    ]
    assert find(str(tmp_path)).to_text().splitlines()[1:] == [f"  {tmp_path / 'tiny' / '2'}"]
