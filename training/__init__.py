"""Builds, trains, measures and exports. The only package with torch.

The Python API is ``from training import publish``: see `training.publishing.publish`. It is imported when it is asked
for, so that what needs no torch works without it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.publishing import publish

__all__ = ["publish"]


def __getattr__(name: str) -> Any:
    """The Python API."""
    if name == "publish":
        from training.publishing import publish  # noqa: PLC0415 - it imports torch

        return publish
    raise AttributeError(f"module 'training' has no attribute '{name}'")
