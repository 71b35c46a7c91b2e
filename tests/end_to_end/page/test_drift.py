"""Drift in words, numbers and drawings; traffic."""

import re

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.end_to_end.conftest import Process
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import NARROW, faint_texts, scroll_width, send

MINUS = "\N{MINUS SIGN}"


def test_drift_is_shown_in_words_and_in_numbers(alarmed: Page, drifted: Process) -> None:
    found = httpx2.get(f"{drifted.url}/v2/models/convnet/drift").json()

    expect(alarmed.locator("#verdict")).to_contain_text(found["message"])
    expect(alarmed.locator("#announcement")).to_have_text("convnet: The inputs have shifted")
    expect(alarmed.get_by_role("link", name="convnet")).to_contain_text("The inputs have shifted")
    for layer in found["layers"]:
        tab = alarmed.get_by_role("tab", name=f"{layer['name']}, ")
        expect(tab).to_have_accessible_name(re.compile(r"channels, drift [0-9.]+, significant, folded back"))
        assert float(tab.locator(".size").inner_text().split()[0]) == pytest.approx(layer["symmetric_kl"], rel=0.05)
    expect(alarmed.locator("#classes tbody tr")).to_have_count(10)
    expect(alarmed.locator(".timeline")).to_have_attribute("aria-label", re.compile("1 of 1 parts have shifted"))


def test_a_channel_is_reached_with_the_keyboard_and_drawn_beside_its_reference(alarmed: Page, drifted: Process) -> None:
    alarmed.get_by_role("tab").nth(1).focus()
    alarmed.keyboard.press("Enter")
    expect(alarmed.get_by_role("heading", name="blocks.1.norm")).to_be_visible()
    alarmed.get_by_role("gridcell", selected=True).focus()
    alarmed.keyboard.press("Control+Home")
    alarmed.keyboard.press("ArrowRight")
    alarmed.keyboard.press("ArrowDown")

    columns = (
        alarmed.get_by_role("row").filter(has=alarmed.get_by_role("gridcell")).first.get_by_role("gridcell").count()
    )
    focused = alarmed.locator(":focus")
    expect(focused).to_have_attribute("aria-selected", "true")
    expect(focused).to_have_accessible_name(re.compile(f"channel {columns + 1}, drift "))
    expect(alarmed.get_by_role("heading", name=f"Channel {columns + 1}", exact=True)).to_be_visible()
    layer = httpx2.get(f"{drifted.url}/v2/models/convnet/layers/blocks.1.norm/live").json()
    curves = alarmed.locator(".normals").get_attribute("aria-label")
    live, reference = (
        float(mean.replace(MINUS, "-")) for mean in re.findall(rf"mean ([+{MINUS}]?[0-9.]+)", curves or "")
    )
    assert live == pytest.approx(layer["channels"]["mean"][columns + 1], rel=0.05)
    assert reference == pytest.approx(layer["reference"]["mean"][columns + 1], rel=0.05, abs=1e-4)
    for measure in ("Mean", "Spread", "Drift"):
        alarmed.get_by_label(measure, exact=True).check(force=True)
        expect(alarmed.get_by_role("grid")).to_have_accessible_name(f"Channels, coloured by {measure.lower()}")
    assert alarmed.locator("[role=gridcell][tabindex='0']").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drift_stands_out_and_fits(browser: Browser, drifted: Process, scheme: str) -> None:
    with opened(browser, f"{drifted.url}/#/convnet/1/blocks.2.norm", viewport=NARROW, color_scheme=scheme) as page:
        expect(page.get_by_role("gridcell")).to_have_count(64)
        for measure in ("Drift", "Mean", "Spread"):
            page.get_by_label(measure, exact=True).check(force=True)
            assert faint_texts(page) == []
        for table in page.get_by_text("As a table").all():
            table.click()
        assert scroll_width(page) == NARROW["width"]


def test_traffic_is_shown_as_it_happens(alarmed: Page, drifted: Process) -> None:
    def value(name: str) -> Locator:
        return alarmed.locator(".figure", has_text=name).locator(".value")

    expect(value("Rows")).to_have_text("0")
    before = int(value("Answered").inner_text())
    send(drifted, np.zeros((2, 1, 28, 28), np.float32))

    expect(value("Rows")).not_to_have_text("0")  # told within a second, and shown for three
    expect(value("Answered")).to_have_text(str(before + 1))
    expect(value("Latency")).to_contain_text("s")


def test_drawings_wait_until_their_width_is_known(browser: Browser, drifted: Process) -> None:
    def stop_frames(page: Page) -> None:
        page.clock.install(time=0)
        page.clock.pause_at(1)

    with opened(browser, f"{drifted.url}/#/convnet", prepare=stop_frames) as page:
        expect(page.get_by_role("gridcell")).not_to_have_count(0)
        expect(page.locator(".normals")).to_have_count(0)

        page.clock.run_for(100)

        expect(page.locator(".normals")).to_have_count(1)
        expect(page.locator(".timeline")).to_have_count(1)
