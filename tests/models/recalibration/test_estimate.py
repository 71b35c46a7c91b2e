"""From rows to a checked candidate, on the starter model where all classes are known, and on small ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from models import starter
from models.datatypes import Arrays
from models.drift.detector import Detector
from models.errors import InvalidInput, ParityError, VersionRefused
from models.graph.find import find
from models.graph.load import parse
from models.manifest import Gate, Manifest, Parent
from models.moments.window import WindowMoments
from models.observation import ObservationReader
from models.parity import rounding
from models.recalibration import gates
from models.recalibration.candidate import Candidate
from models.recalibration.estimate import recalibrate
from models.recalibration.rows import LabelledRows
from models.repository import bundle as bundles
from models.repository import held_out
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load
from models.version import PROGRAM
from tests.bundles import INPUT, OUTPUT, tiny_bundle


def rows(count: int, shift: float = 0.0, seed: int = 1) -> Arrays:
    return {INPUT: (shift + np.random.default_rng(seed).normal(size=(count, 4))).astype(np.float32)}


def adapted(parent: Bundle, given: Arrays, prior: float = 0.0, labelled: LabelledRows | None = None) -> Candidate:
    return recalibrate(parent, 3, given, prior=prior, labelled=labelled)


@pytest.fixture(scope="module")
def parent() -> Bundle:
    """A bundle whose statistics are those of standard normal rows, with held-out rows."""
    raw = tiny_bundle()
    settled = adapted(raw, rows(400, seed=5)).bundle
    manifest = settled.manifest.model_copy(update={"lineage": raw.manifest.lineage})  # as if it was trained so
    return replace(settled, manifest=manifest, held_out=held_out.pack(rows(256, seed=6)))


def test_the_new_statistics_are_those_of_the_rows(parent: Bundle) -> None:
    given = rows(300, shift=2.0)

    candidate = adapted(parent, given)

    (old,), (new,) = find(parse(parent.source)), find(parse(candidate.bundle.source))
    weight, bias = (_initializer(parent, name).astype(np.float64) for name in ("fc.weight", "fc.bias"))
    x = given[INPUT] @ weight.T + bias
    np.testing.assert_allclose(new.mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(new.var, x.var(axis=0), rtol=1e-5)
    assert np.abs(new.mean - old.mean).max() > 0.5
    np.testing.assert_array_equal(new.gamma, old.gamma)
    (layer,) = candidate.bundle.manifest.norm_layers
    np.testing.assert_allclose(layer.running_mean, new.mean, rtol=1e-7)
    np.testing.assert_allclose(layer.running_var, new.var, rtol=1e-7)


def test_the_new_version_does_on_the_moved_rows_what_the_parent_did_before(parent: Bundle) -> None:
    moved = adapted(parent, rows(400, shift=2.0, seed=5)).bundle

    def answer(version: Bundle, shift: float) -> np.ndarray:
        return load(version.folded, optimize=True)(rows(50, shift=shift, seed=9))[OUTPUT]

    np.testing.assert_allclose(answer(moved, 2.0), answer(parent, 0.0), atol=1e-4)
    assert np.abs(answer(parent, 2.0) - answer(parent, 0.0)).max() > 0.5


def test_a_prior_keeps_as_much_of_the_old(parent: Bundle) -> None:
    given = rows(64, shift=2.0)
    (old,), (new,), (half,) = (
        find(parse(version.source))
        for version in (parent, adapted(parent, given).bundle, adapted(parent, given, prior=64).bundle)
    )

    np.testing.assert_allclose(half.mean, (old.mean + new.mean) / 2, rtol=1e-5)
    np.testing.assert_allclose(half.var, (old.var + new.var) / 2, rtol=1e-5)


def test_the_manifest_says_where_it_came_from_and_what_it_passed(parent: Bundle, tmp_path: Path) -> None:
    candidate = adapted(parent, rows(100, shift=1.0), prior=16)
    bundles.write(tmp_path, bundles.pack(candidate.bundle))

    found = bundles.read(tmp_path)

    lineage = found.manifest.lineage
    assert (lineage.origin, lineage.parent) == ("recalibrated", Parent(model="tiny", version=3))
    assert lineage.created_by == PROGRAM
    assert lineage.recalibration is not None
    assert (lineage.recalibration.rows, lineage.recalibration.prior) == (100, 16)
    assert lineage.recalibration.gates == candidate.gates
    assert not lineage.recalibration.forced
    assert found.manifest.training is None
    assert found.observed is not None
    assert found.manifest.drift is not None
    assert found.manifest.drift.rows == 100
    assert found.held_out == parent.held_out
    assert found.manifest.parity.comparisons[0].max_relative < 1e-5
    assert Manifest.model_validate_json(found.manifest.model_dump_json()) == found.manifest


def test_the_new_version_is_watched_for_leaving_the_rows_that_it_was_made_from(parent: Bundle) -> None:
    watched = adapted(parent, rows(1000, shift=2.0)).bundle
    manifest = watched.manifest
    assert watched.observed is not None
    run = load(watched.observed, optimize=True)

    def verdict(shift: float) -> str:
        outputs = run(rows(256, shift=shift, seed=11))
        seen = ObservationReader(manifest.norm_layers, outputs).read(outputs)
        counts = np.bincount(outputs[OUTPUT].argmax(axis=1), minlength=outputs[OUTPUT].shape[1])
        return (
            Detector(manifest.drift)
            .assess({name: WindowMoments.of(found) for name, found in seen.items()}, counts)
            .verdict
        )

    assert verdict(2.0) == "quiet"
    assert verdict(0.0) == "covariate_shift"


def test_all_gates_are_there_and_rows_of_one_kind_are_refused(parent: Bundle) -> None:
    same = {INPUT: np.repeat(rows(1)[INPUT], 200, axis=0) + rows(200)[INPUT] / 1000}

    candidate = adapted(parent, same, prior=100)

    assert [gate.name for gate in candidate.gates] == [
        "rows",
        "drift",
        "mixture",
        "growth",
        "diversity",
        "information",
        "gain",
        "estimated_gain",
        "label_shift",
        "confident_agreement",
        "agreement",
    ]
    assert "diversity" in [gate.name for gate in candidate.failed_gates]
    with pytest.raises(VersionRefused, match=r"diversity \S+ is below 0.75"):
        candidate.publishable()
    forced = candidate.publishable(force=True).manifest.lineage.recalibration
    assert forced is not None
    assert forced.forced
    assert forced.gates == candidate.gates


@pytest.fixture(scope="module", params=["mlp", "convnet"])
def digits(request: pytest.FixtureRequest) -> tuple[Bundle, np.ndarray, np.ndarray]:
    """A starter model with half of its held-out rows, the other half, and the classes that it takes these for."""
    starters = Repository(Path(starter.__file__).parent)
    found = starters.read(request.param, starters.default_version(request.param))
    assert found.held_out is not None
    images = held_out.unpack(found.held_out, found.manifest.inputs)["input"]
    found = replace(found, held_out=held_out.pack({"input": images[::2]}))
    scores = load(found.folded, optimize=True)({"input": images[1::2]})["logits"]
    return found, images[1::2], scores.argmax(axis=1)


@pytest.mark.parametrize("classes", [(0,), (1,), (4,), (8,), (0, 1), (3, 5), (4, 9)])
def test_a_mix_of_few_classes_is_refused_at_the_default_settings(
    digits: tuple[Bundle, np.ndarray, np.ndarray], classes: tuple[int, ...]
) -> None:
    found, images, predicted = digits
    few = np.resize(images[np.isin(predicted, classes)], (256, *images.shape[1:]))
    noise = 0.02 * np.random.default_rng(0).normal(size=few.shape)

    candidate = recalibrate(found, 1, {"input": few + noise.astype(np.float32)}, with_accuracy=False)

    assert {gate.name for gate in candidate.failed_gates} & {"diversity", "information", "label_shift"}


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_rows_of_all_classes_pass_whether_they_have_moved_or_not(
    digits: tuple[Bundle, np.ndarray, np.ndarray], shift: float
) -> None:
    found, images, predicted = digits

    def right(version: Bundle) -> float:
        scores = load(version.folded, optimize=True)({"input": images + np.float32(shift)})["logits"]
        return float(np.mean(scores.argmax(axis=1) == predicted))

    candidate = recalibrate(found, 1, {"input": images + np.float32(shift)}, with_accuracy=False)

    assert candidate.failed_gates == ()
    assert right(candidate.bundle) > 0.95
    assert shift == 0 or right(found) < 0.8


def test_few_rows_are_estimated_from_but_refused(parent: Bundle) -> None:
    assert [gate.name for gate in adapted(parent, rows(63)).failed_gates if gate.name == "rows"] == ["rows"]


def test_labelled_rows_decide_as_well(parent: Bundle) -> None:
    given = rows(200, shift=2.0)
    old = load(parent.folded, optimize=True)(given)[OUTPUT].argmax(axis=1)
    new = load(adapted(parent, given).bundle.folded, optimize=True)(given)[OUTPUT].argmax(axis=1)
    assert np.mean(old == new) < 0.9

    good = adapted(parent, given, labelled=LabelledRows(given, new)).gates[-1]
    bad = adapted(parent, given, labelled=LabelledRows(given, old)).gates[-1]

    assert (good.name, good.figure, good.passed) == ("accuracy", 1.0, True)
    assert (bad.figure, bad.passed) == (np.mean(old == new), False)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-12])
def test_parity_is_asked_for_as_it_was_of_the_parent(parent: Bundle, tolerance: float) -> None:
    asked = parent.manifest.parity.model_copy(update={"tolerance": tolerance, "rounding": None})
    parent = replace(parent, manifest=parent.manifest.model_copy(update={"parity": asked}))

    if tolerance < 1e-9:
        with pytest.raises(ParityError):
            adapted(parent, rows(64))
    else:
        assert adapted(parent, rows(64)).bundle.manifest.parity.tolerance == tolerance


def test_steps_are_told_in_order(parent: Bundle) -> None:
    steps: list[str] = []

    recalibrate(parent, 1, rows(64), on_step=steps.append)

    assert steps == ["estimating", "folding", "checking"]


@pytest.mark.parametrize("prior", [-1.0, np.inf, np.nan])
def test_a_prior_is_a_number_of_rows(parent: Bundle, prior: float) -> None:
    with pytest.raises(InvalidInput, match=r"prior: got .*, expected a number of rows"):
        adapted(parent, rows(64), prior=prior)


@pytest.mark.parametrize("count", [1, 5000])
def test_too_few_or_too_many_rows_are_refused(parent: Bundle, count: int) -> None:
    with pytest.raises(InvalidInput, match="rows: got"):
        adapted(parent, rows(count))


def test_labels_that_are_no_classes_are_refused(parent: Bundle) -> None:
    with pytest.raises(InvalidInput, match="labels: "):
        adapted(parent, rows(64), labelled=LabelledRows(rows(64), np.full(64, 2)))


def test_a_candidate_that_passes_is_published_as_it_is(parent: Bundle) -> None:
    candidate = adapted(parent, rows(200, shift=0.3))

    assert candidate.failed_gates == ()
    assert candidate.publishable() is candidate.bundle


def _initializer(bundle: Bundle, name: str) -> np.ndarray:
    return next(
        numpy_helper.to_array(tensor) for tensor in parse(bundle.source).graph.initializer if tensor.name == name
    )


def test_the_accuracy_before_and_after_is_estimated_where_held_out_rows_are_kept() -> None:
    found = Repository(Path(starter.__file__).parent).read("mlp", 1)
    assert found.held_out is not None
    images = held_out.unpack(found.held_out, found.manifest.inputs)["input"]

    candidate = recalibrate(found, 1, {"input": images + np.float32(0.3)})

    before, after = candidate.estimated_accuracy
    record = candidate.bundle.manifest.lineage.recalibration
    assert record is not None
    assert before is not None
    assert after is not None
    assert (record.accuracy_before, record.accuracy_after) == (before, after)
    assert before.high < 0.6 < after.low
    assert recalibrate(replace(found, held_out=None), 1, {"input": images}).estimated_accuracy == (None, None)


@pytest.mark.parametrize("kind", ["half brighter", "one image repeated"])
def test_rows_of_which_a_part_has_moved_are_refused_as_a_mixture(kind: str) -> None:
    found = Repository(Path(starter.__file__).parent).read("mlp", 1)
    assert found.held_out is not None
    images = held_out.unpack(found.held_out, found.manifest.inputs)["input"][:128].copy()
    if kind == "half brighter":
        images[::2] += np.float32(0.5)
    else:
        images[:40] = np.random.default_rng(0).random(784) > 0.5

    candidate = recalibrate(found, 1, {"input": images}, with_accuracy=False)

    assert "mixture" in [gate.name for gate in candidate.failed_gates]
    advice = r"mixture 0\.\d+ is below 0\.\d+ \(only_moved estimates from the rows that have moved alone\)"
    with pytest.raises(VersionRefused, match=advice):
        candidate.publishable()


def test_what_helps_is_named_only_where_it_can(parent: Bundle) -> None:
    """Not again after it was asked for, nor where the version keeps no rows that others are told from."""
    given, _ = mixed_rows()
    gate = gates.mixture(0.4, remaining=0.4, moved=0.3, count=256)
    of_all, of_part = (adapted(parent, given), recalibrate(parent, 3, given, prior=0.0, only_moved=True))

    def reason(candidate: Candidate, gate: Gate) -> str:
        with pytest.raises(VersionRefused) as refused:
            Candidate.of(candidate.bundle, (gate,)).publishable()
        return str(refused.value)

    assert "only_moved" in reason(of_all, gate)
    assert "only_moved" not in reason(of_part, gate)
    assert "only_moved" not in reason(of_all, gates.mixture(0.4, remaining=0.1, moved=None, count=256))


def test_statistics_of_rows_without_contrast_are_folded_within_their_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folded layer subtracts two large numbers: what is left of their rounding is more than that of the inputs."""
    found = starter.read("convnet")
    assert found.held_out is not None
    images = held_out.unpack(found.held_out, found.manifest.inputs)["input"]
    pale = {"input": (0.5 + 0.08 * (images - 0.5)).astype(np.float32)}

    recalibrate(found, 1, pale, with_accuracy=False)

    monkeypatch.setattr(rounding, "moment_tolerance", lambda bound, _: bound)
    monkeypatch.setattr(rounding, "LARGEST_OF_SUMS", 0.0)  # which would hide it: sums of a channel's positions
    with pytest.raises(ParityError, match=r"moments of blocks\.0\.norm"):
        recalibrate(found, 1, pale, with_accuracy=False)


