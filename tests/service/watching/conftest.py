import pytest

from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.watching.observed_model import ObservedModel
from tests.service.watching.doubles import Clock, open_observed_model
from tests.watching import watched_bundle


@pytest.fixture(scope="session")
def served() -> ServedVersion:
    bundle = watched_bundle()
    return ServedVersion("tiny", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))


@pytest.fixture(scope="session")
def observed_model(served: ServedVersion) -> ObservedModel:
    return open_observed_model(served)


@pytest.fixture
def clock() -> Clock:
    return Clock()
