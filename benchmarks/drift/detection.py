"""What is found in 16 and 64 rows, and what it costs in accuracy: damage, wrong preprocessing, other classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.corruptions import CORRUPTIONS, corrupt
from benchmarks.drift.rows import Model, Rows, TestImages, windows
from benchmarks.mnist_models import MODELS
from models.drift.detector import Detector
from training.data import digits

SIZES = (16, 64, 256)
WINDOWS = 100
ROWS = 1000
SEVERITIES = (1, 3, 5)
KINDS = ("noise", "blur", "contrast", "brightness", "inversion", "rotation", "occlusion", "impulse", "fog")
CLASSES = (1, 2, 3, 5, 8)


def measure(images: TestImages, models: Sequence[Model]) -> list[dict[str, Any]]:
    random = np.random.default_rng(12)
    chosen = random.permutation(images.others)[:ROWS]
    clean, labels, raw = images.images[chosen], images.labels[chosen], images.raw[chosen].astype(np.float32)
    moved = {("clean", ""): (clean, labels)}
    for kind in KINDS:
        for severity in SEVERITIES:
            amount = f"{CORRUPTIONS[kind].amounts[severity - 1]:g}"
            moved[kind, amount] = corrupt(clean, kind, severity, seed=1), labels
    moved |= {
        ("preprocessing", "/255 forgotten"): (raw, labels),
        ("preprocessing", "/255 twice"): (clean / 255, labels),
        ("preprocessing", "mean 0.1307, std 0.3081 besides"): ((clean - 0.1307) / 0.3081, labels),
        ("preprocessing", "pixels from -1 to 1"): (2 * clean - 1, labels),
        ("preprocessing", "rows and columns swapped"): (clean.swapaxes(2, 3), labels),
        ("preprocessing", "upside down"): (clean[:, :, ::-1], labels),
        ("preprocessing", "bytes read as signed"): (raw.astype(np.uint8).view(np.int8) / np.float32(255), labels),
    }
    others = digits.load()
    moved["other writers", "scikit-learn's digits"] = others.prepare(others.train_images), others.train_labels
    found = []
    for model in models:
        name = model.name
        detector = Detector(model.manifest.drift)
        accuracy = 0.0
        for (kind, amount), (inputs, classes) in moved.items():
            rows = model.observe(inputs)
            share = 100 * float((rows.predicted == classes).mean())
            accuracy = share if kind == "clean" else accuracy
            pool = np.arange(len(inputs))
            found += [
                {"model": name, "kind": kind, "amount": amount, "accuracy": share, "lost": accuracy - share}
                | judged(detector, rows, [pool], size, random)
                for size in SIZES
            ]
        rows = model.observe(images.images)
        by_class = [images.others[images.labels[images.others] == label] for label in range(10)]
        for count in CLASSES:
            pools = [
                np.concatenate([by_class[label] for label in random.choice(10, count, replace=False)])
                for _ in range(20)
            ]
            found += [
                {"model": name, "kind": "classes", "amount": f"{count} of 10"}
                | judged(detector, rows, pools, size, random)
                for size in SIZES
            ]
    return found


def judged(
    detector: Detector, rows: Rows, pools: list[np.ndarray], size: int, random: np.random.Generator
) -> dict[str, object]:
    """Shares of windows by verdict."""
    verdicts, sizes = [], []
    for pool in pools:
        for chosen in windows(pool, size, WINDOWS // len(pools), random):
            assessed = detector.assess(*rows.take(chosen).window())
            verdicts.append(assessed.verdict)
            sizes.append((assessed.symmetric_kl, assessed.wasserstein))
    kl, distance = np.median(sizes, axis=0)
    return {
        "rows": size,
        "windows": len(verdicts),
        "covariate_shift": verdicts.count("covariate_shift") / len(verdicts),
        "label_shift_likely": verdicts.count("label_shift_likely") / len(verdicts),
        "symmetric_kl": float(kl),
        "wasserstein": float(distance),
    }


def _names(found: list[dict[str, Any]]) -> list[str]:
    return [name for name in MODELS if any(one["model"] == name for one in found)]


def table(found: list[dict[str, Any]]) -> str:
    names = _names(found)
    lines = [
        "| | | " + " | ".join(f"`{name}`: points lost | 16 rows | 64 rows | KL" for name in names) + " |",
        "|---|---|" + "---|---|---|---|" * len(names),
    ]
    for kind, amount in dict.fromkeys((one["kind"], one["amount"]) for one in found if one["kind"] != "classes"):
        cells = []
        for name in names:
            by_size = {
                one["rows"]: one for one in found if (one["model"], one["kind"], one["amount"]) == (name, kind, amount)
            }
            alarms = [by_size[size]["covariate_shift"] + by_size[size]["label_shift_likely"] for size in (16, 64)]
            cells += [f"{by_size[16]['lost']:.1f}", *(f"{share:.0%}" for share in alarms)]
            cells.append(f"{by_size[256]['symmetric_kl']:.2f}")
        lines.append(f"| {kind} | {amount} | {' | '.join(cells)} |")
    return "\n".join(lines)


def classes_table(found: list[dict[str, Any]]) -> str:
    names = _names(found)
    lines = [
        "| classes | rows | " + " | ".join(f"`{name}`: label shift likely | covariate shift" for name in names) + " |",
        "|---|---|" + "---|---|" * len(names),
    ]
    for amount in dict.fromkeys(one["amount"] for one in found if one["kind"] == "classes"):
        for size in SIZES:
            cells = []
            for name in names:
                (one,) = (
                    one
                    for one in found
                    if (one["model"], one["kind"], one["amount"], one["rows"]) == (name, "classes", amount, size)
                )
                cells += [f"{one['label_shift_likely']:.0%}", f"{one['covariate_shift']:.0%}"]
            lines.append(f"| {amount} | {size} | {' | '.join(cells)} |")
    return "\n".join(lines)
