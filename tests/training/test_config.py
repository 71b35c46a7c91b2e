"""The settings of a run."""

import pytest

from models.errors import InvalidInput
from training.config import Config


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"model": "transformer"}, "model"),
        ({"data": "imagenet"}, "data"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 1}, "batch-size"),
        ({"learning_rate": 0.0}, "learning-rate"),
        ({"learning_rate": float("nan")}, "learning-rate"),
        ({"seed": -1}, "seed"),
        ({"width": -4}, "width"),
        ({"threads": 0}, "threads"),
        ({"model": "mlp", "depth": -1}, "depth"),
        ({"model": "convnet", "depth": 5}, "depth"),
        ({"model": "resnet", "depth": 19}, "depth"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(wrong: dict[str, object], field: str) -> None:
    settings: dict[str, object] = {"model": "mlp", "data": "digits"} | wrong

    with pytest.raises(InvalidInput) as caught:
        Config(**settings)  # type: ignore[arg-type]

    assert caught.value.field == field


def test_the_record_states_the_size_that_was_not_asked_for() -> None:
    assert Config("resnet", "digits").to_dict()["depth"] == 8


def test_settings_survive_their_text() -> None:
    config = Config("convnet", "mnist", epochs=7, learning_rate=0.1 + 0.2)

    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize("text", ["", "[]", '{"model": "mlp"}', '{"model": "mlp", "data": "digits", "gpu": 1}'])
def test_a_text_that_is_not_settings_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Config.from_json(text)


def test_a_difference_names_the_settings_that_differ() -> None:
    assert Config("mlp", "digits").difference(Config("mlp", "digits", epochs=6, seed=1)) == "epochs 5 -> 6, seed 0 -> 1"
