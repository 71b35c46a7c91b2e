"""The dashboard for Grafana asks for what there is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.telemetry.metrics import VERSION_LABELS

DASHBOARD = Path(__file__).parents[3] / "deploy/grafana/denge.json"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
LABELS = {*VERSION_LABELS, "layer", "status", "method", "route", "outcome", "reason", "le"}


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text()))


def queries() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


@pytest.fixture(scope="module")
def known(client: TestClient) -> set[str]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def unknown(query: str, known: set[str]) -> set[str]:
    return set(re.findall(r"\b(?:denge|process)_\w+", query)) - known


def test_every_query_names_metrics_that_exist(known: set[str]) -> None:
    found = list(queries())
    assert len(found) > 10
    for query in found:
        assert re.search(r"\b(denge|process)_", query), query
        assert not unknown(query, known), query
    assert unknown("rate(denge_drift_scores[5m])", known)


def test_every_query_names_labels_that_exist() -> None:
    for query in queries():
        grouped = [name.strip() for names in re.findall(r"by \(([^)]*)\)", query) for name in names.split(",")]
        selected = re.findall(r"(\w+)=~?\"", query)
        assert {*grouped, *selected} <= LABELS, query


def test_panels_lie_beside_each_other_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert panel["description"], panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_no_other_host_is_named() -> None:
    assert "://" not in DASHBOARD.read_text()
