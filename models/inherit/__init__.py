"""A child's weights from a parent's: every change of depth, width, kernel, block and excitation.

``docs/inherit.md`` explains each rule and what it preserves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from models.inherit.refit import refit
from models.inherit.statistics import effects, rebase, recalibrate
from models.inherit.tensors import part_of
from models.inherit.transfer import Transfer
from models.inherit.units import Unit
from models.plan import Conv
from models.spec import ArchSpec

__all__ = [
    "Inheritance", "effects", "inherit", "inheritance", "rebase", "recalibrate", "refit",
]  # fmt: skip


class Inheritance(NamedTuple):
    """A child's start, and how much of it is the parent's.

    weights    strict for ``build(child).load_state_dict``
    shares     by part (``stem``, ``stages.0`` …, ``head``): the fraction of the child's
               parameters that are the parent's; what is missing to 1 is fresh, zeros or added
    distance   0 (the parent itself) to 1 (nothing in common): 1 less the parameters in common
               over those of both together, the classifier's aside
    changes    whole numbers: layers ``added`` and ``dropped``, units (blocks, stem, head) whose
               ``kernels`` changed, units that start ``fresh`` as they have no donor
    """

    weights: dict[str, Tensor]
    shares: dict[str, float]
    distance: float
    changes: dict[str, int]


def inherit(
    parent: ArchSpec,
    weights: Mapping[str, Tensor],
    child: ArchSpec,
    *,
    seed: int = 0,
    importance: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The child's weights, strict for ``build(child).load_state_dict``, from the parent's.

    ``weights`` have this project's names or torchvision's. ``seed`` draws what is fresh and the
    little noise that lets copies learn apart; ``importance`` values the parent's channels in place
    of γ times the projection's norm, as ``effects`` measures it.

    Raises ValueError where the weights do not fit the parent, or the two take pictures of another
    number of channels (but 3 become 1 and 1 becomes 3).
    """
    return inheritance(parent, weights, child, seed=seed, importance=importance).weights


def inheritance(
    parent: ArchSpec,
    weights: Mapping[str, Tensor],
    child: ArchSpec,
    *,
    seed: int = 0,
    importance: Mapping[str, Tensor] | None = None,
) -> Inheritance:
    """As ``inherit``, with what was inherited and how far the child is from the parent."""
    transfer = Transfer(parent, weights, child, seed, importance or {})
    counts: dict[str, int] = {}
    for name, tensor in transfer.tensors.mine.items():
        if name.endswith(("weight", "bias")):
            counts[part_of(name)] = counts.get(part_of(name), 0) + tensor.numel()
    shares = {part: transfer.tensors.inherited[part] / count for part, count in counts.items()}
    size = sum(
        _body(state, units[-1])
        for state, units in (
            (transfer.tensors.mine, [pair.unit for pair in transfer.pairs]),
            (transfer.tensors.theirs, transfer.units),
        )
    )
    both = sum(transfer.tensors.shared.values())
    return Inheritance(transfer.tensors.mine, shares, 1 - both / (size - both), _changes(transfer))


def _body(state: Mapping[str, Tensor], last: Unit) -> int:
    """Parameters but for the classifier's."""
    classifier = last.body[-1][0]
    return sum(
        tensor.numel()
        for name, tensor in state.items()
        if name.endswith(("weight", "bias")) and not name.startswith(f"{classifier}.")
    )


def _changes(transfer: Transfer) -> dict[str, int]:
    placed = [pair for pair in transfer.pairs if pair.target is not None and not pair.added]
    kernels = 0
    for pair in placed:
        if pair.donor is not None:
            both = (pair.unit.weighted, transfer.units[pair.donor].weighted)
            kernels += any(
                isinstance(a, Conv) and isinstance(b, Conv) and a.kernel != b.kernel
                for (_, a), (_, b) in zip(*both, strict=True)
            )
    return {
        "added": sum(pair.added for pair in transfer.pairs),
        "dropped": len(transfer.units) - len(placed),
        "kernels": kernels,
        "fresh": sum(not transfer.pairs[number].added for number in transfer.fresh),
    }
