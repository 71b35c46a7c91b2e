"""The fleet of Compose: names, ports and settings that several files repeat."""

import re
from typing import Any

import yaml

from service.settings import CONFIG_VARIABLE, ENV_PREFIX, Settings
from tests.architecture.source import ROOT

SETTINGS = {CONFIG_VARIABLE, *(f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields)}
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
FLEET = {name: service for name, service in SERVICES.items() if "fleet" in service.get("profiles", ())}


def test_the_variables_of_all_services_are_settings() -> None:
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}

    assert {name for name in given if name.startswith(ENV_PREFIX)} - SETTINGS == set()


def test_the_services_of_the_fleet_are_confined() -> None:
    assert FLEET.keys() == {"replica", "valkey", "balancer"}
    for service in FLEET.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


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


def test_replicas_stop_within_their_grace_period() -> None:
    environment = FLEET["replica"]["environment"]
    settings = Settings(
        shutdown_delay_seconds=float(environment["DENGE_SHUTDOWN_DELAY_SECONDS"]),
        drain_seconds=int(environment["DENGE_DRAIN_SECONDS"]),
    )

    assert settings.stop_seconds < int(FLEET["replica"]["stop_grace_period"].removesuffix("s"))
