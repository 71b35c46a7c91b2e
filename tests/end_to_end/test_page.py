"""The page at `/` in a real browser, against a real service."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page, Route, expect

from models.manifest import Manifest
from models.repository.bundle import Bundle
from models.repository.held_out import unpack
from models.repository.repository import Repository
from tests.bundles import image_bundle, tiny_bundle
from tests.end_to_end.browser import started, watched
from tests.end_to_end.conftest import PATIENCE_SECONDS, ROOT, Process, running

SEVEN = ROOT / "service" / "static" / "seven.png"
HOSTILE = '<img src="x" onerror="document.title=1">'
TOKEN = "an-admin-token-of-the-tests"
MINUS = "\N{MINUS SIGN}"
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with started() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, starters: Process) -> Iterator[Page]:
    with watched(browser, f"{starters.url}/#/convnet") as watch:
        expect(watch.page.locator("#model")).to_be_visible()
        yield watch.page


def test_it_shows_the_models_and_the_layers_of_one(page: Page) -> None:
    models = page.get_by_role("navigation", name="Models").get_by_role("link")
    expect(models).to_have_count(2)
    expect(models.nth(0)).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("tab")).to_have_count(3)
    expect(page.get_by_role("tab").nth(2)).to_contain_text("blocks.2.norm")
    expect(page).to_have_title("convnet · Denge")

    models.nth(1).click()

    expect(page.get_by_role("heading", name="mlp")).to_be_visible()
    expect(page.get_by_role("tab")).to_have_count(1)
    page.go_back()
    expect(page.get_by_role("tab")).to_have_count(3)


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
    with watched(browser, f"{starters.url}/#/mlp", expected="400 (Bad Request)") as watch:
        page = watch.page
        file = {"name": "seven.png", "mimeType": "image/png", "buffer": b"no image"}
        page.get_by_label("Choose an image").set_input_files(file)

        expect(page.locator(".result .failure")).to_contain_text("body: ")


def test_the_layers_are_walked_with_the_keyboard(page: Page) -> None:
    first = page.get_by_role("tab").nth(0)
    page.get_by_role("tab", selected=True).focus()
    page.keyboard.press("Home")
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")

    last = page.get_by_role("tab").nth(2)
    expect(last).to_be_focused()
    expect(last).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("heading", name="blocks.2.norm")).to_be_visible()
    assert page.evaluate("location.hash").startswith("#/convnet/default/blocks.2.norm")


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
    assert {"Skip to the model", "Theme: automatic", "API", "Choose an image", "Try the example"} <= reached


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
    with watched(browser, f"{starters.url}/#/convnet", color_scheme=scheme) as watch:
        page = watch.page
        page.get_by_role("button", name="Try the example").click()
        expect(page.locator(".answer")).to_be_visible()
        faint = page.evaluate(CONTRAST)

        assert faint == []
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        page.get_by_role("button", name="Theme").click()
        page.get_by_role("button", name="Theme").click()  # automatic, light, dark
        chosen = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (chosen == dark) == (scheme == "dark")
        page.reload()
        expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()


CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (colour) => {
        const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = colour.map((part) => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const colour = rgb(getComputedStyle(at).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const one = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !one.checkVisibility({ visibilityProperty: true })) continue;
        const style = getComputedStyle(one);
        const colour = one.closest("svg") ? style.fill : style.color;
        const pair = [luminance(rgb(colour)), luminance(ground(one))].sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (ratio < 4.5) found.push([walker.currentNode.data.trim(), ratio]);
    }
    return found;
}"""


