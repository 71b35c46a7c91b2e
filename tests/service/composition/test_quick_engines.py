"""Which graphs are opened quickly while the service starts, and that all of them are optimised."""

from pathlib import Path

import pytest
import structlog

from models import starter
from models.errors import GraphError
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.quick_engine import QuickEngine
from models.stored_graph import size_of
from service.composition import quick_engines, shared_weights
from service.composition.engines import engine_opener
from service.composition.quick_engines import QuickEngines
from service.inference.limits import Limits
from service.settings import Settings

SETTINGS = Settings(threads=1)


def read(model: str) -> Bundle:
    return Repository(Path(starter.__file__).parent).read(model, 1)


@pytest.fixture
def convnet(monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A network that counts as a large one."""
    monkeypatch.setattr(shared_weights, "MIN_BYTES", 0)
    return read("convnet")


def test_a_large_network_is_opened_quickly_and_then_optimised(convnet: Bundle) -> None:
    quick = QuickEngines(SETTINGS)
    engine = engine_opener(SETTINGS, Limits(), quick)(convnet)
    assert isinstance(engine, QuickEngine)
    assert not engine.is_row_wise

    quick.optimize()

    assert engine.is_row_wise


def test_after_the_start_it_is_opened_as_usual(convnet: Bundle) -> None:
    quick = QuickEngines(SETTINGS)
    quick.optimize()

    engine = engine_opener(SETTINGS, Limits(), quick)(convnet)

    assert not isinstance(engine, QuickEngine)
    assert engine.is_row_wise


def test_so_is_a_small_network() -> None:
    assert not isinstance(engine_opener(SETTINGS, Limits(), QuickEngines(SETTINGS))(read("convnet")), QuickEngine)


@pytest.mark.usefixtures("convnet")
def test_so_is_one_without_convolutions() -> None:
    bundle = read("mlp")
    assert QuickEngines(SETTINGS).open(bundle.folded, bundle.manifest) is None


@pytest.mark.parametrize("changes", [{"provider": "cuda"}, {"precision": "float16"}])
def test_so_is_one_for_a_gpu_or_in_less_than_float32(convnet: Bundle, changes: dict[str, str]) -> None:
    settings = SETTINGS.model_copy(update=changes)
    assert QuickEngines(settings).open(convnet.folded, convnet.manifest) is None


def test_the_weights_that_are_kept_until_then_are_bounded(convnet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_engines, "MAX_BYTES", 2 * size_of(convnet.folded) + 1)
    quick = QuickEngines(SETTINGS)

    opened = [quick.open(convnet.folded, convnet.manifest) for _ in range(3)]

    assert [engine is not None for engine in opened] == [True, True, False]


def test_one_that_cannot_be_optimised_is_served_as_it_is(convnet: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = QuickEngines(SETTINGS)
    broken, other = (quick.open(convnet.folded, convnet.manifest) for _ in range(2))
    assert broken is not None
    assert other is not None

    def fail() -> None:
        raise GraphError("no memory")

    monkeypatch.setattr(broken, "optimize", fail)
    with structlog.testing.capture_logs() as logs:
        quick.optimize()

    assert [line["event"] for line in logs] == ["graph_not_optimized"]
    assert other.is_row_wise
