"""Conducts a study: what has been measured is kept, so that one that was interrupted goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import NamedTuple

import torch
from tqdm import tqdm

from models.errors import InvalidInput
from training.config import Config
from training.data.dataset import ImageDataset
from training.run import Rows
from training.studies import (
    covariate_shift,
    figure_one,
    inference_mode,
    initialisation,
    learning_rates,
    regularises,
    revision,
    small_batches,
    stabler,
)
from training.studies.study import Findings, Result, Settings, Size, Study

STUDIES: dict[str, Study] = {
    "figure-one": figure_one,
    "learning-rates": learning_rates,
    "inference-mode": inference_mode,
    "stabler": stabler,
    "initialisation": initialisation,
    "regularises": regularises,
    "covariate-shift": covariate_shift,
    "small-batches": small_batches,
}
"""By the name that the command takes."""


def validate_study(name: str) -> None:
    """Check that there is such a study.

    Raises:
        InvalidInput: there is not.
    """
    if name not in STUDIES:
        raise InvalidInput(f"got '{name}', expected one of {', '.join(STUDIES)}", "name")


def conduct(name: str, size: Size, data: ImageDataset, folder: Path, log: Callable[[str], None]) -> Findings:
    """Measure every run of a study that has not been measured, and write its page and figures.

    Args:
        name: of the study.
        size: how much is measured.
        data: the images.
        folder: for `<name>.md`, its figures, and `<name>.<size>.jsonl`, which has the results.
        log: called with a line of text at the end.

    Raises:
        InvalidInput: there is no such study, or the file of results has other contents.
    """
    validate_study(name)
    study = STUDIES[name]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{size}.jsonl"
    known = _read(path)
    commit = revision.checked_out()
    rows = Rows.of(Config("mlp", "mnist"), data)
    for settings in tqdm(study.runs(size), desc=name, unit="run", disable=None, leave=False):
        if _key(settings) in known:
            continue
        torch.manual_seed(int(settings["seed"]))
        start = process_time()
        result = study.measure(settings, rows)
        run = _Run(result, round(process_time() - start, 1), commit)
        line = {"settings": settings, "result": result, "seconds": run.seconds, "commit": commit}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        known[_key(settings)] = run
    measured = [known[_key(settings)] for settings in study.runs(size)]
    findings = study.conclude([(settings, known[_key(settings)].result) for settings in study.runs(size)])
    commits = ", ".join(dict.fromkeys(run.commit for run in measured))
    _write(
        folder,
        name,
        study,
        findings,
        f"`python -m training study {name} --size {size}`, commit {commits}: {len(measured)} runs, "
        f"{sum(run.seconds for run in measured):.0f} s of processor time.",
    )
    log(findings.verdict)
    return findings


class _Run(NamedTuple):
    """What was measured, in how much processor time, with which commit."""

    result: Result
    seconds: float
    commit: str


def _key(settings: Settings) -> str:
    return json.dumps(settings, sort_keys=True)


def _read(path: Path) -> dict[str, _Run]:
    known = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines() if path.is_file() else [], 1):
        try:
            found = json.loads(line)
            known[_key(found["settings"])] = _Run(found["result"], float(found["seconds"]), str(found["commit"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"line {number} is not the result of a run: delete it", str(path)) from error
    return known


def _write(folder: Path, name: str, study: Study, findings: Findings, command: str) -> None:
    for figure, svg in findings.figures.items():
        (folder / f"{name}.{figure}.svg").write_text(svg, "utf-8")
    images = "\n\n".join(f"![{study.title}: {figure}]({name}.{figure}.svg)" for figure in findings.figures)
    lines = [findings.header, ["---"] * len(findings.header), *findings.table]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    page = (
        f"# {study.title}\n\n**Question.** {study.question}\n\n**Source.** {study.source}\n\n"
        f"**Set-up.** {study.setup}\n\n{images}\n\n{table}\n\n"
        f"Figures with ± are means over seeds with 95 % intervals (Student's t). {command}\n\n"
        f"**Verdict.** {findings.verdict}\n"
    )
    (folder / f"{name}.md").write_text(page, "utf-8")
