"""Habits that a reader may rely on, checked where a tool can."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from tests.architecture.source import PACKAGES, ROOT, modules, tree

ENVIRONMENT = {
    "service/settings/loading.py",
    "models/runtime/__init__.py",
    "service/__init__.py",
    "training/keras_models.py",
}
"""Users of the environment: the settings; and switches of libraries, which are set before their import."""

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


def imports_onnxruntime(source: ast.Module) -> bool:
    imports = (node for node in ast.walk(source) if isinstance(node, ast.Import | ast.ImportFrom))
    found = (
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for node in imports
    )
    return any(name.partition(".")[0] == "onnxruntime" for names in found for name in names)


def disables_telemetry(module: Path) -> bool:
    """Whether a package of a module, or the configuration of its tests, disables telemetry before it is imported."""
    before = (parent / name for parent in module.parents for name in ("__init__.py", "conftest.py"))
    return any('environ["ORT_DISABLE_TELEMETRY"] = "1"' in path.read_text("utf-8") for path in before if path.is_file())


def test_wherever_onnxruntime_is_imported_its_telemetry_is_disabled_before() -> None:
    folders = (*PACKAGES, "benchmarks", "denge", "deploy", "examples", "tests")
    found = {module for folder in folders for module in modules(folder) if imports_onnxruntime(tree(module))}

    assert {"benchmarks", "models", "tests"} <= {module.parts[0] for module in found}
    assert {str(module) for module in found if not disables_telemetry(ROOT / module)} == set()
    assert not disables_telemetry(ROOT / "training" / "export.py")


def test_every_image_disables_the_telemetry_of_onnxruntime() -> None:
    base, *stages = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")[1:]

    assert base.startswith("${PYTHON} AS base\n")
    assert "ORT_DISABLE_TELEMETRY=1" in base
    images = {stage.split()[2]: stage.split()[0] for stage in stages}
    assert images["service"] == images["training"] == "base"


@pytest.mark.parametrize("source", ["import onnxruntime as ort", "def f():\n    from onnxruntime.capi import x"])
def test_an_import_of_onnxruntime_is_found(source: str) -> None:
    assert imports_onnxruntime(ast.parse(source))
    assert not imports_onnxruntime(ast.parse(source.replace("onnxruntime", "onnxruntimes")))


def test_nothing_is_pickled() -> None:
    assert users("pickle", "cPickle", "dill", "joblib", "marshal", "shelve") == set()


DANGEROUS = {
    "UploadFile": "forms cost more than their bytes: bodies are read raw",
    "FileResponse": "it answers requests for very many parts of a file",
    "register_custom_ops_library": "it loads a library by its path",
    "load_external_data_for_model": "it follows paths in a model",
    "hub": "it downloads models",
    "urlopen": "a URL in a request would be opened from the service's network",
    "enable_profiling": "it writes a file by its path",
}
"""Names that nothing uses, and why. What they do has led to advisories of other servers."""


def test_nothing_that_has_been_attacked_elsewhere_is_used() -> None:
    assert users(*DANGEROUS) == set()
    assert users("StaticFiles") == {"service/routes/guide.py"}


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
