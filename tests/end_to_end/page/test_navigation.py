"""Models, layers and addresses."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import opened


def test_it_shows_the_models_and_the_layers_of_one(page: Page) -> None:
    tabs = page.get_by_role("navigation", name="Model", exact=True).get_by_role("link")
    expect(tabs).to_have_text(["Now", "Layers", "History", "Versions", "Try it"])
    expect(tabs.nth(4)).to_have_attribute("aria-current", "page")
    tabs.nth(1).click()
    expect(page.get_by_role("tab")).to_have_count(3)
    expect(page.get_by_role("tab").nth(2)).to_contain_text("blocks.2.norm")
    expect(page).to_have_title("convnet · Denge")
    assert page.evaluate("location.hash") == "#/models/convnet/layers"

    page.get_by_role("link", name="Models", exact=True).click()
    expect(page.get_by_role("rowheader")).to_have_text(["convnet", "mlp"])
    expect(page.get_by_role("heading", name="convnet")).to_have_count(0)
    page.get_by_role("link", name="mlp").click()

    expect(page.get_by_role("heading", name="mlp")).to_be_visible()
    page.get_by_role("link", name="Layers", exact=True).click()
    expect(page.get_by_role("tab")).to_have_count(1)
    page.go_back()
    page.go_back()
    page.go_back()
    expect(page.get_by_role("tab")).to_have_count(3)


def test_only_the_tab_that_is_open_is_drawn(browser: Browser, drifted: Process) -> None:
    drawn = {
        "Now": ("#verdict", "#figures"),
        "Layers": ("#layers-lead", "#graph", "#heatmap", "#channel", "#classes"),
        "History": ("#history-lead", "#history"),
        "Versions": ("#versions-lead", "#versions", "#recalibration", "#about"),
        "Try it": ("#try-lead", "#trial", "#guide"),
    }
    with opened(browser, f"{drifted.url}/#/models/convnet") as page:
        for at, (tab, ids) in enumerate(drawn.items()):
            page.get_by_role("link", name=tab, exact=True).click()
            for found in ids:
                expect(page.locator(f"{found} > *").first).to_be_visible()
            for later in list(drawn.values())[at + 1 :]:
                assert page.locator(", ".join(f"{found} > *" for found in later)).count() == 0


def test_the_layers_are_walked_with_the_keyboard(page: Page) -> None:
    page.get_by_role("link", name="Layers", exact=True).click()
    first = page.get_by_role("tab").nth(0)
    page.get_by_role("tab", selected=True).focus()
    page.keyboard.press("Home")
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")

    last = page.get_by_role("tab").nth(2)
    expect(last).to_be_focused()
    expect(last).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("heading", name="blocks.2.norm")).to_be_visible()
    assert page.evaluate("location.hash").startswith("#/models/convnet/layers/blocks.2.norm")


@pytest.mark.slow
def test_what_has_drifted_can_be_linked_to(browser: Browser, drifted: Process) -> None:
    with opened(browser, f"{drifted.url}/#/models/convnet/layers/blocks.2.norm/7?version=1") as page:
        expect(page.get_by_role("heading", name="Channel 7", exact=True)).to_be_visible()
        expect(page.get_by_role("tab", selected=True)).to_contain_text("blocks.2.norm")
        expect(page.get_by_role("combobox", name="Version")).to_have_value("1")


def test_the_page_lives_under_any_path(browser: Browser, starters: Process) -> None:
    """Behind a proxy that serves it under a prefix, every address is still right."""
    with browser.new_context() as context:
        page = context.new_page()
        asked = []

        def pass_on(route: Route) -> None:
            asked.append(route.request.url)
            route.fulfill(response=route.fetch(url=route.request.url.replace("/models/of/mine/", "/", 1)))

        page.route("**/*", pass_on)
        page.goto(f"{starters.url}/models/of/mine/")
        page.get_by_role("link", name="convnet", exact=True).click()
        page.get_by_role("link", name="Try it", exact=True).click()
        page.get_by_role("button", name="Try the example").click()
        expect(page.locator(".answer")).to_be_visible()

        assert len(asked) > 10
        assert all(url.startswith((f"{starters.url}/models/of/mine/", "blob:")) for url in asked), asked
        page.unroute_all(behavior="ignoreErrors")


@pytest.mark.slow
def test_it_says_when_the_service_is_gone(browser: Browser, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(tiny_bundle())
    with (
        running(repository.root) as process,
        opened(browser, f"{process.url}/#/models/tiny", expected_error="ERR_CONNECTION_") as page,
    ):
        expect(page.locator("#model")).to_be_visible()
        process.stop()

        expect(page.locator("#connection")).to_contain_text("does not respond")
