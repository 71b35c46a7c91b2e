"""An observed model is opened once, and lives as long as its version."""

import gc
import weakref

from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.watching.observed_model import ObservedModel
from service.watching.observed_models import ObservedModels
from tests.service.watching.doubles import open_observed_model
from tests.watching import watched_bundle


def test_an_observed_model_leaves_the_memory_with_its_version() -> None:
    bundle = watched_bundle()
    served = ServedVersion("tiny", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))
    observed_models = ObservedModels(open_observed_model)
    observed_model = weakref.ref(observed_models.of(served))
    assert observed_models.of(served) is observed_model()

    del served
    gc.collect()
    assert observed_model() is None


def test_a_bundle_that_cannot_be_read_is_read_once(served: ServedVersion) -> None:
    opened = []

    def fail(_served: ServedVersion) -> ObservedModel:
        opened.append(1)
        raise FileNotFoundError("pruned meanwhile")

    observed_models = ObservedModels(fail)
    assert [observed_models.of(served) for _ in range(2)] == [None, None]
    assert opened == [1]


def test_a_version_without_an_observed_graph_is_opened_once(served: ServedVersion) -> None:
    opened = []
    observed_models = ObservedModels(lambda _served: opened.append(1))

    assert [observed_models.of(served) for _ in range(3)] == [None, None, None]
    assert opened == [1]


def test_a_version_without_a_reference_cannot_score(served: ServedVersion) -> None:
    uncalibrated = ServedVersion("tiny", 1, served.manifest.model_copy(update={"drift": None}), served.engine)
    observed_models = ObservedModels(open_observed_model)

    assert observed_models.scorer(uncalibrated) is None
    assert observed_models.scorer(served) is observed_models.of(served)
