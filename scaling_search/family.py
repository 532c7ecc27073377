"""A family: the baseline scaled along α^φ, β^φ, γ^φ, each member at its realised cost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.memory import training_bytes
from models.spec import ArchSpec
from scaling_search.coefficients import Coefficients
from scaling_search.points.point import TOLERANCE, Point, baseline_point, limited
from scaling_search.points.scalable import Scalable
from scaling_search.points.solver import nearest, single

# B0 to B7 of arXiv:1905.11946; the released networks come from a table and not from these.
PHIS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
BATCH = 32

# The released code (efficientnet_params) has dropout 0.2 at φ = 0 and 0.5 at φ = 6, where the cost
# has doubled six times: 0.05 for each doubling.
_DROPOUT_PER_DOUBLING, _DROPOUT_MOST = 0.05, 0.5


@dataclass(frozen=True)
class Member:
    """A network of the family.

    phi     its step; ``target``: the multiply-adds it should cost, baseline · (α·β²·γ²)^φ
    point   the network as solved: nominal and realised multipliers, cost, ``error``
    spec    the same network with the rates of its size
    side    its input side in pixels
    cost    what ``Scalable.cost`` knows, "macs" at least
    memory  estimated bytes for training with a batch of ``batch`` in float32, None where the cost
            has no parameters and activations; by the formula of ``models.memory``
    """

    phi: float
    target: float
    point: Point
    spec: Any
    side: int
    cost: dict[str, int]
    memory: int | None
    batch: int = BATCH

    @property
    def reached(self) -> bool:
        """Whether the realised cost is within 3 % of the target."""
        return abs(self.point.error) <= TOLERANCE

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; "spec" is what ``from_json`` of the baseline reads."""
        return {
            "phi": self.phi,
            "target": self.target,
            "reached": self.reached,
            **self.point.to_dict(),
            "side": self.side,
            "cost": self.cost,
            "memory": None if self.memory is None else {"bytes": self.memory, "batch": self.batch},
            "dropout": getattr(self.spec, "dropout", None),
            "drop_path": getattr(self.spec, "drop_path", None),
            "key": self.spec.key,
            "spec": json.loads(self.spec.to_json()),
        }


def members(
    baseline: Scalable,
    coefficients: Coefficients,
    phis: Iterable[float] = PHIS,
    *,
    batch: int = BATCH,
) -> list[Member]:
    """The family at these φ; negative ones shrink the baseline.

    A member that no rounding brings within 3 % of its target is the nearest one, its ``reached``
    false. Raises ValueError where not even that exists, or the cost does not change with φ.
    """
    return [member(baseline, coefficients, phi, batch=batch) for phi in phis]


def reachable(
    baseline: Scalable, coefficients: Coefficients, phis: Iterable[float] = PHIS
) -> list[Member]:
    """As ``members``, without those that cannot be made: at 16x a step, the last are no network."""
    found = []
    for phi in phis:
        with suppress(ValueError):
            found.append(member(baseline, coefficients, phi))
    return found


def phis_of(
    baseline: Scalable, coefficients: Coefficients, targets: Iterable[float]
) -> list[float]:
    """The φ at which members cost these multiply-adds.

    Raises ValueError for a target that is not positive.
    """
    base = baseline.macs(baseline.spec)
    return [coefficients.phi(target / base) for target in targets]


def member(
    baseline: Scalable, coefficients: Coefficients, phi: float, *, batch: int = BATCH
) -> Member:
    """One network of the family, as ``members`` describes."""
    if not math.isfinite(phi) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"phi {phi!r} must be finite and batch {batch!r} a positive whole number")
    ratio = coefficients.at(phi).product
    target = ratio * baseline.macs(baseline.spec)
    if abs(math.log(ratio)) < 1e-9:
        point: Point | None = baseline_point(baseline)
    else:
        point = _at(baseline, coefficients, phi, target)
    if point is None:
        raise ValueError(
            f"phi {phi:g} asks for {ratio:.3g} times the baseline's cost, which no rounding "
            "reaches without shrinking a dimension: choose another phi, or depth rounding 'nearest'"
        )
    spec = point.spec
    if isinstance(spec, ArchSpec):
        spec = replace(spec, name=_name(spec.name, phi), dropout=dropout(spec.dropout, ratio))
    side = round(point.realised.resolution * baseline.side)
    cost = baseline.cost(point.spec)
    return Member(phi, target, point, spec, side, cost, memory(cost, batch), batch)


def _at(baseline: Scalable, coefficients: Coefficients, phi: float, target: float) -> Point | None:
    """The network of the target's cost; one dimension alone leaves the others be."""
    wanted = limited(baseline, coefficients, phi)
    if coefficients.alone is not None:
        return single(baseline, coefficients.alone, target)
    return nearest(baseline, wanted, target)


def dropout(base: float, ratio: float) -> float:
    """The rate before the classifier at ``ratio`` times the baseline's cost.

    EfficientNet's grows by 0.05 with each doubling, from 0.2 to 0.5 (B0 to B7); so does this, from
    the baseline's own rate, not below 0. The rate of stochastic depth stays the baseline's at the
    last block and grows linearly with the block, as the paper's does at every size.
    """
    rate = base + _DROPOUT_PER_DOUBLING * math.log2(ratio)
    return round(min(max(base, _DROPOUT_MOST), max(0.0, rate)), 4)


def memory(cost: dict[str, int], batch: int) -> int | None:
    """Estimated bytes of a training step, as ``Member`` says."""
    if not {"params", "activations"} <= cost.keys():
        return None
    return training_bytes(cost["params"], cost["activations"], batch)


def write(directory: Path, family: Iterable[Member], *, instead: bool = False) -> list[Path]:
    """One ``phi-….json`` for each member, replacing those of the same name; the paths.

    ``instead`` of all that are there: an earlier answer's members must not stand beside it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if instead:
        for stale in directory.glob("phi-*.json"):
            stale.unlink()
    paths = []
    for item in family:
        path = directory / f"phi-{item.phi:.4g}.json"
        path.write_text(json.dumps(item.to_dict(), indent=2) + "\n", "utf-8")
        paths.append(path)
    return paths


def _name(base: str, phi: float) -> str:
    return f"{base[:180]} phi {phi:.4g}"
