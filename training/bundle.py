"""A trained network -> population statistics -> bundle."""

from collections.abc import Callable

from torch import nn

from models.assemble import ModelInfo, assemble, signed_lineage
from models.manifest import TrainingRecord
from models.repository import held_out
from models.repository.bundle import Bundle
from training import calibrate, export, loop, report
from training.config import Config
from training.data.dataset import Dataset
from training.networks import build
from training.run import Rows


def test(network: nn.Module, data: Dataset, rows: Rows, *, say: Callable[[str], None]) -> float:
    """Print how the network does on the test rows, and return its accuracy."""
    counts = loop.evaluate(network, rows.test, rows.test_labels)
    accuracy = loop.accuracy(counts)
    say(f"\ntest accuracy {accuracy:.2%} of {len(rows.test)} rows\n")
    say(report.confusion(counts, data.class_names))
    return accuracy


def make(
    name: str, config: Config, network: nn.Module, data: Dataset, rows: Rows, *, say: Callable[[str], None]
) -> Bundle:
    """Give the network its population statistics, and make the bundle.

    Args:
        name: of the model.
        config: the settings it was trained with, for the record.
        network: trained; its statistics are replaced and it is left in evaluation mode.
        data: names the classes and the preprocessing.
        rows: the training rows give the statistics; the test rows give the recorded accuracy, which is that of the
            network as it is published, and the real rows that the graphs are compared on.
        say: is told what came out.

    Raises:
        GraphError: the network cannot be exported, or the graphs do not compute what it computes.
    """
    before = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    calibrate.calibrate(network.eval(), calibrate.batches(rows.train))
    accuracy = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    say(f"test accuracy with population statistics {accuracy:.2%}")
    test_rows = {export.INPUT: rows.test.numpy()}
    bundle = assemble(
        export.source_graph(network, build.row_shape(config, data)),
        ModelInfo(name, labels=data.class_names, preprocessing=data.preprocessing),
        signed_lineage("trained"),
        training=TrainingRecord(
            config=config.to_dict(),
            metrics={"test_accuracy": accuracy, "test_accuracy_with_running_averages": before},
        ),
        oracle=export.oracle(network),
        rows=test_rows,
        held_out=held_out.keep(test_rows),
    )
    say(report.layers(bundle.manifest.norm_layers))
    say(report.parity(bundle.manifest.parity))
    say(report.thresholds(bundle.manifest.drift))
    return bundle
