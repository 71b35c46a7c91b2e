"""Which gates apply to which model: `models.recalibration.evaluation`."""

from dataclasses import dataclass, replace
from inspect import isfunction, signature
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from models import starter
from models.datatypes import Arrays
from models.graph.adapt import restate
from models.graph.load import parse, serialize
from models.manifest import AccuracyEstimate, Gate
from models.recalibration import evaluation, gates
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.evaluation import Estimation, evaluate
from models.recalibration.joined_rows import join_halves
from models.recalibration.one_class import each_class
from models.recalibration.rows import NO_CLASS, LabelledRows
from models.repository import held_out
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load
from tests.bundles import INPUT, OUTPUT, tiny_bundle

EVERY_MODEL = ["rows", "drift", "mixture", "growth"]
CLASSIFIER = ["diversity", "information", "gain"]
HELD_OUT = ["label_shift", "confident_agreement", "agreement"]
IN_ORDER, ESTIMATED = "trend", "estimated_gain"
REFERENCE = ["false_alarms"]
"""Of a reference: see test_references.py."""


def rows(count: int, seed: int) -> Arrays:
    return {INPUT: np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)}


@pytest.fixture(scope="module")
def parent() -> Bundle:
    """A bundle with held-out rows."""
    return replace(tiny_bundle(), held_out=held_out.pack(rows(64, seed=1)))


@pytest.fixture(scope="module")
def estimation(parent: Bundle) -> Estimation:
    network = AdaptiveNetwork(parse(parent.source))
    given = rows(100, seed=2)
    return Estimation(given, network, network.run(given, 1.0), network.run(given, 0.0))


def names(parent: Bundle, estimation: Estimation, labelled: LabelledRows | None = None) -> list[str]:
    return [gate.name for gate in evaluate(parent, parent, estimation, labelled).gates]


def test_a_classifier_with_held_out_rows_goes_through_all_gates_that_need_no_labels(
    parent: Bundle, estimation: Estimation
) -> None:
    assert names(parent, estimation) == [*EVERY_MODEL, *CLASSIFIER, *HELD_OUT]


def test_without_held_out_rows_there_is_no_label_shift_and_no_agreement(parent: Bundle, estimation: Estimation) -> None:
    assert names(replace(parent, held_out=None), estimation) == [*EVERY_MODEL, *CLASSIFIER]


def test_a_regressor_has_no_gates_about_classes(parent: Bundle, estimation: Estimation) -> None:
    (output,) = parent.manifest.outputs
    outputs = (output.model_copy(update={"shape": (-1, 1)}),)
    regressor = replace(parent, manifest=parent.manifest.model_copy(update={"outputs": outputs}))

    assert names(regressor, estimation) == EVERY_MODEL


def test_rows_that_move_in_their_order_are_refused(parent: Bundle, estimation: Estimation) -> None:
    moving = rows(100, seed=2)[INPUT] + np.linspace(0, 4, 100, dtype=np.float32)[:, None]

    def trend(given: np.ndarray) -> Gate:
        network = estimation.network
        passes = network.run({INPUT: given}, 1.0), network.run({INPUT: given}, 0.0)
        found = evaluate(parent, parent, Estimation({INPUT: given}, network, *passes, is_in_order=True)).gates
        return next(gate for gate in found if gate.name == IN_ORDER)

    assert not trend(moving).passed
    assert trend(moving[np.random.default_rng(0).permutation(100)]).passed
    assert IN_ORDER not in names(parent, estimation)


@dataclass(frozen=True)
class Starter:
    """The starter `mlp`, with what its gates need."""

    bundle: Bundle
    kept: Arrays
    network: AdaptiveNetwork
    estimator: AccuracyEstimator

    def evaluate(self, images: np.ndarray) -> tuple[dict[str, Gate], tuple[AccuracyEstimate, AccuracyEstimate]]:
        """The gates by name of the version from these images of 28 x 28, and the estimates of both versions."""
        given = {"input": images.reshape(-1, 784)}
        before, after = self.network.run(given, 1.0), self.network.run(given)
        estimation = Estimation(given, self.network, before, after)
        version = replace(self.bundle, folded=serialize(restate(parse(self.bundle.source), after.mixed)))
        result = evaluate(self.bundle, version, estimation, estimator=self.estimator)
        assert result.accuracy is not None
        return {gate.name: gate for gate in result.gates}, result.accuracy


@pytest.fixture(scope="module")
def mlp() -> Starter:
    found = Repository(Path(starter.__file__).parent).read("mlp", 1)
    assert found.held_out is not None
    kept = held_out.unpack(found.held_out, found.manifest.inputs)
    network = AdaptiveNetwork(parse(found.source))
    estimator = AccuracyEstimator.calibrate(found.manifest, network, kept)
    assert estimator is not None
    return Starter(found, kept, network, estimator)


