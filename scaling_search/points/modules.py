"""A user's own factory of modules as a baseline: f(depth, width, resolution) → nn.Module.

All three arguments are multipliers, (1, 1, 1) for the baseline. Multiply-adds are fvcore's for
convolutions, linear layers and matrix products, counted once for each network and kept.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from scaling_search.coefficients import Multipliers

if TYPE_CHECKING:
    from torch import nn

Factory = Callable[[float, float, float], "nn.Module"]

_PRODUCTS = ("conv", "linear", "addmm", "matmul", "bmm", "einsum")


@dataclass(frozen=True)
class Scaled:
    """A network of the factory, as data: what to multiply, and the input side in pixels."""

    depth: float
    width: float
    side: int
    base_side: int

    @property
    def key(self) -> str:
        """Sixteen hex digits, equal for equal multipliers."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @property
    def multipliers(self) -> Multipliers:
        """The factory's arguments."""
        return Multipliers(self.depth, self.width, self.side / self.base_side)

    def to_json(self) -> str:
        """One line that ``from_json`` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Scaled:
        """The network that ``to_json`` wrote; ValueError for anything else."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{text!r:.80} is no scaled module: {error}") from None


class ModuleBaseline:
    """A ``Scalable`` made of a factory; ``evaluate`` receives ``Scaled`` and calls ``build``.

    ``side`` is the input side at resolution 1. Realised multipliers are those that the factory was
    called with: its roundings are its own and show in the cost only, which the resolution makes up
    for. Every network that the grid considers is built and counted once, which takes a while for
    large ones; a coarser grid step needs fewer.
    """

    def __init__(self, factory: Factory, side: int, channels: int = 3) -> None:
        if side < 1 or channels < 1:
            raise ValueError(f"side {side} and channels {channels} must be positive")
        self._factory = factory
        self._channels = channels
        self._counted: dict[Scaled, dict[str, int]] = {}
        self.spec = Scaled(1.0, 1.0, side, side)

    @property
    def side(self) -> int:
        """The baseline's input side in pixels."""
        return self.spec.side

    def build(self, candidate: Scaled) -> nn.Module:
        """The module itself."""
        return self._factory(*candidate.multipliers)

    def cost(self, candidate: Scaled) -> dict[str, int]:
        """ "macs", "params" and "fvcore", fvcore's own total."""
        if candidate not in self._counted:
            self._counted[candidate] = self._count(candidate)
        return self._counted[candidate]

    def macs(self, candidate: Scaled) -> int:
        """Multiply-adds of one image; ValueError where the module cannot take this side."""
        return self.cost(candidate)["macs"]

    def scaled(self, depth: float, width: float, side: int) -> Scaled:
        """These multipliers at this side."""
        return replace(self.spec, depth=depth, width=width, side=side)

    def at_side(self, candidate: Scaled, side: int) -> Scaled:
        """The same multipliers of depth and width at another side."""
        return replace(candidate, side=side)

    def realised(self, candidate: Scaled) -> Multipliers:
        """What the factory is called with."""
        return candidate.multipliers

    def near(self, depth: float, width: float, grow: bool) -> Iterator[Scaled]:
        """The multipliers themselves: what the factory makes of others is not known."""
        yield self.scaled(round(depth, 6), round(width, 6), self.side)

    def layer_steps(self, candidate: Scaled) -> Iterator[Scaled]:
        """A little more or less depth."""
        for factor in (0.98, 1.02):
            yield replace(candidate, depth=round(candidate.depth * factor, 6))

    def width_steps(self, candidate: Scaled) -> Iterator[Scaled]:
        """A little more or less width; the factory may round small steps away."""
        for factor in (0.965, 0.98, 0.99, 1.01, 1.02, 1.035):
            yield replace(candidate, width=round(candidate.width * factor, 6))

    def from_json(self, text: str) -> Scaled:
        """Read a network back."""
        return Scaled.from_json(text)

    def _count(self, candidate: Scaled) -> dict[str, int]:
        import torch
        from fvcore.nn import FlopCountAnalysis

        module = self.build(candidate).eval()
        image = torch.zeros(1, self._channels, candidate.side, candidate.side)
        analysis = FlopCountAnalysis(module, image)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        try:
            operators = analysis.by_operator()
        except RuntimeError as error:
            raise ValueError(f"the module cannot take {candidate.side} pixels: {error}") from None
        return {
            "macs": math.ceil(sum(operators[name] for name in _PRODUCTS)),
            "params": sum(parameter.numel() for parameter in module.parameters()),
            "fvcore": math.ceil(sum(operators.values())),
        }
