"""Habits that a reader may rely on, checked where a tool can."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from tests.architecture.source import PACKAGES, modules, tree

ENVIRONMENT = {"service/settings/loading.py", "models/runtime/__init__.py", "training/keras_models.py"}
"""Readers of the environment: the settings; and switches of onnxruntime and Keras, which are set before the import."""

CONTEXT_VARIABLES = {"service/telemetry/logs.py"}
"""What everything that is logged carries. Nothing else travels unseen."""

PUBLIC_UNDERSCORES = {"_replace", "_asdict", "_fields", "_exit", "_forward_pre_hooks"}
"""Of named tuples, `os` and torch."""


def names(module: Path) -> set[str]:
    """Names and attributes that a module uses."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {part for alias in node.names for part in alias.name.split(".")}
    return found


def users(*wanted: str) -> set[str]:
    return {str(path) for package in PACKAGES for path in modules(package) if names(path) & set(wanted)}


def test_the_environment_is_read_in_one_place() -> None:
    assert users("environ", "getenv") == ENVIRONMENT


def test_nothing_travels_in_context_variables_but_the_request_id() -> None:
    assert users("ContextVar") == CONTEXT_VARIABLES


def test_every_setting_is_read() -> None:
    nodes = (node for path in modules("service") for node in ast.walk(tree(path)))
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}

    assert set(Settings.model_fields) - read == set()
    assert {"a_setting_that_nothing_reads"} - read


def test_nothing_is_pickled() -> None:
    assert users("pickle", "cPickle", "dill", "joblib", "marshal", "shelve") == set()


def private_uses(source: ast.Module) -> Iterator[str]:
    """Attributes with a leading underscore of something else than `self` or `cls`."""
    for node in ast.walk(source):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
            continue
        is_own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        if not is_own and node.attr not in PUBLIC_UNDERSCORES:
            yield f"{ast.unparse(node)} in line {node.lineno}"


def test_no_test_reaches_into_another_modules_privates() -> None:
    found = {str(path): uses for path in modules("tests") if (uses := list(private_uses(tree(path))))}

    assert found == {}


@pytest.mark.parametrize(("source", "count"), [("batcher._queue", 1), ("self._queue", 0), ("row._replace(a=1)", 0)])
def test_a_reach_into_privates_is_found(source: str, count: int) -> None:
    assert len(list(private_uses(ast.parse(source)))) == count
