"""What 8 bits lose and gain, beside onnxruntime's own tool on the same rows: the table of docs/quantization.md.

    python -m benchmarks.quantization --networks convnet mlp                 the starters, without training
    python -m benchmarks.quantization --write docs/quantization.md           all, trained if not in --work

64 held-out rows of each bundle give the ranges; accuracy is that of the other test rows, of MNIST the first 3,000. Each
graph runs in turn with the float graph, on one core.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from benchmarks.pages import write_between
from models import starter
from models.datatypes import Arrays
from models.graph.load import parse, serialize
from models.quantization.comparison import Comparison, compare
from models.quantization.limits import TOLERANCE
from models.quantization.speed import measure_speed, processor
from models.quantization.version import MIN_RATIO, make_graph
from models.repository import held_out
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.providers import runtime_version
from training import checkpoint, published_part, run
from training.bundle import make as make_bundle
from training.bundle import store_statistics
from training.config import Config, DataKind
from training.data.dataset import Dataset
from training.data.load import load

RANGE_ROWS = 64
TEST_ROWS = 3000
STATISTICS_ROWS, REFERENCE_ROWS = 4000, 1000
"""Training rows that the population statistics are of, and test rows that the reference is of."""


@dataclass(frozen=True)
class Network:
    """A network of the table.

    Attributes:
        training: its settings; None for a starter.
        rows: the first rows of the data set, which it is trained on.
    """

    title: str
    training: Config | None = None
    rows: int | None = None

    @property
    def data(self) -> DataKind:
        return self.training.data if self.training else "mnist"


NETWORKS = {
    "resnet18-mnist": Network(
        "ResNet-18, 64 channels, MNIST", Config("resnet", "mnist", epochs=1, depth=18, width=64), rows=16_000
    ),
    "resnet18-digits": Network(
        "ResNet-18, 64 channels, digits", Config("resnet", "digits", epochs=5, depth=18, width=64)
    ),
    "resnet-mnist": Network("ResNet-8, 16 channels, MNIST", Config("resnet", "mnist", epochs=1, batch_size=64)),
    "wide-digits": Network("ResNet-20, 64 channels, digits", Config("resnet", "digits", epochs=8, depth=20, width=64)),
    "resnet-digits": Network("ResNet-8, 16 channels, digits", Config("resnet", "digits", epochs=15)),
    "mlp-digits": Network("MLP 784-512-512-10, digits", Config("mlp", "digits", epochs=15, depth=2, width=512)),
    "convnet": Network("starter `convnet`, MNIST"),
    "mlp": Network("starter `mlp`, MNIST"),
}

Make = Callable[[Bundle, Arrays], bytes]


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Feeds rows to onnxruntime's tool, all at once."""

    def __init__(self, rows: Arrays) -> None:
        self._left = iter([rows])

    def get_next(self) -> Arrays | None:
        return next(self._left, None)


def runtime_tool(**options: object) -> Make:
    """`quantize_static` with these options."""

    def make(bundle: Bundle, rows: Arrays) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder, "folded.onnx"), Path(folder, "quantized.onnx")
            before.write_bytes(serialize(parse(bundle.folded)))
            quantize_static(before, after, _Reader(rows), quant_format=QuantFormat.QDQ, **options)
            return serialize(onnx.load(after))

    return make


METHODS: dict[str, Make] = {
    "Denge, from rows": lambda bundle, rows: serialize(make_graph(bundle, rows).model),
    "Denge, data-free": lambda bundle, _: serialize(make_graph(bundle, None).model),
    "`quantize_static`": runtime_tool(),
    "`quantize_static`, uint8, per channel": runtime_tool(
        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8
    ),
}


def read(name: str, work: Path, data_dir: Path | None) -> Bundle:
    """The bundle of a network, which is trained if it is not there yet."""
    network = NETWORKS[name]
    if network.training is None:
        starters = Repository(work / "starters")
        starter.seed(starters)
        return starters.read(name, 1)
    repository = Repository(work / "repository")
    if name not in repository.models():
        repository.publish(train(name, network.training, data_set(name, data_dir), work / "runs" / name))
    return repository.read(name, 1)


