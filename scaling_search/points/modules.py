"""A user's own factory of modules as a baseline: f(depth, width, resolution) → nn.Module.

All three arguments are multipliers, (1, 1, 1) for the baseline. What a network costs is fvcore's
count of it, made once for each network and kept. ``docs/own-networks.md`` has a whole example.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from common.plain import make_plain
from models.spec import MAX_RESOLUTION
from scaling_search.coefficients import Multipliers

if TYPE_CHECKING:
    from torch import nn

Factory = Callable[[float, float, float], "nn.Module"]  # depth, width, resolution

_PRODUCTS = ("conv", "linear", "addmm", "matmul", "bmm", "einsum")


@dataclass(frozen=True)
class Scaled:
    """A network of the factory, as data: what ``evaluate`` and ``ModuleBaseline.build`` are given.

    depth, width    the factory's multipliers
    side, base_side the input side in pixels, and the baseline's: their ratio is the third
    name            the baseline's label; not part of ``key``

    Raises ValueError for multipliers that are not positive, or sides that are no pixels.
    """

    depth: float
    width: float
    side: int
    base_side: int
    name: str = "module"

    def __post_init__(self) -> None:
        make_plain(self)
        for what, value in (("depth", self.depth), ("width", self.width)):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value < math.inf:
                raise ValueError(f"{what} {value!r:.60} is not a positive number")
        for what, value in (("side", self.side), ("base_side", self.base_side)):
            if type(value) is not int or not 1 <= value <= MAX_RESOLUTION:
                raise ValueError(f"{what} {value!r:.60} is no side of 1 to {MAX_RESOLUTION} pixels")
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name {self.name!r:.60} is no text")

    @property
    def key(self) -> str:
        """Sixteen hex digits, equal for equal multipliers."""
        facts = asdict(self)
        del facts["name"]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

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
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{text!r:.80} is no scaled module: {error}") from None


class ModuleBaseline:
    """A ``Scalable`` made of a factory; ``evaluate`` receives ``Scaled`` and calls ``build``.

    factory     (depth, width, resolution) → a fresh module, for images (N, channels, side, side)
    side        the input side in pixels at resolution 1
    channels    of the images
    name        what reports call it; the factory's own name where it is left out

    Realised multipliers are those that the factory was called with: its roundings are its own and
    show in the cost only, which the resolution makes up for. Every network that the grid considers
    is built and counted once, on the CPU, which takes a while for large ones; a coarser grid step
    needs fewer. Picklable where the factory is.

    Raises ValueError for a side or channels that are no positive whole numbers.
    """

    networks = "modules"

    def __init__(
        self, factory: Factory, side: int, channels: int = 3, name: str | None = None
    ) -> None:
        if isinstance(channels, bool) or channels < 1:
            raise ValueError(f"channels {channels} is not a positive number: try 3")
        label = getattr(factory, "__name__", "module") if name is None else name
        self.spec = Scaled(1.0, 1.0, side, side, str(label))
        self._factory, self._channels = factory, channels
        self._counted: dict[str, dict[str, int]] = {}
        self._activations: dict[str, int] = {}

    @property
    def side(self) -> int:
        """The baseline's input side in pixels."""
        return self.spec.side

    @property
    def largest(self) -> int:
        """As large as a spec's may be."""
        return MAX_RESOLUTION

    def build(self, candidate: Scaled) -> nn.Module:
        """The module itself, fresh."""
        return self._factory(*candidate.multipliers)

    def cost(self, candidate: Scaled) -> dict[str, int]:
        """ "macs", "params", "fvcore" (its own total) and "activations", of one image.

        ``models.cost`` says what each counts; products of matrices are among the multiply-adds.
        Raises ValueError as ``macs`` does.
        """
        if candidate.key not in self._activations:
            made = self._traced(candidate, "ActivationCountAnalysis")[1]
            self._activations[candidate.key] = math.ceil(sum(made.values()))
        return self._count(candidate) | {"activations": self._activations[candidate.key]}

    def macs(self, candidate: Scaled) -> int:
        """Multiply-adds of one image.

        Raises ValueError where the module cannot take this side.
        """
        return self._count(candidate)["macs"]

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
        """The multipliers themselves; where rounding made them dearer (growing) or cheaper
        (shrinking) than they promise, also with less of either, so that resolution need not give
        way."""
        exact = self.scaled(round(depth, 6), round(width, 6), self.side)
        yield exact
        over = self.macs(exact) / self.macs(self.spec) / (depth * width**2)
        if over > 1 if grow else over < 1:
            bound = max if grow else min
            yield replace(exact, depth=round(bound(1.0, depth / over), 6))
            yield replace(exact, width=round(bound(1.0, width / math.sqrt(over)), 6))

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
        if candidate.key not in self._counted:
            module, flops = self._traced(candidate, "FlopCountAnalysis")
            self._counted[candidate.key] = {
                "macs": math.ceil(sum(flops.get(name, 0) for name in _PRODUCTS)),
                "params": sum(parameter.numel() for parameter in module.parameters()),
                "fvcore": math.ceil(sum(flops.values())),
            }
        return self._counted[candidate.key]

    def _traced(self, candidate: Scaled, analysis: str) -> tuple[nn.Module, dict[str, float]]:
        """The module, and what an analysis of fvcore's counts by kind of operator."""
        import torch
        from fvcore import nn as fvcore

        module = self.build(candidate).eval()
        image = torch.zeros(1, self._channels, candidate.side, candidate.side)
        made = getattr(fvcore, analysis)(module, image)
        made.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        try:
            return module, dict(made.by_operator())
        except RuntimeError as error:
            raise ValueError(f"the module cannot take {candidate.side} pixels: {error}") from None
