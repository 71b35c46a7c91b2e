"""The command of a benchmark that measures one model after the other, and has one table of all."""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.drift.rows import Model, TestImages
from benchmarks.mnist_models import add_options, read_model
from benchmarks.pages import write_between


def run(description: str, measure: Callable[[Model, TestImages], None], table: Callable[[], str], name: str) -> None:
    """Measure the model that is asked for, print the table, and put it into a page if one is given.

    Args:
        description: what the command says of itself.
        measure: a model.
        table: of all that was measured, as Markdown.
        name: of the table in a page.
    """
    parser = argparse.ArgumentParser(description=description)
    add_options(parser)
    parser.add_argument("--write", type=Path, help="page to put the table into")
    options = parser.parse_args()
    if options.model:
        measure(Model.of(read_model(options.model, options.resnet)), TestImages(options.data_dir))
    print(table())
    if options.write:
        write_between(options.write, name, table())
