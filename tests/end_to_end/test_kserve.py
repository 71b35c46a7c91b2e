"""Denge as a runtime of KServe: the manifests, and the process as KServe starts it."""

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import pytest
import yaml
from jsonschema import Draft202012Validator

from models.repository.repository import Repository
from service.settings import Settings
from tests.architecture.source import ROOT
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import running

FOLDER = ROOT / "deploy" / "kserve"
DEFINITIONS = ROOT.parent / "shared" / "reference" / "kserve-crds"

GRACE_SECONDS = 30
"""That Kubernetes gives a pod to stop, unless the pod says otherwise: KServe's do not."""

RANDOM_USER = 1_000_680_000
"""A user that no machine knows, as OpenShift has them."""


def manifest(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server drops them."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(part) for name, part in schema.items()}
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    return parts if keeps or "properties" not in schema else {**parts, "additionalProperties": False}


def problems(name: str, definition: str, **changes: Any) -> list[str]:
    packed = (DEFINITIONS / f"serving.kserve.io_{definition}.yaml.gz").read_bytes()
    given = manifest(name)
    given["spec"] |= changes
    versions = yaml.load(gzip.decompress(packed), yaml.CSafeLoader)["spec"]["versions"]
    version = next(version for version in versions if given["apiVersion"].endswith(f"/{version['name']}"))
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return [error.message for error in Draft202012Validator(schema).iter_errors(given)]


@pytest.mark.skipif(not DEFINITIONS.is_dir(), reason="KServe's definitions are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "definition"),
    [("serving-runtime.yaml", "servingruntimes"), ("inference-service.yaml", "inferenceservices")],
)
def test_the_manifests_fit_kserves_definitions(name: str, definition: str) -> None:
    assert problems(name, definition) == []
    assert problems(name, definition, nonsense=1)


def test_the_runtime_stops_before_its_pod_is_killed() -> None:
    (container,) = manifest("serving-runtime.yaml")["spec"]["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}

    assert Settings(drain_seconds=int(variables["DENGE_DRAIN_SECONDS"])).stop_seconds < GRACE_SECONDS


@pytest.fixture
def world() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def can_be_another_user() -> bool:
    """Whether these tests run as root, with a Python that others may run: in a container, for example."""
    with suppress(PermissionError):
        return subprocess.run([sys.executable, "-c", ""], user=RANDOM_USER, group=0).returncode == 0
    return False


def bundle_folder(root: Path) -> Path:
    Repository(root / "source").publish(tiny_bundle())
    return root / "source" / "tiny" / "1"


def model_folder(root: Path) -> Path:
    return bundle_folder(root).parent


def folder_with_an_onnx_file(root: Path) -> Path:
    (root / "source").mkdir()
    (root / "source" / "model.onnx").write_bytes(tiny_bundle().source)
    return root / "source"


@pytest.mark.parametrize(
    "make", [bundle_folder, pytest.param(model_folder, marks=pytest.mark.slow), folder_with_an_onnx_file]
)
def test_a_model_is_served_as_the_runtime_states(world: Path, make: Callable[[Path], Path]) -> None:
    """With the manifest's arguments and environment, a folder of the model that is read-only, and any user."""
    models = make(world).rename(world / "mnt")
    for path in (*models.rglob("*"), models):
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = RANDOM_USER if can_be_another_user() else None
    (container,) = manifest("serving-runtime.yaml")["spec"]["containers"]
    writable = world / "tmp"
    writable.mkdir()
    writable.chmod(0o777)
    places = {"/tmp": str(writable), "/mnt/models": str(models), "{{.Name}}": "digits"}

    def placed(text: str) -> str:
        for place, real in places.items():
            text = text.replace(place, real)
        return text

    flags = [placed(flag) for flag in container["args"] if not flag.startswith("--port")]
    variables = {variable["name"]: placed(variable["value"]) for variable in container["env"]}
    with running(Path(variables["DENGE_REPOSITORY"]), *flags, user=user, **variables) as process:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            path = container[probe]["httpGet"]["path"]
            assert httpx2.get(f"{process.url}{path}").status_code == 200
        answer = httpx2.post(
            f"{process.url}/v2/models/digits/infer",
            json={"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]},
        )
        assert answer.status_code == 200
        assert answer.json()["model_name"] == "digits"
        if user is not None:
            assert {path.stat().st_uid for path in writable.rglob("*")} == {user}
        assert process.stop() == 0
