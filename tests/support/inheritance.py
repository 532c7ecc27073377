"""Small parents whose every tensor matters, for the tests of inheritance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.build import build
from models.spec import ArchSpec

SIDE = 16


def network(spec: ArchSpec, seed: int = 0) -> nn.Module:
    """In eval mode, with norms, biases and scales far from where they start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = build(spec).eval()
        for name, tensor in made.state_dict().items():
            if name.endswith("running_var") or (name.endswith("weight") and tensor.dim() == 1):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("bias", "running_mean")):
                tensor.normal_(0, 0.3)
            elif tensor.dim() == 3:  # layer scale
                tensor.uniform_(0.2, 1)
            elif tensor.dim() in (2, 4) and spec.norm == "layer":
                tensor.normal_(0, 0.3)
    return made


def pictures(channels: int = 3, count: int = 4, side: int = SIDE, seed: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, side, side, generator=generator)


def outputs(made: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = made.eval()(x)
    return found
