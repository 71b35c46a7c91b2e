"""axe-core's rules of accessibility, on every tab. `make check` installs it, with the other tools of the page."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.conftest import ROOT, Process
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import NARROW

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
TABS = {
    "#/": "#models tbody tr",
    "#/models/convnet": "#steps li",
    "#/models/convnet/layers": ".spread",
    "#/models/convnet/history": ".timeline",
    "#/models/convnet/versions": "#versions tbody tr",
    "#/models/convnet/try": ".answer",
}
"""Address of each, and an element that is drawn last."""

pytestmark = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: run `make check`, with Node")


def violations(page: Page) -> list[str]:
    """What axe finds wrong: the rule, and the elements."""
    found = page.evaluate("async () => (await axe.run()).violations")
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found]


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_no_violation(browser: Browser, drifted: Process, scheme: str) -> None:
    with opened(browser, drifted.url, color_scheme=scheme, viewport=NARROW, bypass_csp=True) as page:
        page.evaluate(AXE.read_text("utf-8"))
        found = {}
        for address, element in TABS.items():
            page.evaluate("address => location.hash = address", address)
            if address.endswith("/try"):
                page.get_by_role("button", name="Try the example").click()
            expect(page.locator(element).first).to_be_attached()
            found[address] = violations(page)
        assert found == {address: [] for address in TABS}


def test_axe_finds_what_is_wrong(browser: Browser, starters: Process) -> None:
    with opened(browser, starters.url, bypass_csp=True) as page:
        page.evaluate(AXE.read_text("utf-8"))
        page.evaluate("document.querySelector('main').append(document.createElement('button'))")

        assert [one for one in violations(page) if one.startswith("button-name")]
