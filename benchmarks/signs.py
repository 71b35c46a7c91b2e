"""Which re-calibrations the gates let through, what the prior is worth, and how well accuracy is estimated.

    python -m benchmarks.signs --data-dir data/mnist --model mlp [--resnet REPOSITORY] [--set tuning]
    python -m benchmarks.signs --write docs

On corruptions that nothing was tuned on (`benchmarks.unseen_corruptions`), at two severities, on MNIST's test images
without those that the bundles keep: 64 rows of a pool are estimated from, or 256 with `--set "unseen, more rows"`.
Accuracy is measured on 4,000 others, since with 500 rows a version that changes nothing harms by half a point now and
then. `--set tuning` has the corruptions of `benchmarks.corruptions` at four severities and other foreign rows: the
bounds of the gates are chosen on these. `--resnet` is a repository with a model "resnet" of `python -m training train
--model resnet --data mnist --epochs 1 --width 8 --batch-size 64`. Each condition's figures are kept in
benchmarks/results/signs_<model>.jsonl, signs_<model>_256.jsonl or signs_<model>_tuning.jsonl; one that is there is not
measured again, so a run that was interrupted goes on. The error is the standard error of what the version gains.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import MEASURED, SETS, Case, CaseModel, CaseSet, Data, cases, measure_cases
from benchmarks.mnist_models import add_options, read_model
from benchmarks.pages import write_between
from benchmarks.signs_results import RESULTS, accuracy_table, gate_table, prior_table
from models.classification import probabilities
from models.graph.adapt import ChannelStatistics, restate
from models.graph.load import serialize
from models.recalibration.evaluation import Estimation, evaluate
from models.repository.bundle import Bundle
from models.runtime.load import load
from models.stored_graph import SerializedGraph


def measure(name: str, parent: Bundle, folder: Path, chosen: CaseSet) -> None:
    model, data = CaseModel(parent), Data(folder, MEASURED, chosen)
    network, output = model.network, model.output
    usual = probabilities(load(parent.folded, optimize=True)(model.held_out)[output], parent.manifest.scores)

    def right(folded: SerializedGraph, keys: tuple[str, ...]) -> NDArray[np.bool_]:
        return np.concatenate([model.classes(folded, data.measured_of(key)) == data.labels for key in keys])

    right_of_parent = cache(lambda keys: right(parent.folded, keys))

    def with_statistics(statistics: Mapping[str, ChannelStatistics]) -> bytes:
        return serialize(restate(model.source, statistics))

    def figures(case: Case) -> dict[str, Any]:
        rows = model.inputs(case.rows)
        before, after = network.run(rows, 1.0), network.run(rows)
        candidate = replace(parent, folded=with_statistics(after.mixed))
        estimation = Estimation(rows, network, before, after, is_in_order=case.group == "gradual shift")
        found = evaluate(parent, candidate, estimation, estimator=model.estimator)
        old, new = right_of_parent(case.measured), right(candidate.folded, case.measured)
        confidence = probabilities(before.outputs[output], parent.manifest.scores).max(axis=1)
        line: dict[str, Any] = {
            "before": float(old.mean()),
            "after": float(new.mean()),
            "error": float((new.astype(float) - old).std() / np.sqrt(len(old))),
            "figures": {gate.name: gate.figure for gate in found.gates},
            "bounds": {gate.name: [gate.lower, gate.upper] for gate in found.gates},
            "failed": [gate.name for gate in found.gates if not gate.passed],
            "estimates": [[one.accuracy, one.low, one.high] for one in found.accuracy or ()],
            "atc": float(np.mean(confidence >= np.quantile(usual.max(axis=1), 0.02))),
            "doc": float(1 - (usual.max(axis=1).mean() - confidence.mean())),
        }
        if case.group in ("corruption", "clean"):
            for title, prior in chosen.priors.items():
                fixed = network.run(rows, prior / (prior + chosen.rows))
                line[title] = float(right(with_statistics(fixed.mixed), case.measured).mean())
        return line

    measure_cases(RESULTS / f"signs_{name}{chosen.suffix}.jsonl", cases(data), figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_options(parser, sets=SETS)
    parser.add_argument("--write", type=Path, help="folder of the pages whose tables are written")
    options = parser.parse_args()
    if options.model:
        measure(options.model, read_model(options.model, options.resnet), options.data_dir, SETS[options.set])
        print(gate_table(SETS[options.set].suffix))
    if options.write:
        write_between(options.write / "recalibration.md", "recalibration_prior", prior_table())
        write_between(options.write / "recalibration.md", "recalibration_gates", gate_table())
        more = gate_table(SETS["unseen, more rows"].suffix)
        write_between(options.write / "recalibration.md", "recalibration_gates_more_rows", more)
        write_between(options.write / "accuracy.md", "accuracy", accuracy_table())


if __name__ == "__main__":
    main()
