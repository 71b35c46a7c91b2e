"""Requests to paste, of models that are served: what the service prints when it has started."""

import json
from collections.abc import Iterable, Iterator
from math import prod

from models.manifest import Manifest

_MAX_VALUES = 16
"""Of a row that is written out."""


def first_requests(served: Iterable[tuple[str, Manifest]], base: str, curl: str) -> Iterator[tuple[str, str]]:
    """Yields a name and a shell command of a prediction and of a layer; without any model, one that lists models.

    Args:
        served: names and manifests of the default versions.
        base: URL of the service.
        curl: the program, with the options that reach it.
    """
    found = sorted(served, key=lambda one: (one[1].preprocessing is None, one[1].tokenization is None, one[0]))
    if not found:
        yield "models", f"{curl} -X POST {base}/v2/repository/index"
        return
    yield "try", _prediction(*found[0], base, curl)
    for name, manifest in sorted(found, key=lambda one: (len(one[1].layers), one[0])):
        if manifest.layers:
            yield "layers", f"{curl} {base}/v2/models/{name}/layers/{manifest.layers[0].name}"
            return


def _prediction(name: str, manifest: Manifest, base: str, curl: str) -> str:
    model = f"{base}/v2/models/{name}"
    if image := manifest.preprocessing:
        is_digit = (image.width, image.height) == (28, 28) and manifest.labels == tuple("0123456789")
        if is_digit:
            return f"{curl} {base}/docs/seven.png | {curl} --data-binary @- {model}/predict"
        return f"{curl} --data-binary @image.png {model}/predict"
    if manifest.tokenization is not None:
        return f"{curl} {model}/predict -H 'Content-Type: text/plain' -d 'a moving , funny film'"
    if manifest.generation is not None:
        return f"{curl} {model}/generate -d '{{\"count\": 4}}' -o images.png"
    shapes = [[max(size, 1) for size in tensor.shape] for tensor in manifest.inputs]
    if sum(map(prod, shapes)) > _MAX_VALUES:
        return f"{curl} {model}"
    inputs = [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": shape, "data": [0] * prod(shape)}
        for tensor, shape in zip(manifest.inputs, shapes, strict=True)
    ]
    return f"{curl} {model}/infer -d '{json.dumps({'inputs': inputs})}'"
