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
            dialog.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("tiny is unloaded.")
        page.get_by_role("button", name="Load it").click()
        expect(page.get_by_role("alert")).to_have_text("tiny is up to date with the repository.")
        account = page.locator("#account")
        expect(account).to_contain_text("Signed in")
        assert TOKEN not in page.evaluate("JSON.stringify([{ ...localStorage }, document.cookie])")
        page.reload()
        expect(account).to_contain_text("Signed in")  # as long as the tab is open

        account.get_by_role("button", name="Sign out").click()
        expect(account).to_contain_text("Read only")
        assert TOKEN not in page.evaluate("JSON.stringify({ ...sessionStorage })")
        unload(page)
        page.get_by_role("dialog", name="A token is required").get_by_role("button", name="Cancel").click()

        expect(page.get_by_role("alert")).to_contain_text("this needs the admin token")


def test_signing_in_once_is_enough(browser: Browser, odd: Process) -> None:
    with opened(browser, f"{odd.url}/#/models/tiny/versions", expected_error="503") as page:
        account = page.locator("#account")
        expect(account).to_contain_text("Read only")
        account.get_by_role("button", name="Sign in").click()
        dialog = page.get_by_role("dialog", name="A token is required")
        dialog.get_by_label("Token").fill("a-token-of-someone-else")
        dialog.get_by_role("button", name="Sign in").click()
        expect(account).to_contain_text("This token is not valid")
        account.get_by_role("button", name="Sign out").click()
        account.get_by_role("button", name="Sign in").click()
        dialog.get_by_label("Token").fill(TOKEN)
        dialog.get_by_role("button", name="Sign in").click()
        expect(account).to_contain_text("Signed in")

        unload(page)
        expect(page.get_by_role("alert")).to_have_text("tiny is unloaded.")
        page.get_by_role("button", name="Load it").click()
        expect(page.get_by_role("alert")).to_have_text("tiny is up to date with the repository.")
