"""Many models, deep networks and wide layers, with made answers of the service."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.end_to_end.conftest import Process
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import NARROW, scroll_width

MODELS = 200
BLOCKS, LAYERS_OF_BLOCK, CHANNELS = 10, 10, 2048
MOST = "stage7.4.norm"

Change = Callable[[dict[str, Any]], dict[str, Any]]


def answer(page: Page, pattern: str, change: Change) -> None:
    """Change what the service answers."""

    def fulfil(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=change(response.json()))

    page.route(pattern, fulfil)


def many_models(overview: dict[str, Any]) -> dict[str, Any]:
    one = next(model for model in overview["models"] if model["name"] == "convnet")
    quiet = {**one["loaded"][0], "alarm": False, "verdict": "quiet"}
    models = [{**one, "name": f"model-{at:03}", "loaded": [quiet | {"alarm": at == 150}]} for at in range(MODELS)]
    return {**overview, "models": models}


def names() -> list[str]:
    return [f"stage{block}.{at}.norm" for block in range(BLOCKS) for at in range(LAYERS_OF_BLOCK)]


def many_layers(body: dict[str, Any]) -> dict[str, Any]:
    """Of a list of layers, or of their drift."""
    one = body["layers"][0]
    changes = [
        {"name": name, "num_features": CHANNELS, "significant": name == MOST, "symmetric_kl": 3.0 * (name == MOST)}
        for name in names()
    ]
    return {**body, "layers": [one | {key: change[key] for key in change if key in one} for change in changes]}


def many_connections(body: dict[str, Any]) -> dict[str, Any]:
    """Of the layers: those of each block in a chain, and a shortcut around each block."""
    nodes: list[dict[str, Any]] = [{"kind": "input", "name": "input", "sources": []}]
    for block in range(BLOCKS):
        start = len(nodes) - 1
        for name in names()[block * LAYERS_OF_BLOCK : (block + 1) * LAYERS_OF_BLOCK]:
            nodes.append({"kind": "layer", "name": name, "sources": [len(nodes) - 1]})
        nodes.append({"kind": "join", "name": "Add", "sources": [len(nodes) - 1, start]})
    nodes.append({"kind": "output", "name": "scores", "sources": [len(nodes) - 1]})
    return {**many_layers(body), "topology": nodes}


def many_channels(body: dict[str, Any]) -> dict[str, Any]:
    repeated = {
        key: {
            name: (values * CHANNELS)[:CHANNELS] if isinstance(values, list) else values for name, values in of.items()
        }
        for key, of in body.items()
        if key in {"channels", "reference"}
    }
    repeated["channels"]["symmetric_kl"] = [2.0 * (at == 1999) for at in range(CHANNELS)]
    return {**body, "layer": MOST, **repeated}


def make_deep(page: Page) -> None:
    answer(page, "**/versions/1/layers", many_connections)
    answer(page, "**/versions/1/drift?*", many_layers)

    def fulfil(route: Route) -> None:
        url = route.request.url.replace(MOST, "blocks.0.norm").replace("channel=1999", "channel=0")
        response = route.fetch(url=url)
        body = response.json()
        route.fulfill(response=response, json=many_channels(body) if body.get("channels") else body)

    page.route("**/versions/1/layers/**", fulfil)


def test_two_hundred_models_are_listed_searched_and_sorted(browser: Browser, starters: Process) -> None:
    def prepare(page: Page) -> None:
        answer(page, "**/v2/overview", many_models)

    with opened(browser, starters.url, prepare=prepare) as page:
        rows = page.get_by_role("rowheader")
        expect(rows).to_have_count(50)
        expect(rows.first).to_have_text("model-150")
        page.get_by_role("button", name=f"List all {MODELS}").click()
        expect(rows).to_have_count(MODELS)
        page.get_by_role("searchbox").fill("model-17")
        expect(rows).to_have_text([f"model-17{at}" for at in range(10)])


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, pytest.param(NARROW, marks=pytest.mark.slow)])
def test_a_hundred_layers_of_two_thousand_channels_are_summarised(
    browser: Browser, drifted: Process, viewport: dict[str, int]
) -> None:
    url = f"{drifted.url}/#/models/convnet/layers?version=1"
    with opened(browser, url, prepare=make_deep, viewport=viewport) as page:
        blocks = page.locator("#graph .summary")
        expect(blocks).to_have_count(BLOCKS)
        expect(blocks.nth(7)).to_contain_text("10 layers, 1 changed, at most 3.00")
        expect(blocks.nth(7)).to_have_attribute("aria-expanded", "true")
        tabs = page.get_by_role("tab")
        expect(tabs).to_have_count(LAYERS_OF_BLOCK)
        blocks.nth(2).click()
        expect(tabs).to_have_count(2 * LAYERS_OF_BLOCK)
        expect(page.locator(".graph .node")).to_have_text(["input", "Add", "Add", "output scores"])
        expect(tabs.nth(LAYERS_OF_BLOCK)).to_have_accessible_name(re.compile("stage7.0.norm .*, after stage6$"))
        lines = page.locator(".graph .row").filter(has=page.get_by_role("tab", selected=True)).locator("path")
        expect(lines).to_have_count(3)  # into the layer, out of it, and the shortcut around it

        expect(page.locator("#heatmap > p").first).to_contain_text("1 of 2,048 channels have changed clearly")
        expect(page.get_by_role("gridcell")).to_have_count(CHANNELS)
        expect(page.get_by_role("heading", name="Channel 1999", exact=True)).to_be_visible()
        page.locator("#heatmap").get_by_text("As a table").click()
        table = page.get_by_role("region", name="Channels as a table")
        drawn = table.locator("tbody tr")
        expect(table.locator("table")).to_have_attribute("aria-rowcount", str(CHANNELS + 1))
        expect(table.get_by_role("button", name="0", exact=True)).to_be_visible()
        assert drawn.count() < 100
        table.evaluate("region => region.scrollTo(0, region.scrollHeight)")
        expect(table.get_by_role("button", name=str(CHANNELS - 1), exact=True)).to_be_visible()
        assert drawn.count() < 100
        assert scroll_width(page) == viewport["width"]
