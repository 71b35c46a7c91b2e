"""Drift in words, numbers and drawings; traffic."""

import re
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from models.repository.repository import Repository
from service.watching.alarms.alarm import UNLOADED
from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import NARROW, faint_texts, scroll_width, send
from tests.watching import usual_rows, watched_bundle

MINUS = "\N{MINUS SIGN}"


def test_drift_is_shown_in_words_and_in_numbers(alarmed: Page, drifted: Process) -> None:
    verdict = alarmed.locator("#verdict")
    expect(verdict).to_contain_text("Alarm since")
    expect(verdict).to_contain_text("3 of 3 layers have changed")
    expect(verdict).to_contain_text("It showed first in ")
    expect(alarmed.locator("#announcement")).to_have_text("convnet: The inputs have changed")
    expect(verdict.get_by_text("symmetric KL divergence")).not_to_be_visible()
    alarmed.get_by_text("The figures behind it").click()
    judged = httpx2.get(f"{drifted.url}/v2/models/convnet/drift?window=last").json()
    size = alarmed.locator(".explained div").filter(has=alarmed.get_by_text("Size", exact=True)).locator(".value")
    assert float(size.inner_text()) == pytest.approx(judged["symmetric_kl"], rel=0.05)
    alarmed.get_by_role("link", name="Look at the layers").click()

    found = httpx2.get(f"{drifted.url}/v2/models/convnet/drift").json()
    for layer in found["layers"]:
        tab = alarmed.get_by_role("tab", name=re.compile(rf"{layer['name']} \d+ ch"))
        expect(tab).to_have_accessible_name(re.compile(r"[0-9.]+ .*[0-9]+ ch ?, significant, folded back"))
        assert float(tab.locator(".size").inner_text().split()[0]) == pytest.approx(layer["symmetric_kl"], rel=0.05)
    expect(alarmed.locator("#classes tbody tr")).to_have_count(10)
    alarmed.get_by_role("link", name="Models", exact=True).click()
    expect(alarmed.locator("#models .headline")).to_have_text("1 of 2 models has an open alarm")
    expect(alarmed.get_by_role("row", name="convnet")).to_contain_text("The inputs have changed")


def test_a_channel_is_reached_with_the_keyboard_and_drawn_beside_its_reference(alarmed: Page, drifted: Process) -> None:
    alarmed.get_by_role("link", name="Layers", exact=True).click()
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
    with opened(
        browser, f"{drifted.url}/#/models/convnet/layers/blocks.2.norm?version=1", viewport=NARROW, color_scheme=scheme
    ) as page:
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


def test_the_history_is_read_with_the_keyboard_and_kept_as_a_drawing_and_a_table(
    alarmed: Page, drifted: Process
) -> None:
    alarmed.get_by_role("link", name="History", exact=True).click()
    expect(alarmed.locator("#history-lead")).to_contain_text("Inputs had changed in")
    slider = alarmed.get_by_role("slider", name="Change of the inputs over time")
    slider.focus()
    alarmed.keyboard.press("Home")
    points = httpx2.get(f"{drifted.url}/v2/models/convnet/drift/history").json()["points"]
    expect(alarmed.locator(".readout")).to_contain_text(
        re.compile(rf"{points[0]['rows']} inputs, a (very )?strong change")
    )
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"20\d\d, \d\d:\d\d: [0-9.]+, changed"))
    expect(alarmed.locator("#history .key")).to_contain_text("Times in ")
    with alarmed.expect_download() as drawing:
        alarmed.locator("#history").get_by_role("button", name="Save as PNG").first.click()
    assert drawing.value.path().read_bytes().startswith(b"\x89PNG")
    with alarmed.expect_download() as table:
        alarmed.locator("#history").get_by_role("button", name="Save as CSV").first.click()
    header, *lines = table.value.path().read_text().splitlines()
    assert header == "model,version,time,rows,symmetric_kl,statistic,threshold,verdict," + ",".join(points[0]["layers"])
    assert [line.split(",")[3] for line in lines] == [str(point["rows"]) for point in points]
    drift = httpx2.get(f"{drifted.url}/v2/models/convnet/drift").json()
    alarm = drift["last_alarm"]
    row = alarmed.get_by_role("table", name="Alarms").get_by_role("row").last
    expect(row).to_contain_text("still open")
    expect(row).to_contain_text(alarm["first_layer"])
    expect(row.get_by_role("cell").last).to_have_text(", ".join(alarm["classes"]))
    expect(alarmed.locator(".timeline rect.alarm")).to_have_count(1)
    expect(alarmed.locator("#history-lead .observed")).to_have_text("100 % of the traffic is observed.")
    with alarmed.expect_download() as alarms:
        alarmed.locator("#history").get_by_role("button", name="Save as CSV").last.click()
    columns, line = alarms.value.path().read_text().splitlines()
    kept = dict(zip(columns.split(","), line.split(","), strict=True))
    assert (kept["began"], kept["ended"], kept["first_layer"]) == (alarm["began"], "", alarm["first_layer"])
    for stretch in ("15 minutes", "6 hours", "1 day", "7 days", "30 days"):
        alarmed.locator("#history-lead").get_by_label(stretch, exact=True).check(force=True)
        expect(alarmed.locator(".timeline")).to_be_visible()


