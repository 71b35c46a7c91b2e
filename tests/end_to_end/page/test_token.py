"""The token that changes need."""

from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.conftest import Process
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import TOKEN


def unload(page: Page) -> None:
    page.get_by_role("button", name="Unload the model").click()
    page.get_by_role("dialog", name="Unload tiny?").get_by_role("button", name="Unload", exact=True).click()


def test_a_change_asks_for_the_token_and_keeps_it_until_it_is_forgotten(browser: Browser, odd: Process) -> None:
    with opened(browser, f"{odd.url}/#/models/tiny/versions", expected_error="the server responded with") as page:
        unload(page)
        for token in ("a-token-of-someone-else", TOKEN):
            dialog = page.get_by_role("dialog", name="A token is required")
            dialog.get_by_label("Token").fill(token)
            dialog.get_by_role("button", name="Use token").click()
        expect(page.get_by_role("alert")).to_have_text("tiny is unloaded.")
        page.get_by_role("button", name="Load it").click()
        expect(page.get_by_role("alert")).to_have_text("tiny is up to date with the repository.")
        assert TOKEN not in page.evaluate(
            "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"
        )

        page.get_by_role("button", name="Forget the token").click()
        unload(page)
        page.get_by_role("dialog", name="A token is required").get_by_role("button", name="Cancel").click()

        expect(page.get_by_role("alert")).to_contain_text("this needs the admin token")
