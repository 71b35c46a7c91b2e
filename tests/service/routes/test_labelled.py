"""Predictions from images and texts over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.bundles import image_bundle, sentence_bundle
from tests.image_files import encode, png_header, random_pixels
from tests.service.conftest import started

PIXELS = random_pixels(8, 8)


@pytest.mark.parametrize("url", ["/v2/models/shapes/predict", "/v2/models/shapes/versions/1/predict"])
def test_it_answers_what_the_tensor_gives(client: TestClient, url: str) -> None:
    answer = client.post(url, content=encode(PIXELS)).json()
    row = ((PIXELS / 255 - 0.1307) / 0.3081).reshape(1, 1, 8, 8)
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": row.tolist()}
    output = client.post("/v2/models/shapes/infer", json={"inputs": [tensor]}).json()["outputs"][0]["data"]
    softmax = np.exp(output) / np.exp(output).sum()

    assert [entry["label"] for entry in answer["probabilities"]] == ["circle", "square", "star"]
    np.testing.assert_allclose([entry["probability"] for entry in answer["probabilities"]], softmax, rtol=1e-5)
    assert answer["label"] == ["circle", "square", "star"][int(np.argmax(output))]
    assert answer["probability"] == max(entry["probability"] for entry in answer["probabilities"])


def test_what_is_no_image_is_refused_by_field(client: TestClient) -> None:
    response = client.post("/v2/models/shapes/predict", content=b"hello")

    assert response.status_code == 400
    assert response.json()["error"].startswith("body: ")


def test_too_many_pixels_are_too_large(client: TestClient) -> None:
    assert client.post("/v2/models/shapes/predict", content=png_header(20_000, 20_000)).status_code == 413


def test_a_model_of_other_things_says_so(client: TestClient) -> None:
    response = client.post("/v2/models/tiny/predict", content=encode(PIXELS))

    assert response.status_code == 400
    assert "'tiny' has no images" in response.json()["error"]


PATH = "/v2/models/sentences/predict"
PLAIN = {"content-type": "text/plain"}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An application with a model of texts and one of images."""
    repository = Repository(Path(tmp_path_factory.mktemp("texts")))
    repository.publish(sentence_bundle())
    repository.publish(image_bundle())
    with started(repository) as client:
        yield client


@pytest.mark.parametrize("url", [PATH, "/v2/models/sentences/versions/1/predict", f"{PATH}?layer_statistics=true"])
@pytest.mark.parametrize(
    "body",
    [
        {"json": {"text": "Good, good film"}},
        {"content": "Good, good film", "headers": PLAIN},
        {"content": "\ufeffGood, good film".encode(), "headers": {"content-type": "text/plain; charset=utf-8"}},
        {"content": b' {"text": "Good, good film"}'},
        {"content": b"Good, good film"},
    ],
    ids=["JSON", "text", "byte order mark", "JSON without a type", "text without a type"],
)
def test_a_text_is_answered_with_its_class(texts: TestClient, url: str, body: dict[str, object]) -> None:
    answer = texts.post(url, **body).json()  # type: ignore[arg-type]

    assert answer["label"] == "yes"
    assert answer["probability"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert [entry["label"] for entry in answer["probabilities"]] == ["no", "yes"]
    assert answer["layers"] is None


def test_a_list_of_texts_is_answered_with_a_list(texts: TestClient) -> None:
    answer = texts.post(PATH, json={"text": ["bad film", "good"]}).json()

    assert [found["label"] for found in answer["predictions"]] == ["no", "yes"]
    assert [len(found["probabilities"]) for found in answer["predictions"]] == [2, 2]
    assert (answer["model_name"], answer["model_version"]) == ("sentences", "1")
    assert len(texts.post(PATH, json={"text": ["good"]}).json()["predictions"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"json": {"text": ""}}, 400, "text: got a text without words or signs"),
        ({"content": b"", "headers": PLAIN}, 400, "text: got a text without words or signs"),
        ({"json": {"text": "a b c d e f g"}}, 413, "text: got more than 6 words and signs, expected at most so many"),
        ({"json": {"text": ["a", "a b c d e f g"]}}, 413, "text[1]: got more than 6 words and signs"),
        ({"json": {"text": ["a"] * 1025}}, 413, "text: got 1025 texts, expected at most 1024"),
        ({"json": {"text": []}}, 400, "text: got an empty list"),
        ({"json": {"text": 1}}, 400, "text: got a number, expected a string or a list of strings"),
        ({"json": {"text": ["a", None]}}, 400, "text[1]: got null, expected a string"),
        ({"json": {"texts": "a"}}, 400, "texts: unknown field, did you mean 'text'?"),
        ({"json": {}}, 400, "text: missing"),
        ({"json": ["a"]}, 400, "body: got a list, expected an object"),
        ({"content": b"\xff\xfe", "headers": PLAIN}, 400, "body: expected {"),
        ({"content": encode(PIXELS)}, 400, "body: expected {"),
    ],
)
def test_what_is_no_text_is_refused_in_words(
    texts: TestClient, body: dict[str, object], status: int, message: str
) -> None:
    response = texts.post(PATH, **body)  # type: ignore[arg-type]

    assert (response.status_code, response.json()["error"][: len(message)]) == (status, message)


@pytest.mark.parametrize("body", [{"json": {"text": "good"}}, {"content": "good", "headers": PLAIN}])
def test_a_model_of_images_takes_no_text(texts: TestClient, body: dict[str, object]) -> None:
    response = texts.post("/v2/models/shapes/predict", **body)  # type: ignore[arg-type]

    assert response.status_code == 400
    assert response.json()["error"] == "model: 'shapes' has no text: the model takes images"


def test_the_card_says_what_texts_a_model_takes(texts: TestClient) -> None:
    card = texts.get("/v2/models/sentences/card").json()

    assert card["tokenization"] == {"max_tokens": 6, "vocabulary_size": 3}
    assert card["unavailable"]["images"] == "the model takes texts"
    assert "text" not in card["unavailable"]
    assert texts.get("/v2/models/shapes/card").json()["tokenization"] is None
