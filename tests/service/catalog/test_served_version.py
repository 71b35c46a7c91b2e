"""What a request asks of the version that answers it."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import LayerNotFound
from service.catalog.served_version import ServedVersion
from tests.bundles import INPUT, NORM, tiny_bundle
from tests.service.catalogs import start

BUNDLE = tiny_bundle()
SERVED = ServedVersion("tiny", 1, BUNDLE.manifest, start(BUNDLE))


def test_rows_are_counted_along_a_free_batch_axis() -> None:
    assert SERVED.is_batchable
    assert SERVED.count_rows({INPUT: np.ones((3, 4), np.float32)}) == 3


def test_a_request_with_a_fixed_batch_axis_is_one_row() -> None:
    inputs = tuple(spec.model_copy(update={"shape": (3, 4)}) for spec in BUNDLE.manifest.inputs)
    fixed = replace(SERVED, manifest=BUNDLE.manifest.model_copy(update={"inputs": inputs}))

    assert not fixed.is_batchable
    assert fixed.count_rows({INPUT: np.ones((3, 4), np.float32)}) == 1


def test_layers_have_names() -> None:
    assert SERVED.layer(NORM) is BUNDLE.manifest.norm_layers[0]
    with pytest.raises(LayerNotFound, match="'nothing'"):
        SERVED.layer("nothing")


def test_layers_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        SERVED.layers["new"] = BUNDLE.manifest.norm_layers[0]  # type: ignore[index]
