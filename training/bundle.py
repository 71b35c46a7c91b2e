"""A trained network -> population statistics -> bundle."""

from torch import nn

from models.assemble import ModelInfo, assemble, signed_lineage
from models.manifest import TrainingRecord
from models.repository import held_out
from models.repository.bundle import Bundle
from training import export, loop, population
from training.config import Config
from training.data.dataset import Dataset
from training.networks import build
from training.run import Rows


def make(name: str, config: Config, network: nn.Module, data: Dataset, rows: Rows) -> Bundle:
    """Store population statistics in the network, and make its bundle.

    Args:
        name: of the model.
        config: the settings it was trained with, for the record.
        network: trained; its statistics are replaced, and it is left in evaluation mode.
        data: gives the names of the classes and the preprocessing.
        rows: statistics are estimated from the training rows. The test rows give the recorded accuracy, which is that
            of the published network, are compared on, and set the thresholds of drift alarms.

    Raises:
        GraphError: the network cannot be exported, or a graph does not compute the same as the network.
    """
    before = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    population.store_statistics(network.eval(), population.batches(rows.train))
    accuracy = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    test_rows = {export.INPUT: rows.test.numpy()}
    return assemble(
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
