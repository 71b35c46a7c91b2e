"""URLs in a bucket, and the commands that take them."""

from pathlib import Path

import numpy as np
import pytest

from models.graph.load import serialize
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.graphs import linear_norm
from tests.recalibrating import ROWS, confident_bundle
from tests.s3 import bucket, s3
from training.__main__ import main
from training.bucket_urls import resolve

__all__ = ["bucket", "s3"]


def test_a_url_names_a_version_a_model_or_a_repository(bucket: str) -> None:
    Repository(bucket).publish(tiny_bundle())

    found = {end: resolve(f"{bucket}{end}") for end in ("", "/tiny", "/tiny/1", "/none")}
    assert {end: (str(named.repository.root), *named[1:]) for end, named in found.items()} == {
        "": (bucket, None, None),
        "/tiny": (bucket, "tiny", None),
        "/tiny/1": (bucket, "tiny", 1),
        "/none": (f"{bucket}/none", None, None),
    }


def test_commands_publish_into_a_bucket_and_read_from_it(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_bytes(serialize(linear_norm()))
    assert main(["import", str(tmp_path / "model.onnx"), "--name", "imported", "--repository", bucket]) == 0
    assert f"published imported version 1: {bucket}/imported/1" in capsys.readouterr().out

    Repository(bucket).publish(confident_bundle())
    np.save(tmp_path / "rows.npy", ROWS)
    assert main(["recalibrate", f"{bucket}/tiny", "--data", str(tmp_path / "rows.npy"), "--rows", "128"]) == 0
    assert Repository(bucket).versions("tiny") == [1, 2]
    assert Repository(bucket).default_version("tiny") == 1

    capsys.readouterr()
    assert main(["inspect", bucket]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"  {bucket}/imported/1", f"  {bucket}/tiny/2"]
    assert main(["inspect", f"{bucket}/tiny"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"  {bucket}/tiny/1", f"  {bucket}/tiny/2"]
    assert main(["inspect", f"{bucket}/tiny/2"]) == 0
    assert "1 of 1 folded" in capsys.readouterr().out
    assert main(["inspect", f"{bucket}/none"]) == 2
    assert main(["recalibrate", bucket, "--data", "mnist"]) == 2
