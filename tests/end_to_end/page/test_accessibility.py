"""Keyboard, names, contrast and narrow screens."""

from itertools import pairwise

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.conftest import Process
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import NARROW, faint_texts, scroll_width


def test_everything_is_reached_by_tabbing_and_shows_where_it_is(page: Page) -> None:
    reached = set()
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement !== document.body"):  # which comes after the last
        name, outlined = page.evaluate(
            """() => {
                const found = document.activeElement;
                const shown = found.matches("input[type=radio]") ? found.nextElementSibling
                    : found.matches("input[type=file]") ? found.parentElement : found;
                const { outlineStyle, outlineWidth } = getComputedStyle(shown);
                const name = found.ariaLabel ?? found.labels?.[0]?.textContent ?? found.textContent;
                return [name.trim(), outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
            }"""
        )
        assert outlined, name
        reached.add(name)
        page.keyboard.press("Tab")
    assert {
        "Skip to the content",
        "Theme: automatic",
        "API",
        "Choose an image",
        "Try the example",
        "Now",
        "Layers",
        "Models",
    } <= reached


def test_every_control_has_a_name_and_every_heading_its_place(page: Page) -> None:
    page.get_by_role("button", name="Try the example").click()
    expect(page.locator(".answer")).to_be_visible()
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("banner").count() == 1
    assert page.locator("h1").count() == 1
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input, select, [role], section, img, table")]
            .filter((one) => !one.closest("[hidden], dialog:not([open])"))
            .filter((one) => !["status", "alert", "row"].includes(one.role) && one.ariaHidden !== "true")
            .filter((one) => one.localName !== "table" || one.closest("section[aria-labelledby]") === null)
            .filter((one) => !(one.ariaLabel || one.getAttribute("aria-labelledby") || one.alt || one.labels?.length
                || one.textContent.trim()))
            .map((one) => one.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    for reference in ("aria-labelledby", "aria-controls"):
        targets = page.evaluate(f"[...document.querySelectorAll('[{reference}]')].map((one) => one.{JS[reference]})")
        assert set(targets) <= set(ids)
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.localName[1]))")
    assert all(after <= before + 1 for before, after in pairwise(levels))


JS = {
    "aria-labelledby": "getAttribute('aria-labelledby')",
    "aria-controls": "getAttribute('aria-controls')",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, starters: Process, scheme: str) -> None:
    with opened(browser, f"{starters.url}/#/models/convnet/try", color_scheme=scheme) as page:
        page.get_by_role("button", name="Try the example").click()
        expect(page.locator(".answer")).to_be_visible()
        faint = faint_texts(page)

        assert faint == []
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        page.get_by_role("button", name="Theme").click()
        page.get_by_role("button", name="Theme").click()  # automatic, light, dark
        chosen = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (chosen == dark) == (scheme == "dark")
        page.reload()
        expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()


@pytest.mark.parametrize("model", ["convnet", "mlp"])
def test_it_fits_a_narrow_screen(browser: Browser, starters: Process, model: str) -> None:
    with opened(browser, f"{starters.url}/#/models/{model}/try", viewport=NARROW) as page:
        page.get_by_role("button", name="Try the example").click()
        expect(page.locator(".answer")).to_be_visible()
        for tab in ("Try it", "Now", "Layers", "History", "Versions"):
            page.get_by_role("link", name=tab, exact=True).click()
            expect(page.locator("#model > section:not([hidden])").first).to_be_visible()
            for table in page.get_by_text("As a table").locator("visible=true").all():
                table.click()
            assert scroll_width(page) == NARROW["width"], tab
        page.get_by_role("link", name="Models", exact=True).click()
        expect(page.get_by_role("row")).to_have_count(3)
        assert scroll_width(page) == NARROW["width"]
