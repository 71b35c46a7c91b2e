"""Starter models for a new repository."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from models import starter
from models.repository.repository import Repository
from tests.bundles import tiny_bundle


def test_an_empty_repository_gets_every_starter_model(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "new")

    names = starter.seed(repository)

    assert names == repository.models() == ["convnet", "mlp"]
    shipped = Repository(Path(starter.__file__).parent)
    for name in names:
        assert repository.read(name, 1) == shipped.read(name, 1)
        assert repository.read(name, 1).held_out is not None


def test_what_another_process_is_copying_is_completed(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "new")
    starter.seed(repository)
    (repository.root / "mlp").rename(tmp_path / "mlp")

    assert starter.seed(repository) == ["mlp"]
    assert starter.seed(repository) == []


def test_processes_that_copy_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda _: starter.seed(Repository(tmp_path)), range(4))]

    repository = Repository(tmp_path)
    assert {name: repository.versions(name) for name in repository.models()} == {"convnet": [1], "mlp": [1]}


def test_a_repository_with_a_model_is_left_alone(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(tiny_bundle())

    assert starter.seed(repository) == []
    assert repository.models() == ["tiny"]
