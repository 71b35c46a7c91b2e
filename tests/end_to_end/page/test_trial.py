"""An image of the user's, its prediction, and what the layers make of it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from models.repository.repository import Repository
from tests.bundles import generator_bundle
from tests.end_to_end.conftest import Process, running
from tests.end_to_end.page.browser import opened
from tests.end_to_end.page.checks import SEVEN


@pytest.mark.parametrize("how", ["chosen", "dropped", "pasted", "example"])
def test_an_image_is_answered_with_its_class(page: Page, how: str) -> None:
    match how:
        case "chosen":
            page.get_by_label("Choose an image").set_input_files(SEVEN)
        case "example":
            page.get_by_role("button", name="Try the example").click()
        case _:
            page.evaluate(
                """async ([how, address]) => {
                    const transfer = new DataTransfer();
                    const image = await (await fetch(address)).blob();
                    transfer.items.add(new File([image], "seven.png", { type: "image/png" }));
                    const event = how === "dropped"
                        ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
                        : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
                    document.querySelector("#trial").dispatchEvent(event);
                }""",
                [how, "docs/seven.png"],
            )

    expect(page.locator(".answer")).to_have_text("Prediction: 7 99.9 %")
    image = page.get_by_alt_text("The image that was sent")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") == 28


def test_a_file_that_is_no_image_is_refused_in_words(browser: Browser, starters: Process) -> None:
    with opened(browser, f"{starters.url}/#/models/mlp/try", expected_error="400 (Bad Request)") as page:
        file = {"name": "seven.png", "mimeType": "image/png", "buffer": b"no image"}
        page.get_by_label("Choose an image").set_input_files(file)

        expect(page.locator(".result .failure")).to_contain_text("body: ")


@pytest.mark.slow
def test_an_image_is_compared_with_what_each_layer_remembers(alarmed: Page) -> None:
    alarmed.get_by_role("link", name="Try it", exact=True).click()
    alarmed.get_by_role("button", name="Try the example").click()

    rows = alarmed.locator(".result .numbers tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("blocks.0.norm")
    with alarmed.expect_download() as kept:
        alarmed.locator(".result").get_by_role("button", name="Save as CSV").click()
    header, *lines = kept.value.path().read_text().splitlines()
    assert header == "of,name,figure"
    assert len(lines) == 10 + 3


def test_a_digit_that_is_drawn_is_answered_wherever_it_stands_and_however_small_it_is(page: Page) -> None:
    box = page.get_by_role("img", name="Draw a digit here").bounding_box()
    assert box is not None
    page.get_by_role("button", name="Predict the drawing").click()
    expect(page.locator(".result")).to_have_count(0)  # nothing is drawn yet
    seven = [(0.55, 0.1), (0.9, 0.1), (0.7, 0.6)]
    for at, (x, y) in enumerate(seven):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if at == 0:
            page.mouse.down()
    page.mouse.up()
    page.get_by_role("button", name="Predict the drawing").click()

    expect(page.locator(".answer strong")).to_have_text("7")
    expect(page.locator(".result")).to_contain_text("Every layer finds it as usual")


@pytest.mark.slow
def test_images_are_generated_again_from_their_seed(browser: Browser, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(generator_bundle())
    with running(repository.root) as process, opened(browser, f"{process.url}/#/models/drawn/try") as page:
        page.get_by_label("Images").fill("9")
        page.get_by_role("combobox", name="Class").select_option("yes")
        page.get_by_role("button", name="Generate").click()
        image = page.get_by_alt_text("9 generated images")
        expect(image).to_be_visible()
        assert image.evaluate("async image => { await image.decode(); return image.naturalWidth }") == 6
        (seed,) = re.findall(r"Seed (\d+)", page.locator(".result").inner_text())

        first = image.get_attribute("src")
        with page.expect_response("**/generate") as response:
            page.get_by_label("Seed").fill(seed)
            page.get_by_role("button", name="Generate").click()
        expect(image).not_to_have_attribute("src", first or "")
        assert response.value.request.post_data_json == {"count": 9, "seed": int(seed), "class": "yes"}
        assert response.value.headers["x-seed"] == seed


def test_a_text_is_answered_with_its_class_and_one_that_is_too_long_in_words(browser: Browser, texts: Process) -> None:
    with opened(
        browser, f"{texts.url}/#/models/sentences/try", expected_error="413 (Request Entity Too Large)"
    ) as page:
        box = page.get_by_label("Text", exact=True)
        box.fill("A good, good film <b>")
        page.get_by_role("button", name="Predict").click()

        expect(page.locator(".result blockquote")).to_have_text("A good, good film <b>")
        expect(page.locator(".result .failure")).to_contain_text("more than 6 words and signs")

        box.fill("Good, good film")
        page.get_by_role("button", name="Predict").click()

        expect(page.locator(".answer")).to_have_text("Prediction: yes 73.1 %")


def test_noise_is_sent_in_the_browser_and_raises_the_alarm(browser: Browser, drifted: Process) -> None:
    with opened(browser, f"{drifted.url}/#/models/mlp/try") as page:
        page.get_by_role("slider", name="Noise").fill("70")
        expect(page.get_by_alt_text("Handwritten digits with 70 % noise")).to_be_visible()
        page.get_by_role("button", name="Send 512 of them").click()

        outcome = page.locator("#guide").get_by_role("status")
        expect(outcome).to_contain_text("The inputs have changed")
        outcome.get_by_role("link", name="What now?").click()
        expect(page.locator("#verdict")).to_contain_text("Alarm since")


def test_rows_of_a_model_of_tensors_are_predicted_and_bad_json_is_refused_in_words(
    browser: Browser, odd: Process
) -> None:
    with opened(browser, f"{odd.url}/#/models/tiny/try", expected_error="400 (Bad Request)") as page:
        field = page.get_by_label("Rows, as JSON")
        page.get_by_role("button", name="Predict", exact=True).click()
        expect(page.get_by_role("table", name="Outputs").get_by_role("rowheader").first).to_be_visible()
        with page.expect_download() as kept:
            page.locator(".result").get_by_role("button", name="Save as CSV").click()
        assert kept.value.path().read_text().splitlines()[0] == "output,at,value"

        field.fill("{")
        page.get_by_role("button", name="Predict", exact=True).click()
        expect(page.locator(".result .failure")).to_contain_text("This is no JSON: ")
        field.fill('{"inputs": []}')
        page.get_by_role("button", name="Predict", exact=True).click()
        expect(page.locator(".result .failure")).to_contain_text("inputs: ")
