"""The token that changes need."""

from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.conftest import Process
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import TOKEN


def unload(page: Page) -> None:
    page.get_by_role("button", name="Unload the model").click()
    page.get_by_role("dialog", name="Unload tiny?").get_by_role("button", name="Unload", exact=True).click()


def test_what_would_be_refused_is_disabled_until_the_token_is_given_and_after_it_is_forgotten(
    browser: Browser, odd: Process
) -> None:
    with opened(browser, f"{odd.url}/#/models/tiny/versions", expected_error="the server responded with") as page:
        change = page.get_by_role("button", name="Unload the model")
        expect(change).to_be_disabled()
        expect(change).to_have_accessible_description("Read only")
        expect(change).to_have_attribute("title", "Changes need the admin token: sign in first.")
        expect(page.locator("#recalibration button")).to_have_count(2)
        assert page.locator("#recalibration, #versions").get_by_role("button", disabled=False).all_inner_texts() == [
            "Save as PNG",
            "Save as CSV",
            "Sign in to change what is served",
        ]
        for token in ("a-token-of-someone-else", TOKEN):
            page.get_by_role("button", name="Sign in", exact=True).click()
            dialog = page.get_by_role("dialog", name="A token is required")
            dialog.get_by_label("Token").fill(token)
            dialog.get_by_role("button", name="Sign in").click()
            if token != TOKEN:
                expect(page.locator("#account")).to_contain_text("This token is not valid")
                expect(change).to_be_disabled()
                page.get_by_role("button", name="Sign out").click()
        unload(page)
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
        expect(change).to_be_disabled()


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


def test_a_change_that_is_refused_asks_for_the_token(browser: Browser, odd: Process) -> None:
    def permit(page: Page) -> None:
        page.route("**/v2/access", lambda route: route.fulfill(json={"may_change": True, "may_predict": True}))

    with opened(
        browser, f"{odd.url}/#/models/tiny/versions", expected_error="the server responded with", prepare=permit
    ) as page:
        unload(page)
        page.get_by_role("dialog", name="A token is required").get_by_role("button", name="Cancel").click()

        expect(page.get_by_role("alert")).to_contain_text("this needs the admin token")
