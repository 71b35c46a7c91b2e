"""Verdicts follow from figures that are made up, and measuring does not change what is measured."""

from typing import Any

import numpy as np
import pytest
import torch

from training.config import Config
from training.data.dataset import ImageDataset
from training.run import Rows
from training.studies import covariate_shift, initialisation, regularises, small_batches, stabler
from training.studies.noise import Noise

Runs = list[tuple[Any, Any]]


def test_a_rate_is_stable_only_if_no_seed_diverges() -> None:
    def run(rate: float, loss: float | None, *, normalized: bool, seed: int = 0) -> tuple[Any, Any]:
        return {"depth": 3, "rate": rate, "normalized": normalized, "seed": seed}, {"loss": loss}

    runs: Runs = [
        *(run(0.1, 0.3, normalized=normalized, seed=seed) for normalized in (False, True) for seed in (0, 1)),
        run(1.0, 0.2, normalized=True),
        run(1.0, 0.4, normalized=True, seed=1),
        run(1.0, 0.2, normalized=False),
        run(1.0, 2.3, normalized=False, seed=1),
        *(run(9.0, None, normalized=normalized, seed=seed) for normalized in (False, True) for seed in (0, 1)),
    ]

    findings = stabler.conclude(runs)

    assert findings.verdict == (
        "3 layers: the largest learning rate at which no seed diverges is 1 with BN and 0.1 without."
    )
    assert findings.table == [
        ["3 layers, without BN", "2", "0.30", "2.30", "-", "0.1", "1, 0.1"],
        ["3 layers, with BN", "2", "0.30", "0.40", "-", "1", "1, 1"],
    ]


def test_a_scale_is_trained_from_half_of_the_best_accuracy() -> None:
    runs: Runs = [
        ({"scale": scale, "normalized": normalized, "seed": 0}, {"accuracy": accuracy})
        for scale, normalized, accuracy in (
            (0.1, False, 0.9),
            (1.0, False, 0.44),
            (0.1, True, 0.9),
            (1.0, True, 0.45),
        )
    ]

    verdict = initialisation.conclude(runs).verdict

    assert "Of 2 scales, 2 (0.1, 1) are trained with BN, and 1 (0.1) without." in verdict
    assert "are 45.0 points of accuracy with BN, and 46.0 without" in verdict


def test_a_gap_is_narrower_only_beyond_both_intervals() -> None:
    gaps = {"neither": (0.20, 0.22), "BN": (0.10, 0.12), "dropout": (0.15, 0.25), "both": (0.40, 0.42)}
    runs: Runs = [
        ({"arm": arm, "batch": 32, "seed": seed}, {"train": 1.0, "test": 1 - gap})
        for arm, found in gaps.items()
        for seed, gap in enumerate(found * 5)
    ]

    verdict = regularises.conclude(runs).verdict

    assert verdict == (
        "That BN regularises is seen here. With BN the gap is narrower in batches of 32. With dropout the gap is not "
        "measurably other at any batch size. With both the gap is wider in batches of 32."
    )


def test_small_batches_are_compared_with_large_ones() -> None:
    runs: Runs = [
        ({"norm": norm, "batch": batch, "seed": 0}, {"accuracy": accuracy, "precise": accuracy + 0.01})
        for norm, batch, accuracy in (
            ("BN", 2, 0.8),
            ("BN", 256, 0.95),
            ("GroupNorm", 2, 0.94),
            ("GroupNorm", 256, 0.94),
            ("LayerNorm", 2, 0.93),
            ("LayerNorm", 256, 0.93),
        )
    ]

    verdict = small_batches.conclude(runs).verdict

    assert "Batches of 2: 80.0 ± 0.0 % (BN, EMA), 81.0 ± 0.0 % (BN, PreciseBN), 94.0 ± 0.0 % (GroupNorm)" in verdict
    assert "by +1.0 ± 0.0, +1.0 ± 0.0 points for batches of 2, 256" in verdict


_MEASURES = ("moments", "difference", "cosine", "range", "change", "smoothness")