def mixed_rows(distance: float = 6.0) -> tuple[Arrays, np.ndarray]:
    """Rows of which every third has moved, and which these are."""
    given, has_moved = rows(300), np.arange(300) % 3 == 0
    given[INPUT][has_moved] += distance
    return given, has_moved


def test_a_version_is_estimated_from_the_rows_that_have_moved_alone(parent: Bundle) -> None:
    given, has_moved = mixed_rows()

    found = recalibrate(parent, 3, given, prior=0.0, only_moved=True)
    alone = adapted(parent, {INPUT: given[INPUT][has_moved]})

    (new,), (expected,), (of_all,) = (
        find(parse(each.bundle.source)) for each in (found, alone, adapted(parent, given))
    )
    np.testing.assert_array_equal(new.mean, expected.mean)
    np.testing.assert_array_equal(new.var, expected.var)
    assert np.abs(new.var - of_all.var).max() > 1, "the rows that have not moved would change it"
    record = found.bundle.manifest.lineage.recalibration
    assert record is not None
    assert (record.rows, record.moved_of) == (100, 300)
    assert alone.predicted is not None
    old, new_classes = alone.predicted
    assert set(found.rows_to_label()) <= set(3 * np.flatnonzero(old != new_classes))
    assert len(found.rows_to_label()) == len(alone.rows_to_label()) > 0
    assert found.gates == alone.gates


