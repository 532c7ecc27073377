"""What becomes of one layer's tensors: pure functions, each with its source."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from models.inherit.maps import Map, shares

OPEN = 0.9  # the gate of excitation that is added
OPEN_BIAS = math.log(OPEN / (1 - OPEN))


def weights(
    fresh: Tensor,
    donor: Tensor,
    out: Map,
    inn: Map,
    groups: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """A convolution's or linear layer's weights by its maps, and which of them are inherited.

    ``fresh`` (out, in a group, …) gives the shape, and the rows that have no donor; ``groups`` and
    ``padding`` are the child's and the donor's. Both results have the shape of ``fresh``; the
    second holds the number of the donor's weight, -1 where there is none.
    """
    if out is None or inn is None:
        return fresh, torch.full(fresh.shape, -1)
    rows, inside = fresh.shape[:2]
    member = torch.arange(rows) // (rows // groups[0])
    columns = inn.view(groups[0], inside)[member]
    local = columns - (out // (donor.shape[0] // groups[1]) * donor.shape[1])[:, None]
    valid = (out >= 0) & (out < donor.shape[0])
    known = (columns >= 0) & (local >= 0) & (local < donor.shape[1]) & valid[:, None]
    if not bool(known.any()):
        return fresh, torch.full(fresh.shape, -1)
    at = (out.clamp(0, donor.shape[0] - 1)[:, None], local.clamp(0, donor.shape[1] - 1))
    taken = _tapped(donor[at], fresh.shape, padding[0] - padding[1], 0.0)
    number = torch.arange(donor.numel()).view(donor.shape)[at]
    number = _tapped(number, fresh.shape, padding[0] - padding[1], -1)
    share = shares(inn, groups[0], rows, generator)
    wide = (...,) + (None,) * (fresh.dim() - 2)
    if share is not None:
        taken = taken * share[wide]
    taken = torch.where(known[wide], taken, 0.0)
    return (
        torch.where(valid[:, None][wide], taken, fresh),
        torch.where(known[wide], number, -1),
    )


def vector(fresh: Tensor, donor: Tensor, out: Map) -> tuple[Tensor, Tensor]:
    """What each channel has one of, by its map; as ``weights``."""
    if out is None:
        return fresh, torch.full(fresh.shape, -1)
    if not fresh.dim():  # batch norm's counter
        return donor.clone(), torch.zeros((), dtype=torch.long)
    valid = ((out >= 0) & (out < len(donor))).view(-1, *(1,) * (fresh.dim() - 1))
    at = out.clamp(0, len(donor) - 1)
    return torch.where(valid, donor[at], fresh), torch.where(valid, at.view(valid.shape), -1)


def _tapped(weight: Tensor, shape: torch.Size, shift: int, ring: float) -> Tensor:
    """A kernel of another side: its centre (elastic kernels, arXiv:1908.09791), or itself in a
    ring of zeros, the same function at any stride as both pad by half; ``shift`` is by how much
    more the new one pads."""
    if weight.shape[2:] == shape[2:]:
        return weight
    result = weight.new_full(shape, ring)
    new, old = (
        tuple(
            slice(max(0, sign * shift), min(side, other + sign * shift))
            for side, other in zip(sides, others, strict=True)
        )
        for sign, sides, others in (
            (1, shape[2:], weight.shape[2:]),
            (-1, weight.shape[2:], shape[2:]),
        )
    )
    result[(..., *new)] = weight[(..., *old)]
    return result


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
