"""Loading, replacing and unloading versions."""

import threading

import numpy as np
import pytest

from models.errors import InferenceFailed, ModelNotFound, NotReady, VersionNotFound
from models.repository.bundle import Bundle, ServedBundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from service.catalog.catalog import Catalog
from tests.bundles import tiny_bundle
from tests.rollouts import promote
from tests.service.catalogs import loaded, start

ROWS = {"input": np.ones((1, 4), np.float32)}


def test_an_empty_repository_is_ready_and_has_nothing(repository: Repository) -> None:
    empty = loaded(repository)

    assert empty.is_ready
    assert empty.names() == []
    with pytest.raises(ModelNotFound):
        empty.get("tiny")


def test_with_several_cores_several_models_are_loaded_at_a_time(repository: Repository) -> None:
    for name in ("first", "second"):
        repository.publish(tiny_bundle(name))
    together = threading.Barrier(2)

    def open_together(bundle: ServedBundle) -> Engine:
        together.wait(60)
        return start(bundle)

    catalog = Catalog(repository, open_together, cores=2)
    catalog.load_all()

    assert catalog.names() == ["first", "second"]


def test_the_newest_versions_and_the_default_one_are_loaded(repository: Repository) -> None:
    for seed in range(5):
        repository.publish(tiny_bundle(seed=seed))
    promote(repository, "tiny", 1)
    catalog = loaded(repository)

    assert catalog.versions("tiny") == [1, 4, 5]
    assert catalog.get("tiny").version == 1
    with pytest.raises(NotReady):
        catalog.get("tiny", 2)
    with pytest.raises(VersionNotFound):
        catalog.get("tiny", 6)
    assert catalog.find("tiny", 1) is catalog.get("tiny", 1)
    assert [catalog.find("tiny", 2), catalog.find("tiny", 6), catalog.find("other", 1)] == [None] * 3


def test_loading_again_keeps_what_is_loaded_and_drops_the_oldest(repository: Repository) -> None:
    repository.publish(tiny_bundle(seed=1))
    repository.publish(tiny_bundle(seed=2))
    catalog = loaded(repository)
    second = catalog.get("tiny", 2)
    repository.publish(tiny_bundle(seed=3))
    catalog.load("tiny")

    assert catalog.versions("tiny") == [2, 3]
    assert catalog.get("tiny", 2) is second


