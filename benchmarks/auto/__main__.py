"""A week in `auto` mode, against never re-calibrating, and against an oracle that always serves the best version.

    python -m benchmarks.auto --data-dir data/mnist --model mlp --seeds 0 1 2 [--rows-per-hour 8192] [--verbose]
    python -m benchmarks.auto --data-dir data/mnist --model mlp --attacks
    python -m benchmarks.auto --write docs/recalibration.md

MNIST's test images without those that the bundle keeps, in the conditions of `benchmarks.auto.week`. The figures of a
week are kept in benchmarks/results/auto_<model>.jsonl; one that is there is not simulated again. `--attacks` has rows
that nothing must be published from instead, and prints how many attempts there were. `--rollback-rows` sets this limit,
for comparison. Such weeks, and those that `--hours` ends early, are printed and not kept. `--verbose` prints the
episodes and the steps, and for each rollback how good the versions are that could have answered instead.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.auto.simulation import BASE, START, Simulation
from benchmarks.auto.tally import Tally
from benchmarks.auto.week import ATTACKS, HOURS, Episode, Pool, attacks, week
from benchmarks.mnist_models import STARTERS
from benchmarks.pages import write_between
from models import starter
from models.repository import held_out
from models.repository.auto import AutoLimits
from training.data import mnist

RESULTS = Path(__file__).parent.parent / "results"
IMAGES = 2000
ROWS_PER_HOUR = 8192
HARM = -0.5
"""Points below the base that count as harm."""


def make_pool(folder: Path) -> Pool:
    data = mnist.load(folder)
    images, labels = data.prepare(data.test_images), data.test_labels
    every = np.arange(len(images))
    kept = held_out.choose({"every": every})["every"]
    chosen = np.random.default_rng(1).permutation(np.setdiff1d(every, kept))[:IMAGES]
    return Pool(images[chosen], labels[chosen])


def measure(
    name: str, pool: Pool, seed: int, hours: int, rows_per_hour: int, limits: AutoLimits, *, verbose: bool
) -> dict[str, Any]:
    """Simulate a week, and return its figures."""
    parent = starter.read(name)
    simulation = Simulation(parent, pool, rows_per_hour, limits, seed)
    episodes = [episode for episode in week(seed) if episode.end <= hours]
    simulation.run(episodes)
    if verbose:
        _print(simulation, episodes)
    total = _sum(simulation.by_hour)
    by_hour = [tally.gain("auto") for tally in simulation.by_hour if tally.rows]
    by_day = [_sum(simulation.by_hour[hour : hour + 24]) for hour in range(0, HOURS, 24)]
    return {
        "model": name,
        "seed": seed,
        "rows_per_hour": rows_per_hour,
        "base": 100 * total.right["base"] / total.rows,
        "auto": total.gain("auto"),
        "oracle": total.gain("oracle"),
        "worst_hour": min(by_hour),
        "worst_day": min(tally.gain("auto") for tally in by_day if tally.rows),
        "most_lost": simulation.most_lost,
        "hours_harmed": sum(gain < HARM for gain in by_hour),
        "hours": len(by_hour),
        "published": dict(simulation.published_in),
        "promoted": dict(simulation.promoted_in),
        "refused": dict(simulation.refused_in),
        "steps": dict(Counter(step.step for step in simulation.steps)),
        "groups": {
            group: [tally.gain("auto"), tally.gain("oracle"), tally.rows]
            for group, tally in simulation.by_group.items()
        },
    }


def count_attempts(name: str, pool: Pool, rows_per_hour: int) -> str:
    """What came of rows that nothing must be published from."""
    parent = starter.read(name)
    simulation = Simulation(parent, pool, rows_per_hour, AutoLimits(), 0)
    simulation.run(attacks())
    return "\n".join(
        f"{name}, {group}: {simulation.published_in[group]} of "
        f"{simulation.published_in[group] + simulation.refused_in[group]} attempts published, "
        f"{simulation.promoted_in[group]} promoted"
        for group in ATTACKS
    )


def table(weeks: Sequence[dict[str, Any]]) -> str:
    """The figures of all weeks."""
    titles = (
        *("", "seed", "rows an hour", "base", "auto mode gains", "the oracle", "share of it", "hours that lose > 0.5"),
        *(
            "worst hour",
            "most answers lost",
            "worst day",
            "promoted",
            "rolled back",
            "published from letters, crafted, one class",
        ),
    )
    parts = [f"| {' | '.join(titles)} |".replace("|  |", "| |"), "|---" * len(titles) + "|"]
    for one in weeks:
        share = one["auto"] / one["oracle"]
        found = {group: str(one["published"].get(group, 0)) for group in one["groups"]}
        published = ", ".join(found.get(group, "-") for group in ATTACKS)
        steps = one["steps"]
        parts.append(
            f"| `{one['model']}` | {one['seed']} | {one['rows_per_hour']:,} | {one['base']:.1f} | "
            f"{one['auto']:+.1f} | {one['oracle']:+.1f} | {share:.0%} | {one['hours_harmed']} of {one['hours']} | "
            f"{one['worst_hour']:+.1f} | {one['most_lost']} | {one['worst_day']:+.1f} | "
            f"{steps.get('promoted', 0)} | {steps.get('rolled_back', 0)} | {published} |"
        )
    return "\n".join(parts)


def _sum(tallies: Sequence[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(tally.rows, **tally.right)
    return total


def _print(simulation: Simulation, episodes: Sequence[Episode]) -> None:
    for episode in episodes:
        print(f"{episode.start:6.1f} to {episode.end:6.1f} {episode.condition}")
    for step in simulation.steps:
        print(f"{(step.at - START) / 3600:7.2f} {step.step:12s} {step.version} {step.reason}")
        if step.step == "rolled_back":
            print(_choices(simulation, episodes, step.at))


def _choices(simulation: Simulation, episodes: Sequence[Episode], at: float) -> str:
    """How many right answers the versions give that a rollback could have led to."""
    hour = (at - START) / 3600
    condition = next(episode.condition for episode in episodes if hour <= episode.end)
    found = simulation.accuracies(condition)
    promoted = {step.version for step in simulation.steps if step.step == "promoted" and step.at < at}
    best = max(promoted, key=lambda version: found[version])
    oracle = f", the oracle {found['oracle']:.1%}" if "oracle" in found else ""
    return (
        f"        {condition}: base {found[BASE]:.1%}, best of those promoted before {best} {found[best]:.1%}{oracle}"
    )


def _read(name: str) -> list[dict[str, Any]]:
    path = RESULTS / f"auto_{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=STARTERS, help="to measure")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--hours", type=int, default=HOURS, help="of the week, from its beginning")
    parser.add_argument("--rows-per-hour", type=int, default=ROWS_PER_HOUR, help="of the traffic")
    parser.add_argument("--rollback-rows", type=int, help="the limit, for comparison")
    parser.add_argument("--attacks", action="store_true", help="rows that nothing must be published from")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--write", type=Path, help="page whose table is written")
    options = parser.parse_args()
    if options.model and options.attacks:
        print(count_attempts(options.model, make_pool(options.data_dir), options.rows_per_hour))
    elif options.model:
        pool = make_pool(options.data_dir)
        keep = options.rollback_rows is None and options.hours >= HOURS
        limits = AutoLimits() if options.rollback_rows is None else AutoLimits(rollback_rows=options.rollback_rows)
        rate = options.rows_per_hour
        done = {one["seed"] for one in _read(options.model) if one["rows_per_hour"] == rate} if keep else set()
        for seed in sorted({*options.seeds} - done):
            found = measure(options.model, pool, seed, options.hours, rate, limits, verbose=options.verbose)
            if keep:
                with (RESULTS / f"auto_{options.model}.jsonl").open("a") as file:
                    file.write(json.dumps(found) + "\n")
            print(table([found]), flush=True)
    if options.write:
        write_between(options.write, "auto", table([one for name in STARTERS for one in _read(name)]))


if __name__ == "__main__":
    main()