@pytest.mark.parametrize("model", ["convnet", "mlp"])
def test_it_fits_a_narrow_screen(browser: Browser, starters: Process, model: str) -> None:
    with watched(browser, f"{starters.url}/#/{model}", viewport=NARROW) as watch:
        page = watch.page
        page.get_by_role("button", name="Try the example").click()
        expect(page.locator(".answer")).to_be_visible()
        for table in page.get_by_text("As a table").all():
            table.click()

        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that has met noise instead of digits, and observes all that it meets."""
    with running(tmp_path_factory.mktemp("drifted") / "repository", "--watch-percent", "100") as process:
        send(process, np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype(np.float32))
        yield process


@pytest.fixture
def alarmed(browser: Browser, drifted: Process) -> Iterator[Page]:
    with watched(browser, f"{drifted.url}/#/convnet") as watch:
        expect(watch.page.locator("#verdict .headline")).to_have_text("▲The inputs have shifted")
        yield watch.page


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
    expect(alarmed.locator(".timeline")).to_have_attribute("aria-label", re.compile("1 of 1 windows raised an alarm"))


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


def test_what_has_drifted_can_be_linked_to(browser: Browser, drifted: Process) -> None:
    with watched(browser, f"{drifted.url}/#/convnet/1/blocks.2.norm/7") as watch:
        expect(watch.page.get_by_role("heading", name="Channel 7", exact=True)).to_be_visible()
        expect(watch.page.get_by_role("tab", selected=True)).to_contain_text("blocks.2.norm")
        expect(watch.page.get_by_role("combobox", name="Version")).to_have_value("1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drift_stands_out_and_fits(browser: Browser, drifted: Process, scheme: str) -> None:
    with watched(browser, f"{drifted.url}/#/convnet/1/blocks.2.norm", viewport=NARROW, color_scheme=scheme) as watch:
        expect(watch.page.get_by_role("gridcell")).to_have_count(64)
        for measure in ("Drift", "Mean", "Spread"):
            watch.page.get_by_label(measure, exact=True).check(force=True)
            assert watch.page.evaluate(CONTRAST) == []
        for table in watch.page.get_by_text("As a table").all():
            table.click()
        assert watch.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_an_image_is_compared_with_what_each_layer_remembers(alarmed: Page) -> None:
    alarmed.get_by_role("button", name="Try the example").click()

    rows = alarmed.locator(".result .numbers tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("blocks.0.norm")


def with_layer(bundle: Bundle, name: str, layer: str) -> Bundle:
    """The same bundle under another name, with another name for its layer."""
    written = bundle.manifest.model_dump()
    written["model"] = name
    written["description"] = HOSTILE
    written["norm_layers"][0]["name"] = layer
    return Bundle(Manifest.model_validate(written), folded=bundle.folded, source=bundle.source)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service with models whose words are markup, whose names are long, and which need a token to be changed."""
    repository = Repository(tmp_path_factory.mktemp("odd") / "repository")
    repository.publish(with_layer(image_bundle(labels=(HOSTILE, "<b>square</b>", "star" * 40)), "hostile", HOSTILE))
    repository.publish(with_layer(tiny_bundle(), "n" * 128, "layer" * 40))
    repository.publish(tiny_bundle())
    with running(repository.root, "--admin-token", TOKEN) as process:
        yield process


def test_words_of_others_stay_words(browser: Browser, odd: Process) -> None:
    with watched(browser, f"{odd.url}/#/hostile", viewport=NARROW) as watch:
        page = watch.page
        page.get_by_label("Choose an image").set_input_files(SEVEN)
        expect(page.locator(".answer")).to_be_visible()

        expect(page.locator("#about")).to_contain_text(HOSTILE)
        expect(page.get_by_role("tab")).to_contain_text(HOSTILE)
        expect(page.get_by_role("rowheader", name=HOSTILE).first).to_be_visible()
        expect(page.locator("main img")).to_have_count(1)
        expect(page).to_have_title("hostile · Denge")
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_long_names_fit(browser: Browser, odd: Process) -> None:
    with watched(browser, f"{odd.url}/#/{'n' * 128}", viewport=NARROW) as watch:
        expect(watch.page.get_by_role("heading", name="nnn")).to_be_visible()
        expect(watch.page.locator("#trial")).to_contain_text("takes tensors, not images")

        assert watch.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_traffic_is_shown_as_it_happens(alarmed: Page, drifted: Process) -> None:
    def value(name: str) -> Locator:
        return alarmed.locator(".figure", has_text=name).locator(".value")

    expect(value("Rows")).to_have_text("0")
    before = int(value("Answered").inner_text())
    send(drifted, np.zeros((2, 1, 28, 28), np.float32))

    expect(value("Rows")).not_to_have_text("0")  # told within a second, and shown for three
    expect(value("Answered")).to_have_text(str(before + 1))
    expect(value("Latency")).to_contain_text("s")


