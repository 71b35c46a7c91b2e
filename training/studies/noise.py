"""Noise after normalisation: Santurkar et al. 2018, section 2.2 and algorithm 1 of the appendix."""

import torch
from torch import Tensor, nn

_MEAN, _SCALE, _SPREAD = 0.5, 1.25, 0.1


class Noise(nn.Module):
    """Shifts and scales each unit, in training by other numbers at every step and, a little, in every row.

    Per step, each unit draws a mean from -0.5 to 0.5 and a scale from 1 to 1.25; each row, a mean and a scale within
    0.1 of those.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C); in evaluation mode unchanged."""
        if not self.training:
            return x
        mean = torch.empty_like(x[0]).uniform_(-_MEAN, _MEAN)
        scale = torch.empty_like(x[0]).uniform_(1, _SCALE)
        mean, scale = (about + torch.empty_like(x).uniform_(-_SPREAD, _SPREAD) for about in (mean, scale))
        return x * scale + mean
