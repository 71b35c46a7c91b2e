"""A trained network -> population statistics -> bundle."""

from collections.abc import Mapping

from torch import nn

from models.assemble import assemble, signed_lineage
from models.manifest import TrainingRecord
from models.repository import held_out
from models.repository.bundle import Bundle
from training import loop, population
from training.config import Config
from training.data.dataset import Dataset
from training.export import export
from training.processes import ALONE, Processes
from training.run import Rows

INPUT = "input"
OUTPUT = "logits"


def store_statistics(network: nn.Module, rows: Rows, processes: Processes = ALONE) -> dict[str, float]:
    """Store population statistics of the training rows in a trained network.

    Args:
        network: trained; its statistics are replaced, and it is left in evaluation mode.
        rows: of the data set.
        processes: estimate the statistics together.

    Returns:
        The accuracies on the test rows, with these statistics and with the averages of training, for the record.
    """
    before = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    population.store_statistics(network.eval(), population.batches(rows.train), processes)
    accuracy = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    return {"test_accuracy": accuracy, "test_accuracy_with_running_averages": before}


def make(
    name: str, config: Config, network: nn.Module, data: Dataset, rows: Rows, metrics: Mapping[str, float]
) -> Bundle:
    """Make the bundle of a network that has its population statistics.

    Args:
        name: of the model.
        config: the settings it was trained with, for the record.
        network: in evaluation mode.
        data: gives the names of the classes, and how its inputs are prepared.
        rows: the graphs are compared on test rows, and these set the thresholds of drift alarms.
        metrics: of the network, for the record.

    Raises:
        GraphError: the network cannot be exported, or a graph does not compute the same as the network.
    """
    test_rows = {INPUT: rows.test.numpy()}
    exported = export(network, rows.test[:2], input_names=[INPUT], output_names=[OUTPUT])
    return assemble(
        exported.graph,
        data.info(name),
        signed_lineage("trained"),
        training=TrainingRecord(config=config.to_dict(), metrics=dict(metrics)),
        oracle=exported.oracle,
        rows=test_rows,
        held_out=held_out.keep(test_rows),
    )
