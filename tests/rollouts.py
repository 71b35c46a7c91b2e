"""Decisions about versions, as tests make them."""

from models.repository.repository import Repository


def promote(repository: Repository, model: str, version: int) -> None:
    """Make a version the default."""
    repository.change_rollout(model, lambda rollout, default: rollout.promoted(version, default))
