"""The notebooks: their code as it stands, cell by cell, against a service that has just started."""

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, Process, running

FOLDER = ROOT / "examples" / "notebooks"


def execute(notebook: str, url: str) -> tuple[dict[str, Any], str]:
    """Run the code of a notebook. Returns its names, and what it has printed."""
    names: dict[str, Any] = {}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            for source in sources(notebook):
                exec(compile(source.replace("http://localhost:8000", url), notebook, "exec"), names)
    finally:
        for name in names.keys() & {"service", "client"}:
            names[name].close()
    return names, printed.getvalue()


def sources(notebook: str) -> list[str]:
    cells = json.loads((FOLDER / f"{notebook}.ipynb").read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_all_notebooks_are_tested() -> None:
    found = {path.stem for path in FOLDER.glob("*.ipynb")}

    assert found == {"serve-and-read-layers", "drift-and-recalibration", "bring-your-own-network"}
    for notebook in found:
        assert all(ast.parse(source).body for source in sources(notebook))


def test_serving_and_layers(starters: Process) -> None:
    names, printed = execute("serve-and-read-layers", starters.url)

    assert names["answer"]["label"] == "7"
    assert names["difference"] < 1e-12
    assert "blocks.0.norm 16 channels, folded_back" in printed


@pytest.mark.slow
def test_drift_and_recalibration(tmp_path: Path) -> None:
    with running(tmp_path / "repository", "--log-level", "warning") as service:
        names, printed = execute("drift-and-recalibration", service.url)

    assert names["report"]["verdict"] == "covariate_shift"
    assert names["job"]["state"] == "published"
    assert names["job"]["accuracy_before"]["high"] < names["job"]["accuracy_after"]["low"]
    assert "by version 2" in printed


@pytest.mark.slow
def test_a_network_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running(tmp_path / "repository", "--log-level", "warning") as service:
        names, printed = execute("bring-your-own-network", service.url)

    assert names["correct"] > 0.9
    assert abs(names["logits"] - names["network"](names["rows"][names["test"]][:5])).max() < 1e-4
    assert printed.count("folded_back") == 2
