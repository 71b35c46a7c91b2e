"""Denge's statistic beside the Kolmogorov-Smirnov and MMD detectors of Alibi-Detect, on the same windows.

All know the same held-out rows; MMD a part of them, for the time that it takes. Each detector's own statistic decides,
at the threshold that 1 in 100 undisturbed windows exceed, of windows from rows that it does not know: the same
false-alarm rate for all. The peers are given the network's probabilities; Denge is given the moments. Run by an
interpreter that has alibi-detect, this file is the other side:

    python benchmarks/drift/peers.py FOLDER
"""

# ruff: noqa: PLC0415 - each side has what the other has not

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.drift.rows import Indices, Model, Rows, TestImages
    from models.drift.detector import Detector

SIZES = (16, 64)
CLEAN_WINDOWS = 300
WINDOWS = 50
ROWS = 2000
FEWER_ROWS = 1000
CONDITIONS = (
    ("noise", 1),
    ("impulse", 1),
    ("blur", 1),
    ("contrast", 1),
    ("brightness", 1),
    ("rotation", 1),
    ("rotation", 3),
    ("occlusion", 1),
    ("occlusion", 3),
)
DETECTORS = ("KS", "MMD")


def measure(images: "TestImages", models: Iterable["Model"], peer_python: str) -> list[dict[str, Any]]:
    """Draw the windows, judge them here, have them judged there."""
    from benchmarks.corruptions import CORRUPTIONS, corrupt
    from benchmarks.drift.rows import windows
    from models.classification import probabilities
    from models.drift.detector import Detector

    random = np.random.default_rng(13)
    order = random.permutation(images.others)
    calibrating, fresh = order[:-ROWS], order[-ROWS:]
    inputs = {"undisturbed": images.images[fresh]}
    for kind, severity in CONDITIONS:
        name = f"{kind} {CORRUPTIONS[kind].amounts[severity - 1]:g}"
        inputs[name] = corrupt(images.images[fresh], kind, severity, seed=1)
    drawn = {}
    for size in SIZES:
        drawn[f"calibrate/{size}"] = list(windows(np.arange(len(calibrating)), size, CLEAN_WINDOWS, random))
        for condition in inputs:
            drawn[f"{condition}/{size}"] = list(windows(np.arange(ROWS), size, WINDOWS, random))
    chosen = {key: np.stack(picked) for key, picked in drawn.items()}

    found = []
    for model in models:
        observed = {condition: model.observe(rows) for condition, rows in inputs.items()}
        observed["calibrate"] = model.observe(images.images[calibrating])
        scores, seconds = _scores(Detector(model.reference), observed, chosen)
        size = len(model.reference.model_dump_json())
        found += _compared(model.name, "Denge", scores, seconds, size / 1e6)
        every = observed | {"reference": model.observe(images.images[images.reference])}
        features = {name: probabilities(rows.logits, model.manifest.scores) for name, rows in every.items()}
        with tempfile.TemporaryDirectory() as folder:
            for file, arrays in (("features.npz", features), ("windows.npz", chosen)):
                named = {key.replace("/", "|"): value for key, value in arrays.items()}
                np.savez(Path(folder) / file, allow_pickle=False, **named)
            for kind in DETECTORS:
                # A process each, so that its memory is its own.
                command = [peer_python, __file__, folder, kind]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                answer = json.loads(done.stdout.splitlines()[-1])
                title = f"Alibi-Detect {kind}, probabilities"
                found += _compared(model.name, title, answer["scores"], answer["seconds"], answer["mb"])
    return found


def _scores(
    detector: "Detector", observed: dict[str, "Rows"], chosen: dict[str, "Indices"]
) -> tuple[dict[str, list[float]], float]:
    """The statistic of each window by condition and size, relative to its threshold, and the median time of one."""
    from benchmarks.drift.rows import significance

    scores: dict[str, list[float]] = {}
    seconds = []
    for key, picked in chosen.items():
        condition = key.partition("/")[0]
        scores[key] = []
        for indices in picked:
            rows = observed[condition].take(indices)
            began = perf_counter()
            assessed = detector.assess(*rows.window())
            seconds.append(perf_counter() - began)
            scores[key].append(significance(assessed))
    return scores, float(np.median(seconds))


