"""Prometheus metrics of `auto` mode."""

from collections.abc import Iterable
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from models.repository.auto import Phase
from service.auto.runner import AutoRunner


class AutoMetrics(Collector):
    """The phase of each model for which `auto` mode is on, and the steps that this replica has taken.

    Args:
        runner: takes them.
    """

    def __init__(self, runner: AutoRunner) -> None:
        self._runner = runner

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics as of now."""
        phases = GaugeMetricFamily(
            "denge_auto_phase", "1 for the phase that auto mode is in.", labels=("model", "phase")
        )
        for model, auto in self._runner.states.items():
            for phase in get_args(Phase):
                phases.add_metric((model, phase), auto.phase == phase)
        steps = CounterMetricFamily(
            "denge_auto_steps", "Steps of auto mode that this replica has taken.", labels=("model", "step")
        )
        for (model, step), count in self._runner.steps.items():
            steps.add_metric((model, step), count)
        return phases, steps
