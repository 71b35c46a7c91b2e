"""Loading, swapping and unloading, without HTTP."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from models.errors import InferenceFailed, ModelNotFound, NotReady, VersionNotFound
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.repository.rollout import Canary
from models.runtime.engine import Engine
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from tests.bundles import tiny_bundle
from tests.rollouts import promote

ROWS = {"input": np.ones((1, 4), np.float32)}


def start(bundle: Bundle) -> Engine:
    return Engine(bundle.folded, bundle.manifest.inputs)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def catalog(repository: Repository, loaded_versions: int = 2) -> Catalog:
    catalog = Catalog(repository, start, loaded_versions)
    catalog.load_all()
    return catalog


def test_an_empty_repository_is_ready_and_has_nothing(repository: Repository) -> None:
    empty = catalog(repository)

    assert empty.is_ready
    assert empty.names() == []
    with pytest.raises(ModelNotFound):
        empty.get("tiny")


def test_the_newest_versions_and_the_default_one_are_loaded(repository: Repository) -> None:
    for seed in range(5):
        repository.publish(tiny_bundle(seed=seed))
    promote(repository, "tiny", 1)
    loaded = catalog(repository)

    assert loaded.versions("tiny") == [1, 4, 5]
    assert loaded.get("tiny").version == 1
    with pytest.raises(NotReady):
        loaded.get("tiny", 2)
    with pytest.raises(VersionNotFound):
        loaded.get("tiny", 6)


def test_loading_again_keeps_what_is_loaded_and_lets_go_of_the_oldest(repository: Repository) -> None:
    repository.publish(tiny_bundle(seed=1))
    repository.publish(tiny_bundle(seed=2))
    loaded = catalog(repository)
    second = loaded.get("tiny", 2)
    repository.publish(tiny_bundle(seed=3))
    loaded.load("tiny")

    assert loaded.versions("tiny") == [2, 3]
    assert loaded.get("tiny", 2) is second


def test_a_version_that_a_request_holds_answers_after_it_was_unloaded(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    loaded = catalog(repository)
    held = loaded.get("tiny")
    before = held.engine.run(ROWS)
    loaded.unload("tiny")

    with pytest.raises(NotReady):
        loaded.get("tiny")
    np.testing.assert_array_equal(held.engine.run(ROWS)["logits"], before["logits"])


def test_a_model_of_which_nothing_loads_is_not_ready_and_says_why(repository: Repository) -> None:
    version = repository.publish(tiny_bundle())
    (repository.root / "tiny" / str(version) / "manifest.json").write_bytes(b"{}")
    broken = Catalog(repository, start)

    with pytest.raises(NotReady, match="does not match its digest"):
        broken.load("tiny")
    assert not broken.is_ready
    assert broken.index()[0].state == "UNAVAILABLE"
    with pytest.raises(NotReady):
        broken.get("tiny")


def test_one_broken_model_does_not_keep_the_others_from_starting(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    repository.publish(tiny_bundle(name="broken"))
    (repository.root / "broken" / "1" / "folded.onnx").unlink()
    loaded = Catalog(repository, start)
    loaded.load_all()

    assert loaded.names() == ["tiny"]
    assert not loaded.is_ready


def test_a_version_that_fails_later_leaves_the_good_one_answering(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    loaded = catalog(repository, loaded_versions=1)
    repository.publish(Bundle(tiny_bundle().manifest, folded=b"no graph", source=b""))

    with pytest.raises(NotReady, match="cannot load the graph"):
        loaded.load("tiny")
    assert loaded.get("tiny").version == 1
    assert loaded.is_ready


def test_the_engine_refuses_inputs_that_the_graph_does_not_take() -> None:
    engine = start(tiny_bundle())

    with pytest.raises(InferenceFailed):
        engine.run({"input": np.ones((1, 5), np.float32)})


def test_data_outside_of_the_graph_is_never_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load_from_string(tiny_bundle().folded)
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InferenceFailed):
        Engine((tmp_path / "model.onnx").read_bytes(), tiny_bundle().manifest.inputs)


def test_a_catalog_that_follows_another_serves_what_that_one_does(repository: Repository) -> None:
    for seed in range(3):
        repository.publish(tiny_bundle(seed=seed))
    repository.publish(tiny_bundle("other"))
    published: list[bytes] = []
    leader, follower = Catalog(repository, start, publish=published.append), Catalog(repository, start)
    leader.load_all()
    follower.apply_snapshot(published[-1])

    assert follower.names() == leader.names() == ["other", "tiny"]
    assert follower.versions("tiny") == leader.versions("tiny") == [2, 3]
    assert follower.get("tiny").version == leader.get("tiny").version == 3
    assert np.array_equal(answer(follower), answer(leader))

    kept = follower.get("tiny", 3)
    Rollouts(leader).promote("tiny", 2)
    Rollouts(leader).set_canary("tiny", Canary(version=3, share=1))
    leader.unload("other")
    follower.apply_snapshot(published[-1])

    assert follower.names() == ["tiny"]
    assert follower.get("tiny").version == 2
    assert follower.choose("tiny").version == 3
    assert follower.get("tiny", 3) is kept  # what is loaded is not loaded again


def test_a_follower_that_cannot_load_a_version_says_so_and_serves_the_rest(repository: Repository) -> None:
    for seed in range(2):
        repository.publish(tiny_bundle(seed=seed))
    published: list[bytes] = []
    Catalog(repository, start, publish=published.append).load_all()
    (repository.root / "tiny" / "1" / "manifest.json").write_bytes(b"")
    follower = Catalog(repository, start)

    with pytest.raises(NotReady, match="'tiny' version 1"):
        follower.apply_snapshot(published[-1])
    assert follower.get("tiny").version == 2
    with pytest.raises(NotReady, match="version 1 is not ready"):
        follower.get("tiny", 1)


def answer(catalog: Catalog) -> np.ndarray:
    return catalog.get("tiny").engine.run(ROWS)["logits"]


def test_an_engine_that_was_let_go_is_still_known_and_runs_no_more(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    checked = Catalog(repository, lambda bundle: start(bundle).release())
    checked.load_all()

    assert checked.get("tiny").engine.provider == "CPUExecutionProvider"
    with pytest.raises(InferenceFailed):
        checked.get("tiny").engine.run(ROWS)