def failed(found: dict[str, Gate]) -> set[str]:
    return {name for name, gate in found.items() if not gate.passed}


def test_an_estimate_of_the_accuracy_adds_a_gate(mlp: Starter) -> None:
    brighter, accuracy = mlp.evaluate(mlp.kept["input"] + np.float32(0.3))
    assert brighter[ESTIMATED].figure == pytest.approx(accuracy[1].accuracy - accuracy[0].accuracy)
    assert brighter[ESTIMATED].passed
    # Letters look so: parts of digits, in combinations of no digit.
    joined = join_halves({"input": mlp.kept["input"].reshape(-1, 28, 28)}, np.arange(len(mlp.kept["input"])))
    assert joined is not None
    swapped, _ = mlp.evaluate(joined["input"].transpose(0, 2, 1))
    assert {"information", ESTIMATED} & failed(swapped)


def test_rows_of_one_class_of_another_source_are_refused(mlp: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = load_digits(return_X_y=True)
    enlarged = np.kron(pixels.reshape(-1, 8, 8) / 16, np.ones((2, 2)))
    images = np.pad(enlarged, ((0, 0), (6, 6), (6, 6))).astype(np.float32)

    def refused_by(chosen: np.ndarray) -> set[str]:
        return failed(mlp.evaluate(images[chosen])[0])

    of_one = [np.flatnonzero(labels == one)[:150] for one in range(10)]
    assert all("information" in refused_by(chosen) for chosen in of_one)
    assert refused_by(np.arange(256)) == set()
    # Undisturbed rows of one class would be too little to compare them with.
    monkeypatch.setattr(evaluation, "each_class_shifted", each_class)
    assert refused_by(of_one[6]) == set()


def test_labelled_rows_add_the_accuracy(parent: Bundle, estimation: Estimation) -> None:
    given = rows(50, seed=3)
    predicted = load(parent.folded, optimize=True)(given)[OUTPUT].argmax(axis=1)
    labels = predicted.copy()
    labels[:5] = 1 - labels[:5]

    *others, accuracy = evaluate(parent, parent, estimation, LabelledRows(given, labels)).gates

    assert [gate.name for gate in others] == [*EVERY_MODEL, *CLASSIFIER, *HELD_OUT]
    assert (accuracy.name, accuracy.figure) == ("accuracy", pytest.approx(0.9))


def test_a_gain_on_labelled_rows_outvotes_what_is_guessed_without_labels(
    parent: Bundle, estimation: Estimation
) -> None:
    given = rows(50, seed=3)
    worse = replace(parent, folded=tiny_bundle(seed=1).folded)
    wrong, right = (load(bundle.folded, optimize=True)(given)[OUTPUT].argmax(axis=1) for bundle in (parent, worse))
    assert np.mean(wrong != right) > 0.2

    def outvoted(labels: np.ndarray) -> set[str]:
        found = evaluate(parent, worse, lost, LabelledRows(given, labels)).gates
        assert {gate.name for gate in found if not gate.passed} > {"information"}
        return {gate.name for gate in found if gate.outvoted}

    # The passes say that the new version predicts the same for every row.
    constant = replace(estimation.after, outputs={OUTPUT: np.zeros_like(estimation.after.outputs[OUTPUT])})
    lost = replace(estimation, after=constant)
    assert {"diversity", "information", "gain"} <= outvoted(right)
    assert outvoted(right) <= gates.OUTVOTED
    assert not outvoted(wrong)
    # One row that only the new version has right is no gain yet, two are; no version has what is of no class right.
    first, second = np.flatnonzero(wrong != right)[:2]
    none = np.full_like(right, NO_CLASS)
    assert not outvoted(none)
    none[first] = right[first]
    assert not outvoted(none)
    none[second] = right[second]
    assert outvoted(none)


def test_the_predictions_of_both_versions_on_the_rows_are_known(parent: Bundle, estimation: Estimation) -> None:
    other = tiny_bundle(seed=1)
    answered = load(other.folded, optimize=True)(estimation.rows)[OUTPUT].argmax(axis=1)
    before, after = (found.outputs[OUTPUT].argmax(axis=1) for found in (estimation.before, estimation.after))
    assert np.any(answered != before)

    for served, expected in ((None, before), (other, answered)):
        predicted = evaluate(parent, parent, estimation, served=served).predicted
        assert predicted is not None
        np.testing.assert_array_equal(predicted, (expected, after))


def test_every_gate_applies_to_some_model() -> None:
    functions = {name for name, value in vars(gates).items() if isfunction(value) and not name.startswith("_")}
    found = {name for name in functions if signature(getattr(gates, name)).return_annotation is Gate}

    assert found == {*EVERY_MODEL, *CLASSIFIER, *HELD_OUT, IN_ORDER, ESTIMATED, "accuracy", *REFERENCE}
