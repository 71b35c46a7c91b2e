"""Logistic regression of shares on signs, by Newton's method, with a small ridge."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from models.batchnorm import Float64

_STEPS = 50
_MIN_SPREAD = 1e-3


@dataclass(frozen=True)
class LogisticRegression:
    """Shares that follow ``1 / (1 + exp(-(b0 + b . signs)))``.

    Attributes:
        mean, spread: of the signs that it was fitted to, shape (s,).
        weights: the intercept, and one for each sign in units of its spread, shape (1 + s,).
    """

    mean: Float64
    spread: Float64
    weights: Float64

    @classmethod
    def fit(cls, signs: Float64, shares: Float64, counts: Float64 | None = None, *, ridge: float) -> Self:
        """Fit to shares.

        Args:
            signs: shape (n, s).
            shares: 0 to 1, shape (n,).
            counts: how much each counts relative to the others, shape (n,); all the same where absent.
            ridge: penalty of the squared weights but the intercept, in log likelihood of one share.
        """
        mean, spread = signs.mean(axis=0), np.maximum(signs.std(axis=0), _MIN_SPREAD)
        design = np.column_stack([np.ones(len(signs)), (signs - mean) / spread])
        count = np.ones(len(signs)) if counts is None else counts / counts.mean()
        penalty = ridge * len(signs) * np.diag([0.0] + [2.0] * signs.shape[1])
        weights = np.zeros(design.shape[1])
        for _ in range(_STEPS):
            p = sigmoid(design @ weights)
            slope = design.T @ (count * (shares - p)) - penalty @ weights
            curvature = (design.T * (count * np.maximum(p * (1 - p), 1e-4))) @ design + penalty
            step = np.linalg.solve(curvature, slope)
            weights = weights + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        return cls(mean, spread, weights)

    def predict(self, signs: Float64) -> Float64:
        """Shares, shape (n,), for signs of shape (n, s)."""
        return sigmoid(self.weights[0] + ((signs - self.mean) / self.spread) @ self.weights[1:])


def sigmoid(odds: Float64) -> Float64:
    """Shares with these log odds."""
    share: Float64 = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return share


def log_odds(shares: Float64) -> Float64:
    """Log odds of shares, each of which counts as at least 0.01 and at most 0.99."""
    p = np.clip(shares, 0.01, 0.99)
    odds: Float64 = np.log(p / (1 - p))
    return odds
