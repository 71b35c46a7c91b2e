"""The manifests for Kubernetes: valid, complete, and consistent with each other and with the settings."""

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.settings import ENV_PREFIX, Settings
from tests.architecture.source import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31", kubernetes_validate.latest_version())
"""The oldest release that the manifests are for, and the newest that is known."""

Manifest = dict[str, Any]


def documents(file: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(file.read_text("utf-8")))


def kustomization(folder: Path) -> Manifest:
    (found,) = documents(folder / "kustomization.yaml")
    return found


def merged(base: Any, patch: Any) -> Any:
    """A strategic merge: objects by key, lists of named objects by name or mount path, all other lists replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in patch.items()}}
    for key in ("mountPath", "name"):
        if isinstance(base, list) and isinstance(patch, list) and all(key in part for part in [*base, *patch]):
            parts = {part[key]: part for part in base}
            return [*{**parts, **{part[key]: merged(parts.get(part[key]), part) for part in patch}}.values()]
    return patch


def build(name: str) -> dict[tuple[str, str], Manifest]:
    """What `kubectl apply -k` applies, by kind and name."""
    folder = FOLDER / name
    found: dict[tuple[str, str], Manifest] = {}
    for resource in kustomization(folder)["resources"]:
        if (folder / resource).is_dir():
            found |= build(str((folder / resource).resolve().relative_to(FOLDER)))
        else:
            found |= {(each["kind"], each["metadata"]["name"]): each for each in documents(folder / resource)}
    for patch in kustomization(folder).get("patches", ()):
        for each in documents(folder / patch["path"]):
            key = each["kind"], each["metadata"]["name"]
            found[key] = merged(copy.deepcopy(found[key]), each)
    return found


@pytest.fixture(scope="module", params=["folder", "bucket"])
def applied(request: pytest.FixtureRequest) -> dict[tuple[str, str], Manifest]:
    return build(request.param)


def test_every_manifest_fits_kubernetes_schema(applied: dict[tuple[str, str], Manifest]) -> None:
    for manifest in applied.values():
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_does_not_exist_is_found() -> None:
    manifest = build("folder")["Deployment", "denge"]
    manifest["spec"]["template"]["spec"]["nonsense"] = 1

    with pytest.raises(kubernetes_validate.ValidationError, match="nonsense"):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", ["base", "folder", "bucket"])
def test_a_kustomization_lists_every_file_of_its_folder(name: str) -> None:
    listed = kustomization(FOLDER / name)
    named = {*listed["resources"], *(patch["path"] for patch in listed.get("patches", ()))}

    assert {file.name for file in (FOLDER / name).iterdir()} - {"kustomization.yaml"} == named - {"../base"}


def pods(applied: dict[tuple[str, str], Manifest]) -> dict[str, Manifest]:
    return {
        name: manifest["spec"]["template"]
        for (kind, name), manifest in applied.items()
        if kind in {"Deployment", "StatefulSet"}
    }


def test_selectors_match_the_labels_of_pods(applied: dict[tuple[str, str], Manifest]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pods(applied).values()]
    selectors = [selector for manifest in applied.values() for selector in _selectors(manifest)]

    assert len(selectors) >= 9
    assert [selector for selector in selectors if selector not in labels] == []


def _selectors(value: Any) -> list[Manifest]:
    if isinstance(value, list):
        return [selector for part in value for selector in _selectors(part)]
    if not isinstance(value, dict):
        return []
    own = [value["matchLabels"]] if "matchLabels" in value else []
    own += [value["spec"]["selector"]] if value.get("kind") == "Service" else []
    return own + [selector for part in value.values() for selector in _selectors(part)]


def test_ports_lead_to_containers(applied: dict[tuple[str, str], Manifest]) -> None:
    for name, pod in pods(applied).items():
        (container,) = pod["spec"]["containers"]
        (port,) = container["ports"]
        (published,) = applied["Service", name]["spec"]["ports"]
        assert published["targetPort"] == port["name"]
        (allowed,) = applied["NetworkPolicy", name]["spec"]["ingress"][0]["ports"]
        assert allowed["port"] == port["containerPort"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                (action,) = (container[probe][kind] for kind in ("httpGet", "tcpSocket") if kind in container[probe])
                assert action["port"] == port["name"]


def test_pods_are_confined(applied: dict[tuple[str, str], Manifest]) -> None:
    for pod in pods(applied).values():
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        claims = {"data"}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes | claims


def test_the_settings_are_valid_and_the_grace_period_fits_them(
    applied: dict[tuple[str, str], Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = applied["ConfigMap", "denge"]["data"]
    pod = applied["Deployment", "denge"]["spec"]["template"]["spec"]
    given = data | {"DENGE_REPLICA_ADDRESS": pod["containers"][0]["env"][1]["value"].replace("$(POD_IP)", "10.0.0.1")}
    for name in [name for name in Settings.model_fields if f"{ENV_PREFIX}{name}".upper() in given]:
        monkeypatch.setenv(f"{ENV_PREFIX}{name}".upper(), given[f"{ENV_PREFIX}{name}".upper()])
    settings = Settings.from_flags({})

    assert {name for name in given if name.startswith(ENV_PREFIX)} <= {
        f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields
    }
    assert settings.port == pod["containers"][0]["ports"][0]["containerPort"]
    assert settings.stop_seconds < pod["terminationGracePeriodSeconds"]
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    paths = {str(settings.state_dir), str(settings.admin_token_file), str(settings.store_password_file)}
    assert {str(Path(path).parent) if "secrets" in path else path for path in paths} <= mounts
    host, _, port = str(settings.store).removeprefix("valkey://").removesuffix("/0").partition(":")
    assert applied["Service", host]["spec"]["ports"][0]["port"] == int(port)


def test_what_a_manifest_refers_to_is_applied_or_is_a_secret_that_the_page_creates(
    applied: dict[tuple[str, str], Manifest],
) -> None:
    page = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    autoscaler = applied["HorizontalPodAutoscaler", "denge"]["spec"]["scaleTargetRef"]
    assert (autoscaler["kind"], autoscaler["name"]) in applied
    for kind, name in _references(list(applied.values())):
        assert (kind, name) in applied or f"kubectl create secret generic {name} " in page


def _references(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list):
        return [reference for part in value for reference in _references(part)]
    if not isinstance(value, dict):
        return []
    own = [
        (kind, value[key][name])
        for key, kind, name in (
            ("configMapRef", "ConfigMap", "name"),
            ("secretRef", "Secret", "name"),
            ("secret", "Secret", "secretName"),
            ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
        )
        if key in value
    ]
    return own + [reference for part in value.values() for reference in _references(part)]
