"""How images become rows."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.manifest import ImagePreprocessing

GREY: dict[str, Any] = {"mode": "grey", "height": 8, "width": 8, "scale": 1, "mean": (0,), "std": (1,)}


class TestImagePreprocessing:
    @pytest.mark.parametrize(("mode", "count"), [("grey", 1), ("rgb", 3)])
    @pytest.mark.parametrize("field", ["mean", "std"])
    def test_there_is_one_mean_and_std_per_colour_channel(self, mode: str, count: int, field: str) -> None:
        good = {**GREY, "mode": mode, "mean": (0,) * count, "std": (1,) * count}
        ImagePreprocessing(**good)
        for wrong in (0, 2, 4):
            with pytest.raises(ValidationError, match=f"mode '{mode}' needs {count} values each of mean and std"):
                ImagePreprocessing(**{**good, field: (1,) * wrong})

    @pytest.mark.parametrize("std", [0, -1])
    def test_std_is_positive(self, std: float) -> None:
        with pytest.raises(ValidationError, match="std must be positive"):
            ImagePreprocessing(**{**GREY, "std": (std,)})

    @pytest.mark.parametrize("field", ["height", "width"])
    def test_an_image_has_a_size(self, field: str) -> None:
        with pytest.raises(ValidationError, match=field):
            ImagePreprocessing(**{**GREY, field: 0})

    def test_another_mode_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="mode"):
            ImagePreprocessing(**{**GREY, "mode": "bgr"})