def data_set(name: str, data_dir: Path | None) -> Dataset:
    return load(NETWORKS[name].data, data_dir if NETWORKS[name].data == "mnist" else None)


def train(name: str, config: Config, data: Dataset, folder: Path) -> Bundle:
    """The bundle of a new network, which is trained on the first rows and tested on the first test rows."""
    every = run.Rows.of(config, data)
    resume = (folder / checkpoint.FILE).exists()
    rows = first(every, NETWORKS[name].rows, TEST_ROWS)
    network = run.train(config, data, rows, folder, resume=resume, log=print)
    part = published_part.of(network, data, first(every, STATISTICS_ROWS, REFERENCE_ROWS))
    return make_bundle(name, config, part, store_statistics(part))


def first(rows: run.Rows, train: int | None, test: int) -> run.Rows:
    """The first rows of a data set; for None all that it is trained on."""
    return run.Rows(rows.train[:train], rows.train_labels[:train], rows.test[:test], rows.test_labels[:test])


def test_rows(name: str, bundle: Bundle, data_dir: Path | None, seen: Arrays) -> tuple[Arrays, NDArray[np.int64]]:
    """The first test rows without those that ranges were measured on, and their labels."""
    (spec,) = bundle.manifest.inputs
    found = data_set(name, data_dir)
    rows = found.test_rows.reshape(-1, *spec.shape[1:])
    known = {row.tobytes() for row in seen[spec.name]}
    others = np.array([row.tobytes() not in known for row in rows])
    return {spec.name: rows[others][:TEST_ROWS]}, found.test_labels[others][:TEST_ROWS]


def lines(name: str, work: Path, data_dir: Path | None) -> Iterator[str]:
    bundle = read(name, work, data_dir)
    assert bundle.held_out is not None
    kept = held_out.unpack(bundle.held_out, bundle.manifest.inputs)
    for_ranges = {key: values[:RANGE_ROWS] for key, values in kept.items()}
    rows, labels = test_rows(name, bundle, data_dir, for_ranges)
    for method, make in METHODS.items():
        graph = make(bundle, for_ranges)
        found = compare(bundle.manifest, bundle.folded, graph, rows, labels)
        speeds = measure_speed(bundle.folded, graph, rows)
        yield row(name, method, found, [speed.ratio for speed in speeds])
        print(row(name, method, found, [speed.ratio for speed in speeds]), flush=True)


def row(name: str, method: str, found: Comparison, ratios: list[float]) -> str:
    passes = found.loss <= TOLERANCE and min(ratios) >= MIN_RATIO
    accuracy, agreement, difference = found.accuracy_before, found.agreement, found.max_probability_difference
    cells = [
        NETWORKS[name].title,
        method,
        f"{100 * (accuracy or 0):.2f}",
        f"{found.loss:+.2f}",
        f"{100 * (agreement or 0):.2f}",
        f"{difference or 0:.3f}",
        *(f"{ratio:.2f}" for ratio in ratios),
        "yes" if passes else "no",
    ]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quantization",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--data-dir", type=Path, help="folder with the files of MNIST")
    parser.add_argument("--work", type=Path, default=Path("runs/quantization"), help="folder for trained networks")
    parser.add_argument("--write", type=Path, help="page with the two marker comments")
    options = parser.parse_args(arguments)
    header = [
        "| network | method | accuracy, % | points lost | same class, % | probability | 1 row | 32 rows | passes |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    body = [line for name in options.networks for line in lines(name, options.work, options.data_dir)]
    made = f"Made by `python -m benchmarks.quantization` on {datetime.now(UTC).date()}"
    machine = f"with onnxruntime {runtime_version()} on one core of {processor()}"
    about = "Probability: the largest difference. Speeds: the float graph's time over the other's."
    text = "\n".join([*header, *body, "", f"{made}, {machine}. {about}"])
    print(text)
    if options.write:
        write_between(options.write, "quantization", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
