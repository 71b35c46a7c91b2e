"""Engines, opened from bundles."""

from pathlib import Path

import numpy as np
import pytest
import structlog

from models.errors import GraphError, InvalidInput
from models.parity.changes import AnswerChanges
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.stored_graph import SerializedGraph
from service.composition.engines import engine_opener
from service.composition.observed_engines import first_layers_opener, observed_model_opener, twin_opener
from service.inference.limits import Limits
from service.settings import Settings
from service.watching.twins.twin_making import TwinMaker
from service.watching.twins.twin_messages import MadeTwin
from tests.bundles import INPUT, echo_bundle, tiny_bundle
from tests.recalibrating import recalibrated
from tests.service.catalogs import loaded
from tests.watching import watched_bundle

SETTINGS = Settings(threads=1)


def test_an_engine_runs_the_folded_graph_of_its_bundle() -> None:
    engine = engine_opener(SETTINGS, Limits())(echo_bundle("FP32"))
    row = np.float32([[1, -2]])

    (answer,) = engine.run({INPUT: row}).values()

    assert np.array_equal(answer, row)


ROUNDED = SETTINGS.model_copy(update={"precision": "float16"})


def test_less_than_float32_is_computed_with_where_the_answers_stay() -> None:
    bundle, row = tiny_bundle(), np.float32([[1, -2, 0.5, 3]])

    exact, rounded = (engine_opener(settings, Limits())(bundle) for settings in (SETTINGS, ROUNDED))

    assert (exact.precision, rounded.precision) == ("float32", "float16")
    (expected,), (answer,) = exact.run({INPUT: row}).values(), rounded.run({INPUT: row}).values()
    np.testing.assert_allclose(answer, expected, atol=1e-2)
    assert not np.allclose(answer, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("reason", ["'logits' by", "no converter", "rows are refused"])
def test_where_they_change_or_it_cannot_be_converted_it_is_served_in_float32(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_half(_graph: SerializedGraph) -> SerializedGraph:
        if reason == "no converter":
            raise GraphError(reason)
        return tiny_bundle(seed=1).folded

    def refuse(*_: object) -> AnswerChanges:
        raise InvalidInput(reason, "inputs")

    monkeypatch.setattr("service.composition.rounded_engines.to_half", to_half)
    if reason == "rows are refused":  # a graph may refuse random ones
        monkeypatch.setattr(AnswerChanges, "between", refuse)

    with structlog.testing.capture_logs() as logs:
        engine = engine_opener(ROUNDED, Limits())(tiny_bundle())

    assert engine.precision == "float32"
    (line,) = logs
    assert (line["event"], line["model"]) == ("precision_refused", "tiny")
    assert reason in line["reason"]


def test_a_version_is_observed_where_its_bundle_has_the_graph(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(watched_bundle())
    repository.publish(echo_bundle("FP32"))
    catalog = loaded(repository)
    open_observed = observed_model_opener(SETTINGS, repository)

    observed = {served.model: open_observed(served) for served in catalog.served()}

    assert observed.pop("fp32") is None
    assert observed["tiny"] is not None
    statistics = observed["tiny"].observe({INPUT: np.zeros((1, 4), np.float32)}).layers
    assert statistics


class Asked(TwinMaker):
    """Makes no twin, and remembers of which bundles one was wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.bundles: list[Bundle] = []

    def make(self, bundle: Bundle) -> MadeTwin | None:
        self.bundles.append(bundle)
        return None


def test_the_twin_of_a_recalibrated_version_is_that_of_the_version_it_was_made_from(tmp_path: Path) -> None:
    """Held-out rows are usual for that one only."""
    repository, maker = Repository(tmp_path), Asked()
    repository.publish(tiny_bundle())
    repository.publish(recalibrated(tiny_bundle(seed=1), 1), candidate=True)
    catalog = loaded(repository)

    for version in (1, 2):
        twin_opener(SETTINGS, repository, maker)(catalog.get("tiny", version))

    assert maker.bundles == [tiny_bundle(), tiny_bundle()]


def test_the_first_layers_are_observed_as_in_the_whole_graph(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(watched_bundle())
    repository.publish(echo_bundle("FP32"))
    catalog, rows = loaded(repository), {INPUT: np.ones((3, 4), np.float32)}
    open_first, open_observed = (
        opener(SETTINGS, repository) for opener in (first_layers_opener, observed_model_opener)
    )

    first, whole = open_first(catalog.get("tiny")), open_observed(catalog.get("tiny"))

    assert open_first(catalog.get("fp32")) is None
    assert first is not None
    assert whole is not None
    (part,), (expected,) = first.observe_layers(rows).values(), whole.observe(rows).layers.values()
    np.testing.assert_allclose(part.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(part.mean_square, expected.mean_square, rtol=1e-6)
