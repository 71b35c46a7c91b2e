"""Studies: each runs at its quick size, resumes, and writes a page whose figures follow from its results."""

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from models.errors import InvalidInput
from training.data.dataset import ImageDataset
from training.studies import figure_one, inference_mode, learning_rates, revision
from training.studies.conduct import STUDIES, conduct
from training.studies.study import Findings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digit_images: ImageDataset) -> Path:
    """The pages of all studies at the quick size."""
    found = tmp_path_factory.mktemp("studies")
    for name in STUDIES:
        conduct(name, "quick", digit_images, found, lambda _: None)
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_writes_a_page_with_question_source_figures_and_verdict(name: str, folder: Path) -> None:
    page = (folder / f"{name}.md").read_text("utf-8")

    for part in ("**Question.**", "**Source.**", "**Set-up.**", "**Verdict.**", f"study {name} --size quick"):
        assert part in page
    figures = list(folder.glob(f"{name}.*.svg"))
    assert figures
    for figure in figures:
        assert f"({figure.name})" in page
        assert ET.parse(figure).getroot().tag.endswith("svg")
        assert "prefers-color-scheme: dark" in figure.read_text("utf-8")


def test_a_study_goes_on_where_it_was_interrupted(
    folder: Path, tmp_path: Path, digit_images: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (folder / "figure-one.quick.jsonl").read_text("utf-8").splitlines()
    path = tmp_path / "figure-one.quick.jsonl"
    path.write_text(lines[0] + "\n", "utf-8")
    measured = []
    measure = figure_one.measure
    monkeypatch.setattr(figure_one, "measure", lambda *given: measured.append(given[0]) or measure(*given))

    conduct("figure-one", "quick", digit_images, tmp_path, lambda _: None)

    resumed = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [settings["normalized"] for settings in measured] == [True]
    # The same bits as in the run that was not interrupted: each run has its own seed.
    assert [line["result"] for line in resumed] == [json.loads(line)["result"] for line in lines]
    commits = dict.fromkeys([json.loads(lines[0])["commit"], revision.checked_out()])
    assert f"--size quick`, commit {', '.join(commits)}: 2 runs, " in (tmp_path / "figure-one.md").read_text("utf-8")


def test_another_file_of_results_is_refused_with_its_line(tmp_path: Path, digit_images: ImageDataset) -> None:
    (tmp_path / "figure-one.quick.jsonl").write_text("{\n", "utf-8")

    with pytest.raises(InvalidInput, match="line 1 is not the result of a run"):
        conduct("figure-one", "quick", digit_images, tmp_path, lambda _: None)


def test_an_unknown_study_is_refused_with_those_there_are(tmp_path: Path, digit_images: ImageDataset) -> None:
    with pytest.raises(InvalidInput, match="name: got 'figure-two', expected one of figure-one"):
        conduct("figure-two", "quick", digit_images, tmp_path, lambda _: None)


def test_a_rate_counts_only_if_every_seed_was_trained() -> None:
    def run(rate: float, seed: int, reached: int | None, *, normalized: bool) -> tuple[dict[str, object], object]:
        settings = {"depth": 3, "rate": rate, "normalized": normalized, "steps": 100, "seed": seed}
        return settings, {"reached": reached, "best": 0.9 if reached else 0.5}

    runs = [
        *(run(0.1, seed, 50 + 25 * seed, normalized=norm) for seed in (0, 1) for norm in (False, True)),
        *(run(1.0, seed, None if seed else 25, normalized=False) for seed in (0, 1)),
        *(run(1.0, seed, 25, normalized=True) for seed in (0, 1)),
    ]

    findings = learning_rates.conclude(runs)  # type: ignore[arg-type]

    assert findings.table[0][1:] == ["2", "62 (50 to 75)", "best 70.0 %"]
    assert findings.table[1][1:] == ["2", "62 (50 to 75)", "25 (25 to 25)"]
    assert "is 1 with BN and 0.1 without" in findings.verdict


def test_the_verdict_follows_from_the_figures() -> None:
    def arm(accuracies: list[float], moved: float) -> dict[str, list[float]]:
        return {
            "step": [100, 200],
            "accuracy": accuracies,
            "p15": [-1, -1],
            "p50": [0, 0],
            "p85": [1, 1],
            "median_path": [moved - 0.25, moved + 0.25],
            "spread_path": [0.5, 0.5],
        }

    def found(without: float, within: float, seeds: int = 2) -> Findings:
        arms = [({"normalized": False}, arm([0.5, 0.92], without)), ({"normalized": True}, arm([0.95, 0.97], within))]
        return figure_one.conclude(arms * seeds)

    assert found(2, 0.5).table == [
        ["without BN", "2", "200", "none", "92.00 %", "2.00", "0.50"],
        ["with BN", "2", "100", "100", "97.00 %", "0.50", "0.50"],
    ]
    verdict = found(2, 0.5).verdict
    assert "The first measured step with 95 % is 100 with BN and none without" in verdict
    assert "+5.0 points" in verdict
    assert "are more stable with it: the median of a unit moves 0.50 times its own spread in all" in verdict
    assert "are less stable with it" in found(0.5, 2).verdict
    assert "are not measurably more or less stable" in found(0.5, 0.5).verdict
    assert "One seed cannot tell whether the inputs of units are more stable" in found(2, 0.5, seeds=1).verdict


def test_the_movement_of_units_is_that_of_their_inputs_in_batches(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "figure-one.quick.jsonl").read_text("utf-8").splitlines()]
    for result in (line["result"] for line in lines):
        low, median, high = (np.array(result[name]) for name in ("p15", "p50", "p85"))
        assert len(result["median_path"]) == len(result["spread_path"]) == 100
        moved = sum(abs(b - a) for a, b in pairwise(median)) / np.mean(high - low)
        assert result["median_path"][0] == pytest.approx(moved, abs=1e-4)
        changed = sum(abs(np.log(b / a)) for a, b in pairwise(high - low))
        assert result["spread_path"][0] == pytest.approx(changed, abs=1e-4)
    # With BN the spread of a unit is that of its own batch, of deviation gamma, which begins with 1.
    (spread,) = (
        line["result"]["p85"][0] - line["result"]["p15"][0] for line in lines if line["settings"]["normalized"]
    )
    assert 1.5 < spread < 2.5


def test_batches_of_one_class_mislead_training_mode_and_evaluation_mode_not(folder: Path) -> None:
    (line,) = (folder / "inference-mode.quick.jsonl").read_text("utf-8").splitlines()
    result = json.loads(line)["result"]

    assert result["eval"] > 0.8
    assert max(result["one class"]) < 0.5 < max(result["mixed"])
    assert np.argmin(result["mixed"]) == 0
    assert inference_mode.conclude([({"seed": 0}, result)]).table[0][2].startswith(f"{100 * result['eval']:.2f}")
