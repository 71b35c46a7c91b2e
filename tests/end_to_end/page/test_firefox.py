"""Every tab in Firefox."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Process
from tests.end_to_end.page.checks import NARROW
from tests.end_to_end.page.firefox import launched
from tests.end_to_end.page.test_axe import TABS


@pytest.mark.slow
def test_every_tab_is_drawn_without_an_error_and_fits(drifted: Process, tmp_path: Path) -> None:
    with launched(tmp_path) as firefox:
        for width, height in ((1280, 900), (NARROW["width"], NARROW["height"])):
            firefox.resize(width, height)
            for address, element in TABS.items():
                firefox.goto(f"{drifted.url}/{address}")
                if address.endswith("/try"):
                    firefox.wait_for("#guide button")
                    firefox.evaluate("document.querySelector('#guide button').click()")
                firefox.wait_for(element)
                assert firefox.evaluate("document.documentElement.scrollWidth") <= width, address

        assert firefox.problems == []
        firefox.evaluate("console.error('an error of the test')")
        firefox.evaluate("1")
        assert firefox.problems == ["an error of the test"]