def test_of_labelled_rows_those_that_have_moved_decide(parent: Bundle) -> None:
    given, has_moved = mixed_rows()
    labels = np.zeros(300, np.int64)

    def figure(labelled: LabelledRows, **options: bool) -> float:
        candidate = recalibrate(parent, 3, given, prior=0.0, labelled=labelled, **options)  # type: ignore[arg-type]
        return next(gate.figure for gate in candidate.gates if gate.name == "accuracy")

    moved = LabelledRows({INPUT: given[INPUT][has_moved]}, labels[has_moved])
    assert figure(LabelledRows(given, labels), only_moved=True) == figure(moved, only_moved=True)
    others = LabelledRows({INPUT: given[INPUT][~has_moved]}, labels[~has_moved])
    candidate = recalibrate(parent, 3, given, prior=0.0, labelled=others, only_moved=True)
    assert "accuracy" not in {gate.name for gate in candidate.gates}


def test_rows_that_cannot_be_told_apart_are_refused(parent: Bundle) -> None:
    with pytest.raises(InvalidInput, match=r"only_moved: the rows that have moved cannot be told from the others"):
        recalibrate(parent, 3, mixed_rows(1.0)[0], only_moved=True)
    with pytest.raises(InvalidInput, match=r"only_moved: the version keeps no held-out rows"):
        recalibrate(replace(parent, held_out=None), 3, mixed_rows()[0], only_moved=True)
    few = rows(300)
    few[INPUT][:4] += 50.0
    with pytest.raises(InvalidInput, match=r"only_moved: the rows that have moved cannot be told from the others"):
        recalibrate(parent, 3, few, only_moved=True)
