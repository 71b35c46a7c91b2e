"""The command `study`. What it runs is imported when it runs."""

# ruff: noqa: PLC0415

from pathlib import Path
from typing import Literal

from models.errors import InvalidInput
from training.output import Output


def study(
    name: str,
    *,
    size: Literal["quick", "full"] = "full",
    data: Literal["mnist", "digits"] = "mnist",
    data_dir: Path | None = None,
    output: Path = Path("runs/studies"),
    json: bool = False,
) -> None:
    """Measure what is claimed for batch normalisation, and write a page with figures.

    A study that was interrupted goes on with the runs that are not in its file of results.

    Args:
        name: figure-one, learning-rates, inference-mode, stabler, initialisation, regularises, covariate-shift,
            small-batches, or all.
        size: quick, for a look in seconds; or full, in minutes, for the verdict.
        data: Data set to train on.
        data_dir: Folder with its files. data/<data> by default.
        output: Folder for the page, its figures and the results.
        json: Print one JSON object, with the page of each study, and the rest on the standard error.
    """
    import torch

    from training.data.dataset import ImageDataset
    from training.data.load import load
    from training.studies.conduct import STUDIES, conduct, validate_study

    names = list(STUDIES) if name == "all" else [name]
    for found in names:
        validate_study(found)
    torch.set_num_threads(1)
    images = load(data, data_dir)
    if not isinstance(images, ImageDataset):
        raise InvalidInput(f"'{data}' has no images", "data")
    printed = Output(as_json=json)
    for found in names:
        printed.say(f"{found}:")
        conduct(found, size, images, output, printed.say)
    if json:
        printed.result("", {"pages": {found: str(output / f"{found}.md") for found in names}})
