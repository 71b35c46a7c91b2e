"""Images from generators over HTTP."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.wire.generation import MAX_IMAGES
from tests.bundles import generator_bundle, image_bundle
from tests.service.conftest import started

PATH = "/v2/models/drawn/generate"
JSON = {"accept": "application/json"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An application with a generator of images of 2 x 2, and a model that is none."""
    repository = Repository(Path(tmp_path_factory.mktemp("drawn")))
    repository.publish(generator_bundle())
    repository.publish(image_bundle())
    with started(repository) as client:
        yield client


def expected(seed: int, count: int, classes: list[int]) -> NDArray[np.float32]:
    """The images: the second and third number of the noise, and 1 at the class."""
    noise = np.random.default_rng(seed).standard_normal((count, 3), np.float32)[:, 1:]
    one_hot = np.eye(2, dtype=np.float32)[classes]
    return np.concatenate([noise, one_hot], axis=1).reshape(count, 1, 2, 2)


@pytest.mark.parametrize("url", [PATH, "/v2/models/drawn/versions/1/generate"])
def test_tensors_are_those_of_the_seed_with_each_class_in_turn(drawn: TestClient, url: str) -> None:
    response = drawn.post(url, json={"seed": 7, "count": 3}, headers=JSON)

    (output,) = response.json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("images", "FP32", [3, 1, 2, 2])
    np.testing.assert_array_equal(np.float32(output["data"]), expected(7, 3, [0, 1, 0]).reshape(-1))
    assert response.json()["parameters"] == {"seed": 7}
    assert response.headers["x-seed"] == "7"


def test_a_sheet_has_all_images_of_the_class_from_left_to_right(drawn: TestClient) -> None:
    response = drawn.post(PATH, json={"seed": 7, "count": 3, "class": "yes"})

    assert response.headers["content-type"] == "image/png"
    pixels = np.asarray(Image.open(BytesIO(response.content)))
    images = np.rint(((expected(7, 3, [1, 1, 1]) + 1) * 127.5).clip(0, 255))[:, 0]
    np.testing.assert_array_equal(pixels, np.block([[images[0], images[1]], [images[2], np.zeros((2, 2))]]))


def test_without_a_seed_one_is_drawn_and_stated(drawn: TestClient) -> None:
    responses = [drawn.post(PATH, headers=JSON) for _ in range(2)]
    seeds = [int(response.headers["x-seed"]) for response in responses]

    assert seeds[0] != seeds[1]
    again = drawn.post(PATH, json={"seed": seeds[0]}, headers=JSON)
    assert again.json() == responses[0].json()


def test_images_of_a_smaller_count_are_the_first_of_a_larger_one(drawn: TestClient) -> None:
    few, many = (
        drawn.post(PATH, json={"seed": 1, "count": count}, headers=JSON).json()["outputs"][0]["data"]
        for count in (2, 5)
    )

    assert few == many[: len(few)]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"count": 0}, 400, "count: got 0, expected an integer of at least 1"),
        ({"count": True}, 400, "count: got "),
        ({"count": MAX_IMAGES + 1}, 413, "count: got 1025 images, expected at most 1024 in a request to this model"),
        ({"seed": -1}, 400, "seed: got -1, expected an integer from 0 to 9007199254740991"),
        ({"seed": 2**53}, 400, "seed: got "),
        ({"class": "maybe"}, 400, "class: got 'maybe', expected one of no, yes"),
        ({"class": 1}, 400, "class: got "),
        ({"size": 1}, 400, "size: unknown field"),
        ([], 400, "body: got "),
    ],
)
def test_what_is_wrong_is_named(drawn: TestClient, body: object, status: int, error: str) -> None:
    response = drawn.post(PATH, json=body)

    assert response.status_code == status
    assert response.json()["error"].startswith(error)


def test_a_model_that_is_no_generator_says_so(drawn: TestClient) -> None:
    response = drawn.post("/v2/models/shapes/generate", json={})

    assert response.status_code == 400
    assert response.json()["error"].startswith("model: 'shapes' has no generation: its manifest does not say")


def test_the_card_says_how_the_input_is_drawn(drawn: TestClient) -> None:
    assert drawn.get("/v2/models/drawn/card").json()["generation"]["classes"] == ["no", "yes"]
    assert drawn.get("/v2/models/shapes/card").json()["generation"] is None
