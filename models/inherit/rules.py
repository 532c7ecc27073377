"""What becomes of one layer's tensors: pure functions, each with its source."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from models.inherit.maps import Map, split

OPEN = 0.9  # the gate of excitation that is added
OPEN_BIAS = math.log(OPEN / (1 - OPEN))


class Carried(NamedTuple):
    """A tensor of the child; how many of its values are the donor's, how many different ones."""

    tensor: Tensor
    inherited: int = 0
    shared: int = 0


def weights(
    fresh: Tensor,
    donor: Tensor,
    out: Map,
    inn: Map,
    groups: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    generator: torch.Generator | None = None,
) -> Carried:
    """A convolution's or linear layer's weights by its maps.

    ``fresh`` (out, in a group, …) gives the shape, and the rows that have no donor; ``groups`` and
    ``padding`` are the child's and the donor's.
    """
    if out is None or inn is None:
        return Carried(fresh)
    rows, inside = fresh.shape[:2]
    member = torch.arange(rows) // (rows // groups[0])
    columns = inn.view(groups[0], inside)[member]
    local = columns - (out // (donor.shape[0] // groups[1]) * donor.shape[1])[:, None]
    valid = (out >= 0) & (out < donor.shape[0])
    known = (columns >= 0) & (local >= 0) & (local < donor.shape[1]) & valid[:, None]
    count = int(known.sum())
    if not count:
        return Carried(fresh)
    # The donor's kernels in one row, and one of zeros behind them for what has no donor.
    kernels = donor.reshape(-1, *donor.shape[2:])
    kernels = torch.cat([kernels, kernels.new_zeros(1, *donor.shape[2:])])
    number = torch.where(known, out[:, None] * donor.shape[1] + local, len(kernels) - 1)
    taken = kernels.index_select(0, number.flatten()).view(rows, inside, *donor.shape[2:])
    taken, taps = _tapped(taken, fresh.shape, padding[0] - padding[1])
    taken[~valid] = fresh[~valid]
    split(taken, inn, groups[0], generator)
    met = torch.zeros(len(kernels), dtype=torch.bool)
    met[number.flatten()] = True
    return Carried(taken, count * taps, int(met[:-1].sum()) * taps)


def vector(fresh: Tensor, donor: Tensor, out: Map) -> Carried:
    """What each channel has one of, by its map."""
    if out is None:
        return Carried(fresh)
    if not fresh.dim():  # batch norm's counter
        return Carried(donor.clone())
    valid = (out >= 0) & (out < len(donor))
    taken = donor[out.clamp(0, len(donor) - 1)]
    taken = torch.where(valid.view(-1, *(1,) * (fresh.dim() - 1)), taken, fresh)
    return Carried(taken, int(valid.sum()), len(set(out[valid].tolist())))


def _tapped(weight: Tensor, shape: torch.Size, shift: int) -> tuple[Tensor, int]:
    """A kernel of another side, and how many taps it keeps: its centre (elastic kernels,
    arXiv:1908.09791), or itself in a ring of zeros, the same function at any stride as both pad by
    half. ``shift`` is by how much more the new one pads."""
    old, new = weight.shape[2:], shape[2:]
    if old == new:
        return weight, math.prod(old)
    result = weight.new_zeros(shape)
    first, last = max(0, shift), min(new[0], old[0] + shift)
    inside, kept = slice(first, last), slice(first - shift, last - shift)
    result[..., inside, inside] = weight[..., kept, kept]
    return result, (last - first) ** 2


def recoloured(weight: Tensor, channels: int) -> Tensor:
    """The stem's weights for pictures of another number of channels: grey is equal red, green and
    blue, so that one channel takes the sum of three, and three take a third of one each."""
    there = weight.shape[1]
    if channels == there:
        return weight
    if (there, channels) == (3, 1):
        return weight.sum(dim=1, keepdim=True)
    if (there, channels) == (1, 3):
        return weight.expand(-1, 3, -1, -1) / 3
    raise ValueError(
        f"the weights are for pictures of {there} channels and the network for {channels}: give "
        f"the network {there} channels; only 3 become 1 and 1 becomes 3"
    )


def joined(out: Map, inn: Map) -> Tensor | None:
    """The 1×1 convolution that is the identity between two maps of one space."""
    if out is None or inn is None:
        return None
    same = (out[:, None] == inn) & (inn >= 0)
    return (same / same.sum(dim=1, keepdim=True).clamp(min=1))[..., None, None].float()


def mean_gate(
    gate: Callable[[Tensor], Tensor],
    act: Callable[[Tensor], Tensor],
    gamma: Tensor,
    beta: Tensor,
) -> Tensor:
    """Excitation's gate (channels,) for the average picture, without one: after a norm a channel
    is about N(β, γ²), of whose ``act`` the mean is taken (Gauss-Hermite quadrature)."""
    points, chances = (torch.as_tensor(x, dtype=gamma.dtype) for x in hermegauss(31))
    values = act(beta[:, None] + gamma[:, None] * points)
    pooled = (values * chances).sum(dim=1) / chances.sum()
    return gate(pooled[None, :, None, None]).flatten()
