"""A trained network -> population statistics -> bundle."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor, nn

from models.assemble import assemble, signed_lineage
from models.manifest import TrainingRecord
from models.model_info import ModelInfo
from models.repository import held_out
from models.repository.bundle import Bundle
from training import latents, layer_watch, loop, population, report
from training.config import Config
from training.data.dataset import Dataset, ImageDataset
from training.export import export
from training.networks.dcgan import DCGAN
from training.processes import ALONE, Processes
from training.run import Rows

INPUT = "input"
OUTPUT = "logits"


_LATENTS_SEED = 0
"""Of the rows that a generator's statistics are of. The bundle's own rows have the next one."""


def describe_test(network: nn.Module, data: Dataset, rows: Rows) -> str:
    """The accuracy on the test rows and the confusions, as text for the terminal. A generator has none.

    Args:
        network: trained.
        data: gives the names of the classes.
        rows: of the data set.
    """
    if isinstance(network, DCGAN):
        return ""
    counts = loop.evaluate(network, rows.test, rows.test_labels)
    accuracy = f"test accuracy {loop.accuracy(counts):.2%} of {len(rows.test)} rows"
    return f"\n{accuracy}\n\n{report.confusion(counts, data.class_names)}"


def store_statistics(network: nn.Module, data: Dataset, rows: Rows, processes: Processes = ALONE) -> dict[str, float]:
    """Store population statistics in a trained network: of the training rows, or of as many latents of a generator.

    Args:
        network: trained; its statistics are replaced, and it is left in evaluation mode.
        data: the data set.
        rows: of the data set.
        processes: estimate the statistics together.

    Returns:
        The accuracies on the test rows, with these statistics and with the averages of training, for the record. None
        of a generator.
    """
    if isinstance(network, DCGAN) and isinstance(data, ImageDataset):
        drawn = latents.draw(data, len(rows.train), _LATENTS_SEED)
        population.store_statistics(network.generator.eval(), population.batches(drawn))
        return {}
    before = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    population.store_statistics(network.eval(), population.batches(rows.train), processes)
    accuracy = loop.accuracy(loop.evaluate(network, rows.test, rows.test_labels))
    return {"test_accuracy": accuracy, "test_accuracy_with_running_averages": before}


def make(
    name: str,
    config: Config,
    network: nn.Module,
    data: Dataset,
    rows: Rows,
    metrics: Mapping[str, float],
    history: Mapping[str, Tensor] = MappingProxyType({}),
) -> Bundle:
    """Make the bundle of a network that has its population statistics. Of a DCGAN it is its generator's.

    Args:
        name: of the model.
        config: the settings it was trained with, for the record.
        network: in evaluation mode.
        data: gives the names of the classes, and how its inputs are prepared.
        rows: the graphs are compared on test rows, and these set the thresholds of drift alarms; of a generator, on as
            many latents.
        metrics: of the network, for the record.
        history: statistics of its layers in training, as the checkpoint has them; empty if they were not watched.

    Raises:
        GraphError: the network cannot be exported, or a graph does not compute the same as the network.
    """
    info, test_rows, input_name, output_name = data.info(name), rows.test, INPUT, OUTPUT
    if isinstance(network, DCGAN) and isinstance(data, ImageDataset):
        network, info = network.generator, ModelInfo(name, generation=latents.generation(data))
        test_rows = latents.draw(data, len(rows.test), _LATENTS_SEED + 1)
        input_name, output_name = latents.INPUT, latents.OUTPUT
    held_out_rows = {input_name: test_rows.numpy()}
    exported = export(network, test_rows[:2], input_names=[input_name], output_names=[output_name])
    return assemble(
        exported.graph,
        info,
        signed_lineage("trained"),
        training=TrainingRecord(config=config.to_dict(), metrics=dict(metrics)),
        training_history=layer_watch.describe(history),
        oracle=exported.oracle,
        rows=held_out_rows,
        held_out=held_out.keep(held_out_rows),
    )
