"""The convolutional network for sentences of Kim (2014, "Convolutional Neural Networks for Sentence Classification").

Its variant CNN-rand, whose word vectors are learned with the rest, with batch normalisation after each convolution.
Every normalisation layer directly follows a convolution, so every one can be folded.
"""

import torch
from torch import Tensor, nn

from models.tokenization import FIRST

_SMALLEST_WINDOW = 3
_WORD_DIMENSIONS = 64
_DROPOUT = 0.5
_INITIAL_RANGE = 0.25
"""Of word vectors: uniform from -0.25 to 0.25, as Kim's (section 3.1)."""


class TextCNN(nn.Module):
    """Word vectors, convolutions of several widths beside each other, the maximum over time, a linear layer.

    Each convolution is followed by BatchNorm1d and ReLU.

    Args:
        vocabulary_size: tokens besides the unknown one.
        num_classes: outputs.
        depth: number of convolutions; they go over 3, 4, 5, ... tokens.
        width: channels of each.
    """

    def __init__(self, vocabulary_size: int, num_classes: int, depth: int = 3, width: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(FIRST + vocabulary_size, _WORD_DIMENSIONS)
        nn.init.uniform_(self.words.weight, -_INITIAL_RANGE, _INITIAL_RANGE)
        self.blocks = nn.ModuleList(_Block(_SMALLEST_WINDOW + i, width) for i in range(depth))
        self.dropout = nn.Dropout(_DROPOUT)
        self.output = nn.Linear(depth * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens), int64 -> (N, num_classes), logits."""
        words = self.words(x).transpose(1, 2)  # (N, dimensions, tokens)
        found = torch.cat([block(words) for block in self.blocks], dim=1)  # (N, depth * width)
        return self.output(self.dropout(found))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, window: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(_WORD_DIMENSIONS, width, window, padding=window // 2, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, words: Tensor) -> Tensor:
        return self.norm(self.conv(words)).relu().amax(dim=2)  # type: ignore[no-any-return]
