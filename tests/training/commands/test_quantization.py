"""`python -m training quantize`, from a repository to the next version or to the figures of a refusal."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.manifest import Speed
from models.quantization import version
from models.repository.repository import Repository
from models.runtime.load import load
from tests.models.quantization.network import bundle, images
from training.__main__ import main

FAST = tuple(Speed(rows=rows, parent_ms=2, own_ms=1, ratio=2) for rows in (1, 32))
SLOW = (Speed(rows=1, parent_ms=1, own_ms=2, ratio=0.5),)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(version, "measure_speed", lambda *_: FAST)
    repository = Repository(tmp_path / "repository")
    repository.publish(bundle())
    return repository


def test_it_is_published_beside_the_default(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "repository/residual"]) == 0

    out = capsys.readouterr().out
    assert out.startswith("4 layers in 8 bits, 0 in float; ranges from 32 rows\non 96 rows: the parent's class in ")
    assert "accuracy" not in out.splitlines()[1]
    assert out.count("passed") == 3
    assert out.endswith(f"published residual version 2: {repository.root / 'residual' / '2'}\n")
    assert repository.default_version("residual") == 1


def test_the_record_as_json_from_given_rows_with_labels(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = images(200, 8)
    np.save("rows.npy", rows["x"])
    np.save("labels.npy", next(iter(load(bundle().folded, optimize=True)(rows).values())).argmax(axis=1))
    command = ["quantize", "repository/residual/1", "--data", "rows.npy", "--labels", "labels.npy", "--data-free"]

    assert main([*command, "--tolerance", "5", "--json"]) == 0

    printed = json.loads(capsys.readouterr().out)["manifest"]["lineage"]["quantization"]
    assert (printed["ranges_from"], printed["compared_rows"], printed["accuracy_before"]) == ("batch_norm", 200, 1)
    lineage = repository.read("residual", 2).manifest.lineage
    assert lineage.quantization is not None
    assert lineage.quantization.model_dump(mode="json", exclude_none=True) == printed


def test_a_slower_one_is_refused_with_its_figures(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(version, "measure_speed", lambda *_: SLOW)

    assert main(["quantize", "repository/residual"]) == 1

    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert captured.err == "error: speed_1 0.5 is below 1.05\n"
    assert repository.versions("residual") == [1]
    assert main(["quantize", "repository/residual", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert (printed["version"], printed["path"]) == (None, None)
    assert not all(gate["passed"] for gate in printed["manifest"]["lineage"]["quantization"]["gates"])
    assert main(["quantize", "repository/residual", "--force"]) == 0
    assert repository.versions("residual") == [1, 2]


def test_wrong_options_start_nothing(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "repository/residual", "--tolerance", "-1"]) == 2
    assert main(["quantize", "repository/nothing"]) == 1
    assert main(["quantize", "repository/residual", "--data", "absent.npy"]) == 2

    assert "data: absent.npy cannot be read" in capsys.readouterr().err
    assert repository.versions("residual") == [1]