def _compared(
    model: str, detector: str, scores: dict[str, Any], seconds: float, megabytes: float
) -> list[dict[str, Any]]:
    found = []
    for size in SIZES:
        threshold = np.sort(scores[f"calibrate/{size}"])[int(np.ceil((CLEAN_WINDOWS + 1) * 0.99)) - 1]
        for key, values in scores.items():
            condition, _, rows = key.partition("/")
            if int(rows) == size and condition != "calibrate":
                found.append(
                    {
                        "model": model,
                        "detector": detector,
                        "rows": size,
                        "condition": condition,
                        "found": float(np.mean(np.array(values) > threshold)),
                        "ms_per_window": seconds * 1e3,
                        "megabytes": megabytes,
                    }
                )
    return found


def table(found: list[dict[str, Any]]) -> str:
    conditions = list(dict.fromkeys(one["condition"] for one in found))
    lines = [
        "| model | detector | rows | " + " | ".join(conditions) + " | ms a window | MB |",
        "|---|---|---|" + "---|" * (len(conditions) + 2),
    ]
    for model, detector, rows in dict.fromkeys((one["model"], one["detector"], one["rows"]) for one in found):
        chosen = [one for one in found if (one["model"], one["detector"], one["rows"]) == (model, detector, rows)]
        shares = {one["condition"]: one["found"] for one in chosen}
        cells = [f"{shares[condition]:.0%}" for condition in conditions]
        lines.append(
            f"| `{model}` | {detector} | {rows} | {' | '.join(cells)} "
            f"| {chosen[0]['ms_per_window']:.1f} | {chosen[0]['megabytes']:.2g} |"
        )
    return "\n".join(lines)


def peer(folder: str, kind: str) -> None:
    """The other side: judge all windows by one detector, and print the scores."""
    import torch
    from alibi_detect.cd import KSDrift, MMDDrift

    torch.set_num_threads(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with np.load(f"{folder}/features.npz", allow_pickle=False) as arrays:
        features = {key: arrays[key] for key in arrays.files}
    with np.load(f"{folder}/windows.npz", allow_pickle=False) as arrays:
        windows = {key.replace("|", "/"): arrays[key] for key in arrays.files}
    known = features["reference"]
    if kind == "MMD":
        known = known[np.random.default_rng(0).permutation(len(known))[:FEWER_ROWS]]
    # The permutations of MMD give its p value, which is not needed here but is part of what it costs.
    detector = KSDrift(known) if kind == "KS" else MMDDrift(known, backend="pytorch", n_permutations=100)
    scores: dict[str, list[float]] = {}
    seconds = []
    for key, picked in windows.items():
        rows = features[key.partition("/")[0]]
        scores[key] = []
        for number, indices in enumerate(picked):
            window = rows[indices]
            began = perf_counter()
            if kind == "KS":
                p_values, _ = detector.feature_score(detector.x_ref, window)
                # Not the smallest alone, which is 0 for many: -log of it, the smaller the more.
                score = -np.log(max(float(np.min(p_values)), 1e-300))
                seconds.append(perf_counter() - began)
            elif number < 2:
                _, score, _ = detector.score(window)
                seconds.append(perf_counter() - began)
            else:
                score = _mmd(detector, window)
            scores[key].append(float(score))
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    print(json.dumps({"scores": scores, "seconds": float(np.median(seconds)), "mb": used}))


def _mmd(detector: Any, window: NDArray[Any]) -> float:
    """Its statistic without the permutations."""
    import torch
    from alibi_detect.utils.pytorch.distance import mmd2_from_kernel_matrix

    backend = detector._detector  # noqa: SLF001 - nothing public gives the statistic alone
    known, rows = backend.preprocess(window)
    known = torch.from_numpy(known).to(backend.device)
    rows = torch.from_numpy(rows).to(backend.device)
    matrix = backend.kernel_matrix(known, rows)
    matrix = matrix - torch.diag(matrix.diag())
    return float(mmd2_from_kernel_matrix(matrix, len(window), permute=False, zero_diag=False))


if __name__ == "__main__":
    peer(sys.argv[1], sys.argv[2])
