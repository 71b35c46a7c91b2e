"""The source as the tests of the architecture read it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("models", "service", "training")


def modules(folder: str) -> Iterator[Path]:
    """Modules below a folder of the project, relative to the project."""
    return (path.relative_to(ROOT) for path in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in path.parts)


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text("utf-8"))


def lines(module: Path) -> int:
    return len((ROOT / module).read_text("utf-8").splitlines())
