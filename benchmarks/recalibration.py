"""What re-calibration regains, what it refuses, and how long it takes: the figures of docs/recalibration.md.

    python -m benchmarks.recalibration --data-dir data/mnist --write docs/recalibration.md

Runs on the starter models with Denge's defaults. The 10,000 test images of MNIST, without those that the bundles keep
as reference, are parted into rows to estimate from and 2,000 rows to measure on. torch's AdaBN (no prior, 2,000 rows,
layer after layer) says how much there is to regain. Results are kept as data in benchmarks/results/recalibration.json.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from torch import nn

from benchmarks.corruptions import CORRUPTIONS, corrupt
from benchmarks.pages import write_between
from models import starter
from models.graph.load import parse
from models.recalibration.candidate import Candidate
from models.recalibration.estimate import recalibrate
from models.repository import held_out
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load
from models.runtime.providers import runtime_version
from training.data import mnist
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]

RESULTS = Path(__file__).parent / "results" / "recalibration.json"
SEVERITIES = (2, 4)
COUNTS = (64, 256)
PRIORS = (0.0, 8.0, 16.0, 64.0, 256.0)
ORACLE_ROWS = 2000
MEASURED = 2000
DRAWS = 3
REACH = ("brightness", "contrast", "noise", "blur")
MODELS = ("convnet", "mlp")


class Model:
    """A starter model, its parent bundle and the same network in torch."""

    def __init__(self, name: str) -> None:
        self.name = name
        repository = Repository(Path(starter.__file__).parent)
        self.bundle: Bundle = repository.read(name, 1)
        (spec,) = self.bundle.manifest.inputs
        self.shape = (-1, *spec.shape[1:])
        self.right_before = self.classifier(self.bundle)

    def classifier(self, bundle: Bundle):
        run = load(bundle.folded, optimize=True)

        def accuracy(images: Rows, labels: Labels) -> float:
            answers = run({"input": images.reshape(self.shape)})["logits"].argmax(axis=1)
            return 100 * float(np.mean(answers == labels))

        return accuracy

    def recalibrated(self, images: Rows, prior: float | None = None) -> Candidate:
        extra = {} if prior is None else {"prior": prior}
        rows = {"input": images.reshape(self.shape)}
        return recalibrate(self.bundle, 1, rows, **extra)

    def by_torch(self, images: Rows):
        """AdaBN: each layer in turn takes the statistics of its input, those before it having done so."""
        network = ConvNet((1, 28, 28), 10) if self.name == "convnet" else MLP(784, 10)
        weights = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in parse(self.bundle.source).graph.initializer
        }
        network.load_state_dict({name: weights.get(name, value) for name, value in network.state_dict().items()})
        network.eval()
        rows = torch.from_numpy(images.reshape(self.shape))
        with torch.no_grad():
            for layer in [
                module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
            ]:
                seen: list[torch.Tensor] = []
                hook = layer.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
                network(rows)
                hook.remove()
                values = seen[0].transpose(0, 1).flatten(1).double()
                layer.running_mean.copy_(values.mean(1))
                layer.running_var.copy_(values.var(1, correction=0))

        @torch.no_grad()
        def accuracy(images: Rows, labels: Labels) -> float:
            answers = network(torch.from_numpy(images.reshape(self.shape))).argmax(1).numpy()
            return 100 * float(np.mean(answers == labels))

        return accuracy


class Data:
    """Test images of MNIST: a pool to estimate from, and rows to measure on."""

    def __init__(self, folder: Path) -> None:
        data = mnist.load(folder)
        images, labels = data.prepare(data.test_images), data.test_labels
        every = np.arange(len(images))
        kept = held_out.choose({"every": every})["every"]
        order = np.random.default_rng(1).permutation(np.setdiff1d(every, kept))
        pool, measured = order[:-MEASURED], order[-MEASURED:]
        self.pool, self.pool_labels = images[pool], labels[pool]
        self.measured, self.labels = images[measured], labels[measured]

    def draw(self, count: int, seed: int, classes: Sequence[int] | None = None) -> Rows:
        rows = np.arange(len(self.pool)) if classes is None else np.flatnonzero(np.isin(self.pool_labels, classes))
        return self.pool[np.random.default_rng(seed).choice(rows, count, replace=False)]


def regained(model: Model, data: Data) -> list[dict[str, object]]:
    lines = []
    for name, severity in itertools.product(CORRUPTIONS, SEVERITIES):
        rows = corrupt(data.pool[:ORACLE_ROWS], name, severity, seed=2)
        measured = corrupt(data.measured, name, severity, seed=3)
        line: dict[str, object] = {
            "corruption": name,
            "severity": severity,
            "before": model.right_before(measured, data.labels),
            "torch_2000": model.by_torch(rows)(measured, data.labels),
        }
        for count in COUNTS:
            found = [model.recalibrated(rows[start * count : (start + 1) * count]) for start in range(DRAWS)]
            after = [model.classifier(candidate.bundle)(measured, data.labels) for candidate in found]
            line[f"after_{count}"] = statistics.fmean(after)
            line[f"passed_{count}"] = sum(not candidate.failed_gates for candidate in found)
            line[f"failed_{count}"] = sorted({gate.name for candidate in found for gate in candidate.failed_gates})
        print(model.name, line, flush=True)
        lines.append(line)
    return lines


def clean(model: Model, data: Data) -> list[dict[str, object]]:
    lines = []
    before = model.right_before(data.measured, data.labels)
    for count in COUNTS:
        found = [model.recalibrated(data.draw(count, seed)) for seed in range(10)]
        after = [model.classifier(candidate.bundle)(data.measured, data.labels) for candidate in found]
        passed = [value for value, candidate in zip(after, found, strict=True) if not candidate.failed_gates]
        lines.append(
            {
                "rows": count,
                "draws": len(found),
                "passed": len(passed),
                "before": before,
                "after": statistics.fmean(after),
                "after_worst": min(after),
            }
        )
        print(model.name, lines[-1], flush=True)
    return lines


def few_classes(model: Model, data: Data) -> list[dict[str, object]]:
    lines = []
    before = model.right_before(data.measured, data.labels)
    for size in (1, 2, 5):
        mixes = list(itertools.combinations(range(10), size))
        mixes = mixes if size < 5 else mixes[::25]
        found = {mix: model.recalibrated(data.draw(256, 4, mix)) for mix in mixes}
        after = [model.classifier(candidate.bundle)(data.measured, data.labels) for candidate in found.values()]
        lines.append(
            {
                "classes": size,
                "mixes": len(mixes),
                "refused": sum(bool(candidate.failed_gates) for candidate in found.values()),
                "by": {
                    name: sum(name in {gate.name for gate in candidate.failed_gates} for candidate in found.values())
                    for name in ("diversity", "information", "label_shift", "agreement")
                },
                "before": before,
                "after_worst": min(after),
                "passed_worst": min(
                    (
                        value
                        for value, candidate in zip(after, found.values(), strict=True)
                        if not candidate.failed_gates
                    ),
                    default=None,
                ),
            }
        )
        print(model.name, lines[-1], flush=True)
    return lines


def priors(model: Model, data: Data) -> list[dict[str, object]]:
    shifted = {name: (corrupt(data.pool[:256], name, 3, 2), corrupt(data.measured, name, 3, 3)) for name in REACH}
    lines = []
    for prior, count in itertools.product(PRIORS, COUNTS):

        def right(rows: Rows, measured: Rows, prior: float = prior) -> float:
            return model.classifier(model.recalibrated(rows, prior).bundle)(measured, data.labels)

        ones = [right(data.draw(256, 4, [one]), data.measured) for one in range(10)] if count == 256 else []
        lines.append(
            {
                "prior": prior,
                "rows": count,
                "shifted": statistics.fmean(right(rows[:count], measured) for rows, measured in shifted.values()),
                "clean": statistics.fmean(right(data.draw(count, seed), data.measured) for seed in range(5)),
                "one_class_worst": min(ones, default=None),
            }
        )
        print(model.name, lines[-1], flush=True)
    return lines


def digits(model: Model) -> list[dict[str, object]]:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(len(labels))
    lines = []
    for title, images in _framed(pixels.reshape(-1, 8, 8) / 16):
        images, truth = images[order], labels[order].astype(np.int64)  # noqa: PLW2901
        line: dict[str, object] = {"framing": title, "before": model.right_before(images[256:], truth[256:])}
        for count in COUNTS:
            candidate = model.recalibrated(images[:count])
            line[f"after_{count}"] = model.classifier(candidate.bundle)(images[256:], truth[256:])
            line[f"failed_{count}"] = [gate.name for gate in candidate.failed_gates]
        line["torch_all"] = model.by_torch(images)(images[256:], truth[256:])
        print(model.name, line, flush=True)
        lines.append(line)
    return lines


def _framed(pixels: NDArray[np.float64]) -> Iterator[tuple[str, Rows]]:
    """The 8 x 8 digits enlarged to so many pixels, amid black up to the 28 x 28 of MNIST, whose digits have 20."""
    for side in (28, 24, 20):
        enlarged = zoom(pixels, (1, side / 8, side / 8), order=1, grid_mode=True, mode="nearest")
        margin = (28 - side) // 2
        yield (
            f"{side} x {side} of 28 x 28",
            np.pad(enlarged, ((0, 0), *[(margin, margin)] * 2))[:, None].astype(np.float32),
        )


TIMED = """
import time
began = time.perf_counter(), time.process_time()
import sys
from pathlib import Path
import numpy as np
from models.recalibration.estimate import recalibrate
from models.repository.repository import Repository
imported = time.perf_counter()
repository = Repository(Path(sys.argv[1]))
parent = repository.read("convnet", 1)
candidate = recalibrate(parent, 1, {"input": np.load(sys.argv[2])})
repository.publish(candidate.publishable(), candidate=True)
print(imported - began[0], time.perf_counter() - imported, time.process_time())
"""


def timed(model: Model, data: Data) -> dict[str, object]:
    """64 rows, from nothing to a published version in a new process on one core."""
    core = min(os.sched_getaffinity(0))
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.npy"
        np.save(rows, corrupt(data.pool[:64], "noise", 3))
        repository = Repository(Path(folder) / "repository")
        repository.publish(model.bundle)
        for _ in range(7):
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", TIMED, str(repository.root), str(rows)],
                capture_output=True,
                text=True,
                check=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
            wall = time.perf_counter() - began
            imports, job, cpu = map(float, done.stdout.split())
            runs.append({"wall": wall, "imports": imports, "job": job, "cpu": cpu})
    found: dict[str, object] = {"load": os.getloadavg()[0], "cores": os.cpu_count()} | {
        key: min(run[key] for run in runs) for key in runs[0]
    }  # what others left of the core
    print(found, flush=True)
    return found


def measured(model: Model, data: Data) -> dict[str, object]:
    return {
        "clean": clean(model, data),
        "digits": digits(model),
        "few_classes": few_classes(model, data),
        "priors": priors(model, data),
        "regained": regained(model, data),
    }


def tables(results: dict) -> str:
    parts = []
    for name in MODELS:
        found = results[name]
        parts.append(f"\n**{name}**, accuracy in %, mean over severities {', '.join(map(str, SEVERITIES))}:\n")
        parts.append("| | before | 64 rows | 256 rows | torch, 2,000 rows | regained, 64 | 256 | published, 64 | 256 |")
        parts.append("|---|---|---|---|---|---|---|---|---|")
        for corruption in [*CORRUPTIONS, None]:
            lines = [line for line in found["regained"] if corruption in (line["corruption"], None)]
            before, after64, after256, oracle = (
                statistics.fmean(line[key] for line in lines)
                for key in ("before", "after_64", "after_256", "torch_2000")
            )
            gain = oracle - before
            shares = [f"{(after - before) / gain:.0%}" if gain >= 1 else "-" for after in (after64, after256)]
            published = [
                f"{sum(line[f'passed_{count}'] for line in lines)} of {DRAWS * len(lines)}" for count in COUNTS
            ]
            parts.append(
                f"| {corruption or 'all'} | {before:.1f} | {after64:.1f} | {after256:.1f} | {oracle:.1f} | "
                f"{' | '.join([*shares, *published])} |"
            )
    parts.append("\nClean traffic of all classes, 10 draws each:\n")
    parts.append("| | rows | before | after, mean | after, worst | published |\n|---|---|---|---|---|---|")
    parts += [
        f"| {name} | {line['rows']} | {line['before']:.2f} | {line['after']:.2f} | {line['after_worst']:.2f} | "
        f"{line['passed']} of {line['draws']} |"
        for name in MODELS
        for line in results[name]["clean"]
    ]
    parts.append("\nClean traffic of a few classes, 256 rows:\n")
    parts.append(
        "| | classes | mixes | refused | by diversity | information | label_shift | before | worst of all "
        "| worst published |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    parts += [
        f"| {name} | {line['classes']} | {line['mixes']} | {line['refused']} | {line['by']['diversity']} | "
        f"{line['by']['information']} | {line['by']['label_shift']} | {line['before']:.1f} | "
        f"{line['after_worst']:.1f} | "
        f"{'-' if line['passed_worst'] is None else format(line['passed_worst'], '.1f')} |"
        for name in MODELS
        for line in results[name]["few_classes"]
    ]
    parts.append(f"\nThe prior, on {', '.join(REACH)} at severity 3, gates aside:\n")
    parts.append("| | prior | rows | shifted | clean | one class, worst |\n|---|---|---|---|---|---|")
    parts += [
        f"| {name} | {line['prior']:.0f} | {line['rows']} | {line['shifted']:.1f} | {line['clean']:.2f} | "
        f"{'-' if line['one_class_worst'] is None else format(line['one_class_worst'], '.1f')} |"
        for name in MODELS
        for line in results[name]["priors"]
    ]
    parts.append("\nscikit-learn's digits, 1,541 of them measured on, by how much of the frame they fill:\n")
    parts.append("| | framing | before | 64 rows | 256 rows | torch, all rows | gates failed, 64 | 256 |")
    parts.append("|---|---|---|---|---|---|---|---|")
    parts += [
        f"| {name} | {line['framing']} | {line['before']:.1f} | {line['after_64']:.1f} | {line['after_256']:.1f} | "
        f"{line['torch_all']:.1f} | "
        f"{', '.join(line['failed_64']) or 'none'} | {', '.join(line['failed_256']) or 'none'} |"
        for name in MODELS
        for line in results[name]["digits"]
    ]
    time_ = results["seconds"]
    parts.append(
        f"\n64 rows on convnet, estimated, folded, checked and published by a new process on one core, best of 7: "
        f"{time_['cpu']:.2f} s of CPU time; {time_['wall']:.2f} s in all on {time_['cores']} cores with a load "
        f"of {time_['load']:.0f}, of which {time_['imports']:.2f} s are imports and {time_['job']:.2f} s the job."
    )
    return "\n".join(parts).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--write", type=Path, help="a page with the comments of the table")
    parser.add_argument(
        "--parts", nargs="*", choices=[*MODELS, "seconds"], default=[*MODELS, "seconds"], help="to measure anew"
    )
    options = parser.parse_args()

    torch.set_num_threads(1)
    data = Data(options.data_dir) if options.parts else None
    for name in options.parts:
        found = timed(Model("convnet"), data) if name == "seconds" else measured(Model(name), data)
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        results |= {
            "command": "python -m benchmarks.recalibration",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "onnxruntime": runtime_version(),
            name: found,
        }
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.write:
        write_between(options.write, "recalibration", tables(json.loads(RESULTS.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
