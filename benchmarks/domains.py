"""Routing by domain on mixtures of clean and shifted rows: what it gains, and what it costs clean rows.

    python -m benchmarks.domains --data-dir data/mnist [--model mlp convnet] [--tuning | --cost] [--write PAGE]

For each corruption of `benchmarks.unseen_corruptions`, in both severities, a version is re-calibrated from 256 rows,
gates aside, and given the domain, with its margin from the bundle's held-out rows. 500 clean and 500 shifted rows, none
of them among those, are answered. Printed are the accuracies on both halves together: of the parent alone, of the
version alone, routed, and with the better of the two for each half; what clean rows gain; and how many rows of each
half went to the version. Eight shifts are also printed by themselves, since they were measured before there was a rule.
"Pairs" have a third each of clean rows and of two of these shifts, each with a version. Last are rows of each of the
eight with the version of each other one: they should lose nothing.

`--cost` measures what choosing a version costs instead, in processor time of one core, in the process: running the
first layers and comparing their figures, beside running the model.

`--tuning` has the corruptions of `benchmarks.corruptions` instead, which the rule and its bound were chosen on.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray

from benchmarks import corruptions, unseen_corruptions
from benchmarks.auto.__main__ import make_pool
from benchmarks.auto.week import Images
from benchmarks.mnist_models import STARTERS
from benchmarks.pages import write_between
from models import starter
from models.drift.domains import DomainRule
from models.drift.version_fit import first_layers
from models.errors import ParityError
from models.observation import ObservationReader, RowStatistics, mean_output, square_output
from models.recalibration.domains import calibrate_domains
from models.recalibration.estimate import recalibrate
from models.repository.bundle import Bundle
from models.runtime.load import load
from service.wire.graph_part import keep_outputs

FIRST_MEASURED = (
    *("shot noise 1", "motion blur 2", "spatter 2", "vignette 2"),
    *("speckle 2", "quantize 2", "stripe 1", "pixelate 1"),
)
ROWS = 256
MEASURED = slice(1000, 1500)
SEED = 5
HARM = -1.0
"""Points."""

COST_ROUNDS, COST_CALLS = 9, 200

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Network:
    """A version, and what it says of images."""

    bundle: Bundle

    def classes(self, images: Images) -> Classes:
        """Predicted classes, shape (n,)."""
        outputs = load(self.bundle.folded, optimize=True)(self._inputs(images))
        return np.asarray(outputs[self.bundle.manifest.outputs[0].name].argmax(axis=1))

    def observe(self, images: Images) -> Mapping[str, RowStatistics]:
        """What the layers meet."""
        assert self.bundle.observed is not None
        outputs = load(self.bundle.observed, optimize=True)(self._inputs(images))
        return ObservationReader(self.bundle.manifest.layers, outputs).read(outputs)

    def version_for(self, images: Images) -> "Network":
        """Re-calibrated from images."""
        return Network(recalibrate(self.bundle, 1, self._inputs(images), with_accuracy=False).bundle)

    def _inputs(self, images: Images) -> dict[str, Images]:
        (spec,) = self.bundle.manifest.inputs
        return {spec.name: images.reshape(-1, *spec.shape[1:])}


class Measurement:
    """A network, its versions, and their answers to images of every condition.

    Args:
        parent: the network.
        clean: images, shape (n, 1, 28, 28).
        labels: of them.
    """

    def __init__(self, parent: Network, clean: Images, labels: Classes) -> None:
        self.parent = parent
        self.labels = labels[MEASURED]
        self._clean = clean
        self._images = {"clean": clean}
        self.versions: dict[str, Network] = {}
        self._classes: dict[tuple[str, str], NDArray[np.bool_]] = {}
        self._observed: dict[str, Mapping[str, RowStatistics]] = {}

    def add(self, shift: str, images: Images) -> bool:
        """Re-calibrate for a shift. Returns whether that gave a version."""
        self._images[shift] = images
        try:
            self.versions[shift] = self.parent.version_for(images[:ROWS])
        except ParityError as error:
            print(f"{shift}: no version: {error}")
            return False
        return True

    def right(self, version: str, condition: str) -> NDArray[np.bool_]:
        """Which rows of a condition a version is right for; "clean" is the parent."""
        key = version, condition
        if key not in self._classes:
            network = self.versions.get(version, self.parent)
            self._classes[key] = network.classes(self._images[condition][MEASURED]) == self.labels
        return self._classes[key]

    def routed(self, versions: Sequence[str], condition: str) -> tuple[float, float]:
        """The accuracy with domains on rows of a condition, and how many of these left the parent, in percent."""
        networks = [self.versions[version] for version in versions]
        numbered = {2 + at: network.bundle for at, network in enumerate(networks)}
        domains = calibrate_domains(self.parent.bundle, 1, numbered)
        pairs = [(network.bundle.manifest, domain.margin) for network, domain in zip(networks, domains, strict=True)]
        if condition not in self._observed:
            self._observed[condition] = self.parent.observe(self._images[condition][MEASURED])
        chosen = DomainRule(self.parent.bundle.manifest, pairs).choose(self._observed[condition])
        answers = np.stack([*(self.right(version, condition) for version in versions), self.right("clean", condition)])
        return 100 * float(answers[chosen, np.arange(len(chosen))].mean()), 100 * float(np.mean(chosen >= 0))

    def accuracy(self, version: str, condition: str) -> float:
        """In percent."""
        return 100 * float(self.right(version, condition).mean())

    def halves(self, shift: str) -> list[float]:
        """Parent, version, routed, the better for each half; gain of clean rows; percentage of rows sent, by half."""
        clean, shifted = ([self.accuracy(version, half) for version in ("clean", shift)] for half in ("clean", shift))
        (routed_clean, left), (routed_shifted, sent) = (self.routed([shift], half) for half in ("clean", shift))
        best = (max(clean) + max(shifted)) / 2
        both = [(clean[0] + shifted[0]) / 2, (clean[1] + shifted[1]) / 2, (routed_clean + routed_shifted) / 2, best]
        return [*both, routed_clean - clean[0], left, sent]

    def thirds(self, one: str, other: str) -> list[float]:
        """Parent, routed with two versions, the best version for each third; gain of clean rows."""
        conditions = ("clean", one, other)
        parent = [self.accuracy("clean", condition) for condition in conditions]
        routed = [self.routed([one, other], condition)[0] for condition in conditions]
        best = [max(self.accuracy(version, condition) for version in conditions) for condition in conditions]
        return [float(np.mean(parent)), float(np.mean(routed)), float(np.mean(best)), routed[0] - parent[0]]


def shifts(*, tuning: bool) -> Iterator[tuple[str, int]]:
    """Names and severities."""
    if tuning:
        yield from ((name, severity) for name in corruptions.CORRUPTIONS for severity in (1, 2, 4))
    else:
        yield from (
            (name, severity) for name in unseen_corruptions.UNSEEN for severity in unseen_corruptions.SEVERITIES
        )


def measure(name: str, data_dir: Path, *, tuning: bool) -> list[str]:
    """The lines of one model."""
    pool = make_pool(data_dir)
    parent = Network(starter.read(name))
    measurement = Measurement(parent, pool.clean, pool.labels)
    corrupt = corruptions.corrupt if tuning else unseen_corruptions.corrupt
    for kind, severity in shifts(tuning=tuning):
        measurement.add(f"{kind} {severity}", corrupt(pool.clean, kind, severity, SEED))
    found = {shift: measurement.halves(shift) for shift in measurement.versions}
    for shift, figures in found.items():
        print(name, shift, *(f"{figure:.1f}" for figure in figures), sep=", ", flush=True)
    lines = []
    groups = {"": list(found), ", measured first": [shift for shift in FIRST_MEASURED if shift in found]}
    for title, group in groups.items():
        if group:
            of_group = np.array([found[shift] for shift in group])
            mean = of_group.mean(axis=0)
            lines.append(
                f"| `{name}` | {len(group)} shifts{title} | {mean[0]:.1f} | "
                f"{mean[1]:.1f} | {mean[2]:.1f} | {mean[3]:.1f} | {mean[4]:+.2f} | {of_group[:, 4].min():+.1f} | "
                f"{mean[5]:.1f} | {mean[6]:.0f} |"
            )
    chosen = groups[", measured first"] or groups[""][::3]
    thirds = np.array([measurement.thirds(*pair) for pair in zip(chosen[::2], chosen[1::2], strict=False)])
    three = thirds.mean(axis=0)
    lines.append(
        f"| `{name}` | {len(thirds)} pairs of shifts, two versions | {three[0]:.1f} | - | {three[1]:.1f} | "
        f"{three[2]:.1f} | {three[3]:+.2f} | {thirds[:, 3].min():+.1f} | - | - |"
    )
    gains = np.array(
        [
            measurement.routed([version], other)[0] - measurement.accuracy("clean", other)
            for version, other in permutations(chosen, 2)
        ]
    )
    print(
        f"{name}, rows of another shift: {gains.mean():+.1f} points on average, {np.sum(gains < HARM)} of {len(gains)} "
        f"pairs lose more than a point, worst {gains.min():+.1f}"
    )
    return lines


def measure_cost(name: str, data_dir: Path) -> list[str]:
    """The lines of one model: milliseconds of a request."""
    images = make_pool(data_dir).clean
    parent = Network(starter.read(name))
    manifest, observed = parent.bundle.manifest, parent.bundle.observed
    assert observed is not None
    (spec,) = manifest.inputs
    kinds = ("noise", "fog", "brightness")
    versions = {
        2 + at: parent.version_for(corruptions.corrupt(images[:ROWS], kind, 3, SEED)).bundle
        for at, kind in enumerate(kinds)
    }
    domains = calibrate_domains(parent.bundle, 1, versions)
    pairs = [(versions[domain.version].manifest, domain.margin) for domain in domains]
    outputs = {of(layer.name) for layer in first_layers(manifest) for of in (mean_output, square_output)}
    part = keep_outputs(observed, outputs)
    predict, observe = (load(graph, optimize=True) for graph in (parent.bundle.folded, part))
    lines = []
    for rows in (1, 32):
        inputs = {spec.name: np.ascontiguousarray(images[:rows].reshape(-1, *spec.shape[1:]))}
        reader = ObservationReader(manifest.layers, observe(inputs))
        times = [_milliseconds(lambda: predict(inputs))]  # noqa: B023 - called before the next round
        for count in (1, len(pairs)):
            rule = DomainRule(manifest, pairs[:count])
            times.append(_milliseconds(lambda: rule.choose(reader.read(observe(inputs)))))  # noqa: B023
        lines.append(f"| `{name}` | {rows} | {' | '.join(f'{found:.2f}' for found in times)} |")
    return lines


def _milliseconds(function: Callable[[], object]) -> float:
    """Least processor time of a call, over several rounds."""
    found = []
    for _ in range(COST_ROUNDS):
        start = process_time()
        for _ in range(COST_CALLS):
            function()
        found.append((process_time() - start) / COST_CALLS)
    return 1e3 * min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=STARTERS, nargs="+", default=STARTERS)
    parser.add_argument("--tuning", action="store_true", help="the corruptions that the rule was chosen on")
    parser.add_argument("--cost", action="store_true", help="processor time instead")
    parser.add_argument("--write", type=Path, help="page whose table is written")
    options = parser.parse_args()
    if options.cost:
        lines = [
            "| | rows of the request | predicting, ms | choosing, 1 version | 3 versions |",
            "|---" * 5 + "|",
            *(line for name in options.model for line in measure_cost(name, options.data_dir)),
        ]
        print("\n".join(lines))
        if options.write:
            write_between(options.write, "domains_cost", "\n".join(lines))
        return
    titles = (
        *("", "", "parent", "version", "routed", "better for each part", "clean rows gain", "worst"),
        *("clean rows sent, %", "shifted rows sent, %"),
    )
    lines = [f"| {' | '.join(titles)} |".replace("|  |", "| |").replace("|  |", "| |"), "|---" * len(titles) + "|"]
    for name in options.model:
        lines += measure(name, options.data_dir, tuning=options.tuning)
    print("\n".join(lines))
    if options.write:
        write_between(options.write, "domains", "\n".join(lines))


if __name__ == "__main__":
    main()
