"""Compose: what confines the services, and names, ports and settings that several files repeat."""

import re
from typing import Any

import pytest
import yaml

from service.settings import CONFIG_VARIABLE, ENV_PREFIX, Settings
from tests.architecture.source import ROOT

SETTINGS = {CONFIG_VARIABLE, *(f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields)}
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
FLEET = {name: service for name, service in SERVICES.items() if "fleet" in service.get("profiles", ())}


def test_the_variables_of_all_services_are_settings() -> None:
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}

    assert {name for name in given if name.startswith(ENV_PREFIX)} - SETTINGS == set()


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "network_mode", "ipc", "devices"} & service.keys()


@pytest.mark.parametrize("name", ["denge", "train", "replica", "balancer"])
def test_services_run_as_a_user_without_rights_and_write_to_memory_and_volumes(name: str) -> None:
    service = SERVICES[name]

    assert service["user"] == "10001:10001"
    assert "cap_add" not in service
    assert service["tmpfs"] == ["/tmp"]
    mounts = [mount.split(":") for mount in service["volumes"]]
    assert all(mode == ["ro"] for source, _, *mode in mounts if source.startswith((".", "/")))


@pytest.mark.parametrize(("name", "path"), [("prometheus", "/prometheus"), ("grafana", "/var/lib/grafana")])
def test_monitoring_takes_bounded_memory_and_writes_to_memory_and_volumes(name: str, path: str) -> None:
    """As users of their images, to which nothing is added."""
    service = SERVICES[name]

    assert not {"user", "cap_add"} & service.keys()
    assert service["mem_limit"] in {"512m", "1g"}
    written = {path for path in service.get("tmpfs", ()) if not path.startswith("/tmp")}
    mounts = [mount.split(":") for mount in service["volumes"]]
    assert all(mode == ["ro"] for source, _, *mode in mounts if source.startswith((".", "/")))
    written |= {target for source, target, *_ in mounts if not source.startswith(".")}
    assert written == {path}


def test_every_service_of_denge_is_tested_to_be_confined() -> None:
    assert {name for name, service in SERVICES.items() if "build" in service} == {"denge", "train", "replica"}
    assert FLEET.keys() == {"replica", "valkey", "balancer"}


def test_only_replicas_reach_the_store() -> None:
    assert {name for name, service in SERVICES.items() if "store" in service.get("networks", ())} == {
        "replica",
        "valkey",
    }
    assert FLEET["replica"]["environment"]["DENGE_STORE"].startswith("valkey://valkey:6379/")


def test_the_balancer_and_prometheus_find_the_replicas() -> None:
    balancer = (ROOT / "deploy" / "haproxy.cfg").read_text("utf-8")
    assert re.search(r"server-template \S+ \d+ replica:8000$", balancer, re.MULTILINE)
    (bound,) = re.findall(r"^frontend public\n    bind :(\d+)$", balancer, re.MULTILINE)
    assert [port.rsplit(":", 1)[1] for port in FLEET["balancer"]["ports"]] == [bound]
    (metrics,) = re.findall(r"^frontend metrics\n    bind :(\d+)$", balancer, re.MULTILINE)
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    found = {name: dns["port"] for job in jobs for dns in job["dns_sd_configs"] for name in dns["names"]}
    assert found == {"replica": 8000, "balancer": int(metrics)}


@pytest.mark.parametrize("name", ["denge", "replica"])
def test_a_service_stops_within_its_grace_period(name: str) -> None:
    environment = SERVICES[name]["environment"]
    settings = Settings(
        shutdown_delay_seconds=float(environment["DENGE_SHUTDOWN_DELAY_SECONDS"]),
        drain_seconds=int(environment["DENGE_DRAIN_SECONDS"]),
    )

    assert settings.stop_seconds < int(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def test_the_proxies_wait_for_the_longest_change() -> None:
    balancer = (ROOT / "deploy" / "haproxy.cfg").read_text("utf-8")
    nginx = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    waits = re.findall(r"(?:timeout server|proxy_read_timeout) (\d+)s", balancer + nginx)

    assert len(waits) == 2
    assert all(int(seconds) > Settings().change_seconds for seconds in waits)