def test_a_part_of_the_history_is_looked_at(alarmed: Page) -> None:
    alarmed.get_by_role("link", name="History", exact=True).click()
    drawing = alarmed.locator(".timeline")
    box = drawing.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    alarmed.mouse.move(box["x"] + box["width"] * 0.75, middle)
    alarmed.mouse.down()
    alarmed.mouse.move(box["x"] + box["width"] * 0.99, middle)
    expect(drawing.locator(".marked")).to_be_visible()
    alarmed.mouse.up()

    start = alarmed.get_by_label("From", exact=True)
    expect(alarmed.get_by_role("radio", name="From … to …")).to_be_checked()
    expect(start).to_have_value(re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d"))
    chosen = start.input_value()
    start.fill("2020-01-01T00:00")
    alarmed.keyboard.press("Tab")
    assert not start.evaluate("field => field.validity.valid")
    expect(drawing).to_be_visible()  # what was chosen before is still shown
    start.fill(chosen)
    alarmed.locator("#history-lead").get_by_label("1 hour", exact=True).check(force=True)
    expect(start).to_have_count(0)


def test_models_are_drawn_over_each_other(alarmed: Page, drifted: Process) -> None:
    image = np.zeros((1, 784), np.float32)
    tensor = {"name": "input", "datatype": "FP32", "shape": image.shape, "data": image.ravel().tolist()}
    httpx2.post(f"{drifted.url}/v2/models/mlp/infer", json={"inputs": [tensor]}).raise_for_status()
    alarmed.get_by_role("link", name="History", exact=True).click()
    alarmed.get_by_label("Compare with").select_option("mlp 1")

    expect(alarmed.locator(".timeline .other-0").first).to_be_attached()
    expect(alarmed.locator("#history .key")).to_contain_text("convnet 1, mlp 1")
    expect(alarmed.locator(".readout")).to_contain_text("mlp 1: ")
    with alarmed.expect_download() as table:
        alarmed.locator("#history").get_by_role("button", name="Save as CSV").first.click()
    assert {line.split(",")[0] for line in table.value.path().read_text().splitlines()[1:]} == {"convnet", "mlp"}
    alarmed.get_by_role("button", name="Remove mlp 1").click()
    expect(alarmed.locator(".timeline .other-0")).to_have_count(0)


def test_a_channel_is_shown_over_time_and_kept(alarmed: Page) -> None:
    alarmed.get_by_role("link", name="Layers", exact=True).click()
    expect(alarmed.locator(".spread .mean.live").first).to_be_attached()
    expect(alarmed.locator(".spread .band.reference").first).to_be_attached()
    with alarmed.expect_download() as channels:
        alarmed.locator("#heatmap").get_by_role("button", name="Save as CSV").click()
    assert len(channels.value.path().read_text().splitlines()) > 8
    for part, first in (
        ("#graph", "layer,kind,channels,placement,after,symmetric_kl,significant"),
        ("#classes", "class,rows,share,reference_share"),
    ):
        with alarmed.expect_download() as kept:
            alarmed.locator(part).get_by_role("button", name="Save as CSV").click()
        assert kept.value.path().read_text().splitlines()[0] == first
    with alarmed.expect_download() as cells:
        alarmed.locator("#heatmap").get_by_role("button", name="Save as PNG").click()
    with Image.open(cells.value.path()) as picture:
        box = alarmed.locator(".heatmap").bounding_box()
        assert box is not None
        assert picture.size == pytest.approx((2 * box["width"], 2 * box["height"]), abs=1)
        assert len(picture.convert("RGB").getcolors(100_000) or ()) > 3  # cells, lines, figures
    channel = alarmed.locator("#channel")
    with alarmed.expect_download() as drawing:
        channel.get_by_role("button", name="Save as PNG").last.click()
    assert drawing.value.path().read_bytes().startswith(b"\x89PNG")
    with alarmed.expect_download() as history:
        channel.get_by_role("button", name="Save as CSV").last.click()
    header, *lines = history.value.path().read_text().splitlines()
    assert header == "layer,channel,mean,variance,rows,time"
    shown = re.search(r"(\d+)", channel.get_by_role("heading").first.inner_text())
    assert shown is not None
    assert {line.split(",")[1] for line in lines} == {shown[1]}


def test_an_alarm_offers_the_next_step_and_the_step_says_how_far_it_is(alarmed: Page) -> None:
    steps = alarmed.locator("#steps li")
    expect(steps.locator("strong")).to_have_text(["Re-calibrate", "Compare", "Try on some requests", "Promote"])
    expect(steps.nth(0)).to_have_attribute("aria-current", "step")
    steps.nth(0).get_by_role("button", name="Re-calibrate").click()

    expect(steps.nth(0)).to_contain_text("Collecting inputs: seen 0 of 1,024.")
    steps.nth(0).get_by_role("link", name="Follow it").click()
    expect(alarmed.locator(".jobs li").first).to_contain_text("Seen 0 of 1,024 rows, to draw 256 from.")
    alarmed.get_by_role("button", name="Cancel").click()
    expect(alarmed.locator(".jobs li").first).to_contain_text("Cancelled")


def test_too_few_rows_have_no_colours(browser: Browser, drifted: Process) -> None:
    image = np.zeros((1, 784), np.float32)
    tensor = {"name": "input", "datatype": "FP32", "shape": image.shape, "data": image.ravel().tolist()}
    httpx2.post(f"{drifted.url}/v2/models/mlp/infer", json={"inputs": [tensor]}).raise_for_status()
    with opened(browser, f"{drifted.url}/#/models/mlp/layers") as page:
        expect(page.locator("#layers-lead")).to_contain_text("That is too few to tell a change from chance.")
        expect(page.get_by_role("gridcell").first).to_have_attribute("data-step", "none")
        expect(page.get_by_role("tab")).to_have_attribute("data-step", "none")
        page.get_by_role("link", name="Now", exact=True).click()
        expect(page.locator("#verdict .headline")).to_have_text("…Too few inputs yet")
        expect(page.locator("#verdict")).to_contain_text(
            re.compile("[12] of the 32 inputs that the first verdict needs")
        )


def test_drawings_wait_until_their_width_is_known(browser: Browser, drifted: Process) -> None:
    def stop_frames(page: Page) -> None:
        page.clock.install(time=0)
        page.clock.pause_at(3600)  # later than the page can be by then

    with opened(browser, f"{drifted.url}/#/models/convnet/layers", prepare=stop_frames) as page:
        expect(page.get_by_role("gridcell")).not_to_have_count(0)
        expect(page.locator(".normals")).to_have_count(0)

        page.clock.run_for(100)

        expect(page.locator(".normals")).to_have_count(1)


@pytest.mark.slow
def test_why_an_alarm_ended_is_shown_where_its_version_answered_no_more(browser: Browser, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    for _ in range(2):
        repository.publish(watched_bundle())
    settings = ("--watch-percent", "100", "--drift-window-rows", "32", "--loaded-versions", "2")
    with running(repository.root, *settings) as process:
        version = f"{process.url}/v2/models/tiny/versions/1"
        rows = 3 + usual_rows(64)
        tensor = {"name": "input", "datatype": "FP32", "shape": rows.shape, "data": rows.ravel().tolist()}
        httpx2.post(f"{version}/infer", json={"inputs": [tensor]}).raise_for_status()
        with opened(browser, f"{process.url}/#/models/tiny/history?version=1") as page:
            alarms = page.get_by_role("table", name="Alarms").get_by_role("row")
            expect(alarms.last).to_contain_text("still open")
            expect(alarms.last).not_to_contain_text(UNLOADED)
        httpx2.post(f"{process.url}/v2/repository/models/tiny/versions/1/unload").raise_for_status()
        assert process.stop() == 0  # which ends the alarm at once, and not within half a minute

    with running(repository.root, *settings) as process:
        httpx2.post(f"{process.url}/v2/repository/models/tiny/versions/1/load").raise_for_status()
        with opened(browser, f"{process.url}/#/models/tiny?version=1") as page:
            expect(page.locator("#verdict")).to_contain_text("No alarm is open.")  # though its last window had shifted
            ended = re.compile(f"The last alarm ended at .*{re.escape(UNLOADED)}")
            expect(page.locator("#verdict")).to_contain_text(ended)
            page.get_by_role("link", name="History", exact=True).click()
            row = page.get_by_role("table", name="Alarms").get_by_role("row").last
            expect(row).to_contain_text(UNLOADED)
            expect(row).not_to_contain_text("still open")
