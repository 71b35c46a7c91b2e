"""Numbers per channel, and names."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from models.manifest import MODEL_NAME, Manifest, NormLayer, Parent, channels
from tests.bundles import tiny_bundle

LAYER: dict[str, Any] = tiny_bundle().manifest.norm_layers[0].model_dump()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_channels_give_back_the_same_bits(dtype: type, data: st.DataObject) -> None:
    width = 32 if dtype is np.float32 else 64
    numbers = st.floats(width=width, allow_nan=False, allow_infinity=False)
    values = data.draw(hnp.arrays(dtype, st.integers(1, 8), elements=numbers))

    layer = NormLayer(
        **{**LAYER, "num_features": len(values), "running_var": [1] * len(values)}
        | dict.fromkeys(("running_mean", "gamma", "beta"), channels(values))
    )
    again = NormLayer.model_validate_json(layer.model_dump_json())

    assert np.array(again.gamma, dtype=dtype).tobytes() == values.tobytes()


def test_channels_are_written_with_few_digits() -> None:
    assert channels(np.array([0.1, 1 / 3], dtype=np.float32)) == (0.1, 0.33333334)


class TestNames:
    @pytest.mark.parametrize("name", ["a", "7", "ResNet-18_v1.5", "a" * 128, "default", "con", "a..b", "a."])
    def test_a_name_of_letters_digits_dots_dashes_and_underscores_is_taken(self, name: str) -> None:
        assert tiny_bundle(name=name).manifest.model == name
        assert Parent(model=name, version=1).model == name

    @pytest.mark.parametrize("name", ["", ".a", "-a", "_a", "a\n", "a b", "a/b", "ä", "a\0", "a" * 129, 1, None])
    def test_any_other_is_not(self, name: object) -> None:
        with pytest.raises(ValidationError, match="model"):
            Manifest(**{**tiny_bundle().manifest.model_dump(), "model": name})
        with pytest.raises(ValidationError, match="model"):
            Parent(model=name, version=1)

    @given(st.from_regex(re.compile(MODEL_NAME.pattern), fullmatch=True))
    def test_a_name_is_one_part_of_a_path(self, name: str) -> None:
        assert len(Path(name).parts) == 1
        assert name not in {".", ".."}
