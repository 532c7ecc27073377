"""The two state dicts of an inheritance, and one layer's tensors carried from one to the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.build import build
from models.inherit import rules
from models.inherit.maps import Map
from models.inherit.units import Named
from models.plan import Conv, Linear
from models.pretrained import load_weights
from models.spec import ArchSpec

_LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Tensors:
    """``mine`` start fresh and become the child's, ``theirs`` are the parent's, which as a module
    in eval mode is ``donor``; nothing is shared with the weights that were given.

    inherited   by part (``stem``, ``stages.0`` …): how many of the child's parameters are the
                parent's; those of added layers do not count
    shared      by part: how many different ones of the parent's those are

    Raises ValueError where the weights are another network's than the parent.
    """

    def __init__(
        self, parent: ArchSpec, weights: Mapping[str, Tensor], child: ArchSpec, seed: int
    ) -> None:
        self.donor = _seeded(parent, 0).eval()
        load_weights(self.donor, weights)
        self.theirs: dict[str, Tensor] = dict(self.donor.state_dict())
        stem = "stem.0.weight"
        self.theirs[stem] = rules.recoloured(self.theirs[stem], child.in_channels)
        self.mine: dict[str, Tensor] = dict(_seeded(child, seed).state_dict())
        self.generator = torch.Generator().manual_seed(seed)
        self.eps = parent.norm_eps, child.norm_eps
        self.inherited: Counter[str] = Counter()
        self.shared: Counter[str] = Counter()

    def carry(self, mine: Named, theirs: Named, inn: Map, out: Map, counted: bool) -> None:
        """All tensors of a layer that the donor's has too, by the maps of what it reads and
        writes."""
        (name, layer), (other, donor) = mine, theirs
        groups, padding = (1, 1), (0, 0)
        if isinstance(layer, Conv) and isinstance(donor, Conv):
            groups, padding = (layer.groups, donor.groups), (layer.padding, donor.padding)
        for leaf in _LEAVES:
            fresh = self.mine.get(f"{name}.{leaf}")
            there = self.theirs.get(f"{other}.{leaf}")
            if fresh is None or there is None:
                continue
            if isinstance(layer, Conv | Linear) and leaf == "weight":
                found = rules.weights(fresh, there, out, inn, groups, padding, self.generator)
            else:
                found = rules.vector(fresh, there, out)
            self.mine[f"{name}.{leaf}"] = found.tensor
            if counted and leaf in ("weight", "bias"):
                self.inherited[part_of(name)] += found.inherited
                self.shared[part_of(name)] += found.shared
        if f"{name}.running_var" in self.mine and self.eps[0] != self.eps[1]:
            variance = self.mine[f"{name}.running_var"]
            factor = ((variance + self.eps[1]) / (variance + self.eps[0])).sqrt()
            self.multiply(f"{name}.weight", factor)

    def multiply(self, name: str, factor: Tensor) -> None:
        self.mine[name] = self.mine[name] * factor

    def fill(self, name: str, value: float) -> None:
        self.mine[name] = torch.full_like(self.mine[name], value)


def part_of(name: str) -> str:
    """``stem``, ``stages.0`` …, ``head``: where a tensor of the state dict belongs."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "stages" else parts[0]


def _seeded(spec: ArchSpec, seed: int) -> nn.Module:
    """As ``build``, the global generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(spec)