def _arm(arm: str, accuracy: float, measure: float) -> Runs:
    """Three seeds of one arm, whose measures are all the same."""
    return [
        (
            {"arm": arm, "seed": seed},
            {
                "step": [40, 80],
                "accuracy": [accuracy + seed / 1000] * 2,
                **dict.fromkeys(_MEASURES, [measure + seed / 100] * 2),
                "moments by layer": [[measure / 10, measure]] * 2,
                "difference by layer": [[measure]] * 2,
            },
        )
        for seed in range(3)
    ]


def test_the_claimed_reason_is_not_seen_if_the_noisy_network_shifts_more_and_starts_faster() -> None:
    runs = [*_arm("without BN", 0.5, 0.2), *_arm("with BN", 0.8, 0.1), *_arm("BN and noise", 0.7, 0.8)]

    findings = covariate_shift.conclude(runs)

    assert (
        "BN reduces the shift of the moments: holds here (shift of the moments (symmetric KL) 0.11, without BN 0.21, "
        "with noise after BN 0.81)." in findings.verdict
    )
    assert findings.verdict.endswith(
        "That the smaller shift is why BN trains faster: not seen here. With noise after BN the moments shift 3.9 "
        "times as much as without BN; the accuracy at step 40 is 0.701 with noise, 0.501 without BN and 0.801 with BN."
    )
    assert set(findings.figures) == {"accuracy", *_MEASURES, "moments-by-layer", "difference-by-layer"}
    assert ">layer</text>" in findings.figures["moments-by-layer"]


@pytest.mark.parametrize(
    ("noisy", "shift", "told"),
    [(0.3, 0.8, "not excluded here"), (0.5, 0.8, "cannot be told here"), (0.7, 0.2, "cannot be told here")],
    ids=["starts slower", "starts alike", "shifts alike"],
)
def test_other_runs_do_not_speak_against_the_claimed_reason(noisy: float, shift: float, told: str) -> None:
    runs = [*_arm("without BN", 0.5, 0.2), *_arm("with BN", 0.8, 0.21), *_arm("BN and noise", noisy, shift)]

    verdict = covariate_shift.conclude(runs).verdict

    assert f"is why BN trains faster: {told}." in verdict
    assert "BN makes the loss smoother along the gradient: not seen here" in verdict


def test_the_opposite_of_a_claim_is_said() -> None:
    runs = [*_arm("without BN", 0.5, 0.2), *_arm("with BN", 0.8, 0.4), *_arm("BN and noise", 0.7, 0.4)]

    assert "BN reduces the shift of the gradients: the opposite holds here" in covariate_shift.conclude(runs).verdict


def test_measuring_a_step_does_not_change_the_training(digit_images: ImageDataset) -> None:
    rows = Rows.of(Config("mlp", "digits"), digit_images)

    def measure(points: int, arm: str = "with BN") -> Any:
        torch.manual_seed(0)
        return covariate_shift.measure({"arm": arm, "steps": 6, "points": points, "seed": 0}, rows)

    often, seldom = measure(2), measure(1)

    assert (often["step"], seldom["step"]) == ([3, 6], [6])
    assert often["accuracy"][-1] == seldom["accuracy"][-1]
    assert often["difference"][-1] == pytest.approx(seldom["difference"][-1], rel=1e-3)
    assert all(-1 <= cosine <= 1 for cosine in often["cosine"])
    for name, layers in (("moments", 5), ("difference", 5)):
        assert [len(found) for found in often[f"{name} by layer"]] == [layers] * 2
        assert [np.mean(found) for found in often[f"{name} by layer"]] == pytest.approx(often[name])
    # Noise that is drawn anew moves the inputs of the activations far more than a step of the weights does.
    assert min(measure(1, "BN and noise")["moments"]) > 2 * max(seldom["moments"])


def test_noise_shifts_units_of_a_batch_together_and_nothing_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    noise, x = Noise(), torch.randn(4096, 32)

    y = noise(x)

    assert y.mean(dim=0).abs().max() > 0.3
    assert (y - y.mean(dim=0)).std(dim=0).max() < 1.4
    assert torch.equal(noise.eval()(x), x)