@pytest.fixture
def versions(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The page of a model with three versions."""
    repository = Repository(tmp_path / "repository")
    for seed in range(3):
        repository.publish(tiny_bundle(seed=seed))
    with (
        running(repository.root, "--loaded-versions", "2") as process,
        watched(browser, f"{process.url}/#/tiny", viewport=NARROW) as watch,
    ):
        expect(row(watch.page, 3)).to_contain_text("default")
        yield watch.page


def row(page: Page, version: int) -> Locator:
    return page.locator("#versions tbody tr").filter(has=page.get_by_role("link", name=str(version), exact=True))


def decide(page: Page, words: str, says: str) -> None:
    page.get_by_role("button", name=words, exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(says)


def test_versions_are_tried_promoted_and_rolled_back(versions: Page) -> None:
    page = versions
    expect(row(page, 1)).to_contain_text("not loaded")
    decide(page, "Load version 1", "Version 1 is loaded.")
    decide(page, "Shadow version 1", "Version 1 is compared with the default.")
    expect(row(page, 1)).to_contain_text("shadow")
    decide(page, "Canary version 2", "Version 2 answers 10 %.")
    expect(row(page, 2)).to_contain_text("canary 10 %")
    page.get_by_label("Share of version 2 in per cent").fill("25")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(row(page, 2)).to_contain_text("canary 25 %")
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]

    decide(page, "Promote version 2", "Version 2 is the default.")
    expect(row(page, 2)).to_contain_text("promoted")
    expect(page.get_by_role("option", name="default (2)")).to_have_count(1)
    decide(page, "Roll back to 3", "Version 3 is the default again.")
    expect(row(page, 3)).to_contain_text("promoted")
    others = httpx2.post(f"{page.url.split('#')[0]}v2/models/tiny/rollout/promote", json={"version": 2})
    others.raise_for_status()  # someone else decides, and the page sees it
    expect(page.get_by_role("option", name="default (2)")).to_have_count(1)
    expect(page.locator("#versions a[aria-current]")).to_have_text("2")
    decide(page, "End shadow version 1", "The comparison has ended.")
    decide(page, "Unload version 1", "Version 1 is unloaded.")
    expect(row(page, 1)).to_contain_text("not loaded")


def send(process: Process, rows: NDArray[np.float32]) -> None:
    """Have rows predicted."""
    tensor = {"name": "input", "datatype": "FP32", "shape": rows.shape, "data": rows.ravel().tolist()}
    answer = httpx2.post(f"{process.url}/v2/models/convnet/infer", json={"inputs": [tensor]}, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()


def test_a_version_is_recalibrated_from_traffic_or_refused(browser: Browser, tmp_path: Path) -> None:
    with (
        running(tmp_path / "repository") as process,
        watched(browser, f"{process.url}/#/convnet", viewport=NARROW) as watch,
    ):
        page = watch.page
        job = page.locator(".jobs li").first
        bundle = Repository(tmp_path / "repository").read("convnet", 1)
        digits = unpack(bundle.held_out or b"", bundle.manifest.inputs)["input"]
        noise = np.random.default_rng(0).normal(size=digits.shape).astype(np.float32)
        for rows, outcome in ((noise, "Refused"), (0.6 * digits + 0.5, "Published as version 2")):
            page.get_by_label("Rows", exact=True).fill("64")
            decide(page, "Re-calibrate version 1", "The re-calibration has started.")
            expect(job).to_contain_text("Collecting rows")
            send(process, rows)
            expect(job).to_contain_text(outcome)
            expect(job.locator(".gates tbody tr").first).to_be_visible()

        expect(page.locator(".jobs li")).to_have_count(2)
        expect(page.locator(".jobs li").nth(1)).to_contain_text("is below")
        expect(page.locator(".jobs li").nth(1).locator(".gates .failure").first).to_have_text("✗ no")
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        job.get_by_role("link", name="version 2").click()
        expect(page.locator("#about")).to_contain_text("recalibrated, from convnet 1")
        expect(page.get_by_role("heading", name="Gates")).to_be_visible()
        expect(row(page, 2)).to_contain_text("when named")


def unload(page: Page) -> None:
    page.get_by_role("button", name="Unload the model").click()
    page.get_by_role("dialog", name="Unload tiny?").get_by_role("button", name="Unload it").click()


def test_a_change_asks_for_the_token_and_keeps_it_until_it_is_forgotten(browser: Browser, odd: Process) -> None:
    with watched(browser, f"{odd.url}/#/tiny", expected="the server responded with") as watch:
        page = watch.page
        unload(page)
        for token in ("a-token-of-someone-else", TOKEN):
            dialog = page.get_by_role("dialog", name="A token is needed")
            dialog.get_by_label("Token").fill(token)
            dialog.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("alert")).to_have_text("tiny is unloaded.")
        page.get_by_role("button", name="Load it").click()
        expect(page.get_by_role("alert")).to_have_text("tiny is up to date with the repository.")
        assert TOKEN not in page.evaluate(
            "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"
        )

        page.get_by_role("button", name="Forget the token").click()
        unload(page)
        page.get_by_role("dialog", name="A token is needed").get_by_role("button", name="Cancel").click()

        expect(page.get_by_role("alert")).to_contain_text("this needs the admin token")


def test_the_page_lives_under_any_path(browser: Browser, starters: Process) -> None:
    """Behind a proxy that serves it under a prefix, every address is still right."""
    with browser.new_context() as context:
        page = context.new_page()
        asked = []

        def pass_on(route: Route) -> None:
            asked.append(route.request.url)
            route.fulfill(response=route.fetch(url=route.request.url.replace("/models/of/mine/", "/", 1)))

        page.route("**/*", pass_on)
        page.goto(f"{starters.url}/models/of/mine/")
        expect(page.get_by_role("tab")).to_have_count(3)
        page.get_by_role("button", name="Try the example").click()
        expect(page.locator(".answer")).to_be_visible()

        assert len(asked) > 10
        assert all(url.startswith((f"{starters.url}/models/of/mine/", "blob:")) for url in asked), asked
        page.unroute_all(behavior="ignoreErrors")


def test_it_says_when_the_service_is_gone(browser: Browser, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(tiny_bundle())
    with running(repository.root) as process, watched(browser, process.url, expected="ERR_CONNECTION_") as watch:
        expect(watch.page.locator("#model")).to_be_visible()
        process.stop()

        expect(watch.page.locator("#connection")).to_contain_text("does not respond")
