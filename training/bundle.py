"""A trained network -> population statistics -> bundle."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from torch import Tensor

from models.assemble import assemble, signed_lineage
from models.manifest import TrainingRecord
from models.repository import held_out
from models.repository.bundle import Bundle
from training import layer_watch, population
from training.config import Config
from training.export import export
from training.processes import ALONE, Processes
from training.published_part import PublishedPart


def store_statistics(part: PublishedPart, processes: Processes = ALONE) -> dict[str, float]:
    """Store population statistics in a trained network.

    Args:
        part: its network's statistics are replaced, and it is left in evaluation mode.
        processes: estimate the statistics together.

    Returns:
        The figures on the test rows, with these statistics and with the averages of training, for the record.
    """
    before = part.metrics()
    population.store_statistics(part.network.eval(), population.batches(part.training_rows()), processes)
    return part.metrics() | {f"{name}_with_running_averages": value for name, value in before.items()}


def make(
    name: str,
    config: Config,
    part: PublishedPart,
    metrics: Mapping[str, float],
    history: Mapping[str, Tensor] = MappingProxyType({}),
    *,
    half_weights: bool = False,
    watch_image: bool = False,
    watch_margin: bool = False,
) -> Bundle:
    """Make the bundle of a network that has its population statistics.

    Args:
        name: of the model.
        config: the settings it was trained with, for the record.
        part: its network is in evaluation mode. The graphs are compared on its test rows, and these set the thresholds
            of drift alarms.
        metrics: of the network, for the record.
        history: statistics of its layers in training, as the checkpoint has them; empty if they were not watched.
        half_weights: store the weights in half precision.
        watch_image, watch_margin: what is watched besides the layers, as of `models.model_info.ModelInfo`.

    Raises:
        GraphError: the network cannot be exported, a graph does not compute the same as the network, or half precision
            changes its answers.
    """
    held_out_rows = {part.input_name: part.test_rows.numpy()}
    exported = export(part.network, part.test_rows[:2], input_names=[part.input_name], output_names=[part.output_name])
    return assemble(
        exported.graph,
        replace(part.info(name), half_weights=half_weights, watch_image=watch_image, watch_margin=watch_margin),
        signed_lineage("trained"),
        training=TrainingRecord(config=config.to_dict(), metrics=dict(metrics)),
        training_history=layer_watch.describe(history),
        oracle=exported.oracle,
        rows=held_out_rows,
        held_out=held_out.keep(held_out_rows),
    )
