"""Names and texts that users choose."""

import pytest
from playwright.sync_api import Browser, expect

from tests.end_to_end.conftest import Process
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import HOSTILE, NARROW, SEVEN, scroll_width


@pytest.mark.slow
def test_words_of_others_stay_words(browser: Browser, odd: Process) -> None:
    with opened(browser, f"{odd.url}/#/models/hostile/try", viewport=NARROW) as page:
        page.get_by_label("Choose an image").set_input_files(SEVEN)
        expect(page.locator(".answer")).to_be_visible()

        expect(page.get_by_role("rowheader", name=HOSTILE).first).to_be_visible()
        expect(page.locator("main img")).to_have_count(1)
        page.get_by_role("link", name="Versions", exact=True).click()
        expect(page.locator("#about")).to_contain_text(HOSTILE)
        page.get_by_role("link", name="Layers", exact=True).click()
        expect(page.get_by_role("tab")).to_contain_text(HOSTILE)
        expect(page).to_have_title("hostile · Denge")
        assert scroll_width(page) == NARROW["width"]


def test_long_names_fit(browser: Browser, odd: Process) -> None:
    with opened(browser, f"{odd.url}/#/models/{'n' * 128}/try", viewport=NARROW) as page:
        expect(page.get_by_role("heading", name="nnn")).to_be_visible()
        expect(page.locator("#trial")).to_contain_text("Rows, as JSON")

        assert scroll_width(page) == NARROW["width"]
