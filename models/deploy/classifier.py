"""A network with what it expects of pictures inside: pixels in, probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.deploy.preprocessing import Preprocessing


class Classifier(nn.Module):
    """uint8 (N, channels, side, side) → probabilities (N, classes).

    Nothing is resized: the pictures are the square that ``Preprocessing.resize`` makes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, expects: Preprocessing) -> None:
        super().__init__()
        self.network = network
        for name in ("mean", "std"):
            values = 255 * torch.tensor(getattr(expects, name))[:, None, None]
            self.register_buffer(name, values, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network((pixels.float() - self.mean) / self.std)
        return logits.softmax(1)
