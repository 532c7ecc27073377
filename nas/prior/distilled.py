"""What a table of one space taught, in a few hundred numbers that speak of any other's networks.

A quadratic in ``nas.prior.traits``: minus the logarithm of the error that a network is expected to
have. Each trait is standardised over the table and held within the range that the table had, so
that beyond it the answer is the edge's. ``imagenet()`` is the one that the package ships, made by
``python -m nas.prior fit``; ``nas/prior/imagenet.json`` names its source and licence.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nas.costing import Floats
from nas.prior.traits import NAMES, Traits
from nas.space import Batch, Space

SHIPPED = Path(__file__).with_name("imagenet.json")


@dataclass(frozen=True)
class Distilled:
    """A table's lesson.

    name        what a run calls it
    source, licence, command    where the rows are from, and what made the numbers of them
    networks    how many rows there were
    held_out    by way of leaving out: R² and Kendall's τ on rows that the fit did not see
    mean, sd, low, high     of each trait; ``low`` and ``high`` in standard deviations
    constant, linear, square    the quadratic; of ``square`` the upper triangle, row by row

    Raises ValueError where lengths do not fit the traits, or numbers are not finite.
    """

    name: str
    source: str
    licence: str
    command: str
    networks: int
    held_out: dict[str, dict[str, float]]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    constant: float
    linear: tuple[float, ...]
    square: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(NAMES)
        lengths = dict.fromkeys(("mean", "sd", "low", "high", "linear"), count)
        for name, length in (lengths | {"square": count * (count + 1) // 2}).items():
            numbers = tuple(getattr(self, name))
            object.__setattr__(self, name, numbers)
            if len(numbers) != length or not np.isfinite(numbers).all():
                raise ValueError(f"{self.name}: {name} must hold {length} finite numbers")
        if not min(self.sd) > 0:
            raise ValueError(f"{self.name}: a standard deviation of {min(self.sd)} is not positive")

    @classmethod
    def from_json(cls, text: str) -> Distilled:
        """The inverse of ``to_json``. Raises ValueError for anything else."""
        try:
            facts: dict[str, Any] = json.loads(text)
            return cls(**facts)
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"this is no distilled prior: {error}") from None

    def to_json(self) -> str:
        lines = (
            f" {json.dumps(name)}: {json.dumps(value)}" for name, value in asdict(self).items()
        )
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @property
    def label(self) -> str:
        """The name and a digest of all that a search learns from it: what a run records."""
        told = self.mean, self.sd, self.low, self.high, self.constant, self.linear, self.square
        digest = hashlib.sha256(json.dumps([self.trust, *told]).encode()).hexdigest()[:12]
        return f"{self.name} ({self.networks} networks, {digest})"

    @property
    def trust(self) -> float:
        """R² on rows that the fit did not see."""
        return max(0.0, self.held_out["halves"]["r2"])

    def accuracy(self, traits: Floats) -> Floats:
        """What is expected of networks with these traits (N, …), (N,)."""
        z = np.clip(self._standard(traits), self.low, self.high)
        i, j = np.triu_indices(z.shape[1])
        better = self.constant + z @ np.array(self.linear) + (z[:, i] * z[:, j]) @ self.square
        found: Floats = 1 - np.exp(-better)
        return found

    def beyond(self, traits: Floats) -> tuple[float, str]:
        """How far outside the table's range networks with these traits (N, …) lie, in the table's
        standard deviations, and by which trait: the one whose median lies farthest out; 0 for
        networks such as the table's."""
        z = np.median(self._standard(traits), 0)
        out = np.maximum(np.array(self.low) - z, z - np.array(self.high))
        return max(0.0, float(out.max())), NAMES[int(out.argmax())]

    def _standard(self, traits: Floats) -> Floats:
        found: Floats = (traits - np.array(self.mean)) / np.array(self.sd)
        return found


class Foretold:
    """A distilled prior over one space: rows (N, D) → accuracies (N,)."""

    def __init__(self, prior: Distilled, space: Space) -> None:
        self._prior, self._traits = prior, Traits(space)

    def __call__(self, rows: Batch) -> Floats:
        return self._prior.accuracy(self._traits(rows))

    def beyond(self, rows: Batch) -> tuple[float, str]:
        """As ``Distilled.beyond``, of these networks."""
        return self._prior.beyond(self._traits(rows))


@lru_cache
def imagenet() -> Distilled:
    """The shipped one: what 2,563 networks that were trained on ImageNet tell of others."""
    return Distilled.from_json(SHIPPED.read_text("utf-8"))
