"""The one model that the service is given at its start."""

from pathlib import Path

import pytest

from models.errors import InvalidInput
from models.graph.load import serialize
from models.repository.repository import Repository
from service.catalog.given_model import add_given_model
from tests.bundles import tiny_bundle
from tests.graphs import linear_norm


def test_an_onnx_file_is_imported_once(tmp_path: Path) -> None:
    folder, repository = tmp_path / "models", Repository(tmp_path / "repository")
    folder.mkdir()
    (folder / "model.onnx").write_bytes(serialize(linear_norm()))

    for path in (folder, folder / "model.onnx"):
        add_given_model(path, "digits", repository, tmp_path / "state")

    assert repository.versions("digits") == [1]
    assert repository.read("digits", 1).manifest.lineage.origin == "imported"


def test_a_bundle_is_copied(tmp_path: Path) -> None:
    source, repository = Repository(tmp_path / "source"), Repository(tmp_path / "repository")
    source.publish(tiny_bundle())

    add_given_model(source.root / "tiny" / "1", "digits", repository, tmp_path / "state")

    assert repository.read("digits", 1).folded == source.read("tiny", 1).folded


def test_a_file_that_is_no_network_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no network")

    with pytest.raises(InvalidInput, match=r"^model_path: model\.onnx cannot be imported: ") as refused:
        add_given_model(tmp_path, "digits", Repository(tmp_path / "repository"), tmp_path / "state")
    assert "\n" not in str(refused.value)
