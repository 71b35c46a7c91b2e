"""Requests that are printed at the start: each is of a model that is served."""

import json
import shlex

from models.manifest import Manifest
from service.http.first_requests import first_requests
from tests.bundles import NORM, generator_bundle, image_bundle, sentence_bundle, tiny_bundle

BASE = "http://127.0.0.1:8000"


def requests(**manifests: Manifest) -> dict[str, str]:
    return dict(first_requests(manifests.items(), BASE, "curl -s"))


def test_a_model_of_images_is_tried_first_and_the_smallest_shows_a_layer() -> None:
    found = requests(tiny=tiny_bundle().manifest, photos=image_bundle().manifest)

    assert found["try"] == f"curl -s --data-binary @image.png {BASE}/v2/models/photos/predict"
    assert found["layers"] == f"curl -s {BASE}/v2/models/photos/layers/{image_bundle().manifest.layers[0].name}"


def test_small_rows_are_written_out() -> None:
    found = requests(tiny=tiny_bundle().manifest)

    *_, address, _, body = shlex.split(found["try"])
    (tensor,) = json.loads(body)["inputs"]
    assert address == f"{BASE}/v2/models/tiny/infer"
    assert len(tensor["data"]) == tensor["shape"][1]
    assert found["layers"].endswith(f"/v2/models/tiny/layers/{NORM}")


def test_texts_and_generators_have_requests_of_their_own() -> None:
    assert "/v2/models/words/predict -H 'Content-Type: text/plain'" in requests(words=sentence_bundle().manifest)["try"]
    assert "/v2/models/digits/generate" in requests(digits=generator_bundle().manifest)["try"]


def test_without_a_model_the_request_lists_the_repository() -> None:
    assert requests() == {"models": f"curl -s -X POST {BASE}/v2/repository/index"}
