"""The command of a benchmark that measures one model after the other, and has tables of all."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.drift.rows import Model, TestImages
from benchmarks.mnist_models import add_options, read_model
from benchmarks.pages import write_between


def run(
    description: str, measure: Callable[[Model, TestImages], None], tables: Mapping[str, Callable[[], str]]
) -> None:
    """Measure the model that is asked for, print the tables, and put them into a page if one is given.

    Args:
        description: what the command says of itself.
        measure: a model.
        tables: of all that was measured, as Markdown, by their names in a page.
    """
    parser = argparse.ArgumentParser(description=description)
    add_options(parser)
    parser.add_argument("--write", type=Path, help="page to put the tables into")
    options = parser.parse_args()
    if options.model:
        measure(Model.of(read_model(options.model, options.resnet)), TestImages(options.data_dir))
    for name, table in tables.items():
        print(table(), end="\n\n")
        if options.write:
            write_between(options.write, name, table())