def test_a_version_that_a_request_holds_answers_after_it_was_unloaded(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    catalog = loaded(repository)
    held = catalog.get("tiny")
    before = held.engine.run(ROWS)
    catalog.unload("tiny")

    with pytest.raises(NotReady):
        catalog.get("tiny")
    np.testing.assert_array_equal(held.engine.run(ROWS)["logits"], before["logits"])


def test_a_model_of_which_nothing_loads_is_not_ready_and_says_why(repository: Repository) -> None:
    version = repository.publish(tiny_bundle())
    (repository.root / "tiny" / str(version) / "manifest.json").write_bytes(b"{}")
    broken = loaded(repository)

    assert not broken.is_ready
    with pytest.raises(NotReady, match="does not match its digest"):
        broken.load("tiny")
    assert not broken.is_ready
    assert broken.index()[0].state == "UNAVAILABLE"
    with pytest.raises(NotReady, match="does not match its digest"):
        broken.get("tiny")


def test_a_refused_load_of_a_model_that_was_not_served_leaves_the_service_ready(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    catalog = loaded(repository)
    repository.publish(tiny_bundle("broken"))
    (repository.root / "broken" / "1" / "folded.onnx").unlink()

    with pytest.raises(NotReady, match=r"failed to load 'broken', version 1: .*folded.onnx is missing"):
        catalog.load("broken")
    assert catalog.is_ready


def test_a_load_is_all_or_nothing(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    catalog = loaded(repository)
    repository.publish(tiny_bundle(seed=1))
    repository.publish(Bundle(tiny_bundle().manifest, folded=b"no graph", source=b""))

    with pytest.raises(NotReady, match="version 3: onnxruntime cannot load the graph"):
        catalog.load("tiny")
    assert catalog.versions("tiny") == [1]
    assert [(entry.version, entry.state) for entry in catalog.index()] == [
        ("1", "READY"),
        ("2", "UNAVAILABLE"),
        ("3", "UNAVAILABLE"),
    ]


def test_what_has_failed_is_not_tried_again_by_other_changes(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    repository.publish(tiny_bundle(seed=1))
    (repository.root / "tiny" / "2" / "folded.onnx").unlink()
    started: list[Bundle] = []
    catalog = Catalog(repository, lambda bundle: started.append(bundle) or start(bundle))  # type: ignore[func-returns-value]
    catalog.load_all()
    repository.publish(tiny_bundle(seed=2))
    catalog.refresh("tiny")

    assert catalog.versions("tiny") == [3]
    assert len(started) == 2
    assert catalog.is_ready


def test_an_unloaded_model_is_known_and_the_service_ready_without_it(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    catalog = loaded(repository)
    catalog.unload("tiny")
    catalog.unload("tiny")

    assert catalog.is_ready
    with pytest.raises(NotReady, match="it is not loaded"):
        catalog.get("tiny")
    with pytest.raises(ModelNotFound):
        catalog.unload("nobody")


def test_one_broken_model_does_not_keep_the_others_from_starting(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    repository.publish(tiny_bundle(name="broken"))
    (repository.root / "broken" / "1" / "folded.onnx").unlink()
    catalog = loaded(repository)

    assert catalog.names() == ["tiny"]
    assert not catalog.is_ready


def test_a_version_that_fails_later_leaves_the_good_one_answering(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    catalog = loaded(repository, loaded_versions=1)
    repository.publish(Bundle(tiny_bundle().manifest, folded=b"no graph", source=b""))

    with pytest.raises(NotReady, match="cannot load the graph"):
        catalog.load("tiny")
    assert catalog.get("tiny").version == 1
    assert catalog.is_ready


def test_a_released_engine_is_still_described_and_runs_no_more(repository: Repository) -> None:
    repository.publish(tiny_bundle())
    checked = Catalog(repository, lambda bundle: start(bundle).release())
    checked.load_all()

    assert checked.get("tiny").engine.provider == "CPUExecutionProvider"
    with pytest.raises(InferenceFailed):
        checked.get("tiny").engine.run(ROWS)


def test_a_version_is_loaded_once_when_it_is_needed(three: Repository) -> None:
    catalog = loaded(three, loaded_versions=1)
    assert catalog.versions("tiny") == [1, 3]
    (second,) = catalog.prepare("tiny", [2])
    assert catalog.versions("tiny") == [1, 3], "it is not served yet"
    three.change_rollout("tiny", lambda rollout, _: rollout.with_loaded(2))
    catalog.refresh("tiny", [second])

    assert catalog.get("tiny", 2) is second
    assert catalog.prepare("tiny", [2]) == [second]
    assert catalog.get("tiny").version == 1


def test_a_version_that_cannot_be_loaded_changes_nothing(three: Repository) -> None:
    (three.root / "tiny" / "2" / "folded.onnx").write_bytes(b"broken")
    catalog = loaded(three, loaded_versions=1)

    with pytest.raises(NotReady, match=r"version 2: .*does not match its digest"):
        catalog.prepare("tiny", [2])
    with pytest.raises(VersionNotFound):
        catalog.prepare("tiny", [9])
    with pytest.raises(ModelNotFound):
        catalog.prepare("nobody", [1])
    assert catalog.versions("tiny") == [1, 3]


def test_the_index_has_every_version_and_why_it_is_not_loaded(three: Repository) -> None:
    (three.root / "tiny" / "2" / "folded.onnx").write_bytes(b"broken")
    catalog = loaded(three)
    three.publish(tiny_bundle(seed=4))

    found = [(entry.name, entry.version, entry.state) for entry in catalog.index()]
    assert found == [
        ("shapes", "1", "READY"),
        ("tiny", "1", "READY"),
        ("tiny", "2", "UNAVAILABLE"),
        ("tiny", "3", "READY"),
        ("tiny", "4", "UNAVAILABLE"),
    ]
    reasons = {entry.version: entry.reason for entry in catalog.index() if entry.state == "UNAVAILABLE"}
    assert "does not match its digest" in reasons["2"]
    assert reasons["4"] == "not loaded"
