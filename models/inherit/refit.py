"""Blocks that lost something fitted to what the parent's blocks put out on the user's pictures.

Channel pruning's reconstruction (arXiv:1707.06168): a block's last convolution is linear in its
input, so that least squares finds the best one there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.build import Network
from models.inherit.excitation import excitation_of
from models.inherit.statistics import recalibrate
from models.inherit.transfer import Transfer
from models.inherit.units import Unit
from models.inherit.walk import Walk, goal
from models.plan import Conv, LayerScale, Linear, Norm

BATCH = 32
RIDGE = 0.3
PLACES = 64  # of a map at most, that the fit looks at


def refit(
    parent_network: nn.Module,
    child_network: nn.Module,
    pictures: Tensor,
    *,
    ridge: float = RIDGE,
    importance: Mapping[str, Tensor] | None = None,
) -> None:
    """Fit each block of the child that lost something to the parent's, in place.

    Block by block in order, the child's fed by its own blocks before it; of each the last
    convolution before the sum and the norm after it, by ridge regression in float64 (``ridge``
    times the features' mean variance, drawn to the weights that it has; to 0 where those are
    fresh) on at most ``PLACES`` pixels of a map. A few hundred ``pictures``
    (N, channels, side, side) are enough. The child has the weights that ``inherit`` gave, with the
    same ``importance``. Both networks are in eval mode afterwards.

    Raises ValueError for fewer than two pictures.
    """
    if len(pictures) < 2:
        raise ValueError(f"{len(pictures)} pictures to fit on: give a few hundred")
    parent, child = cast(Network, parent_network.eval()), cast(Network, child_network.eval())
    transfer = Transfer(parent.spec, parent.state_dict(), child.spec, 0, importance or {})
    theirs = Walk(parent, transfer.units, _coloured(pictures, parent.spec.in_channels))
    mine = Walk(child, [pair.unit for pair in transfer.pairs], _batches(pictures))
    with torch.no_grad():
        for number in sorted(transfer.lost):
            mine.advance(number - 1)
            out, target = transfer.maps[number]
            unit = transfer.pairs[number].unit
            last = _last(child, unit)
            if out is None or last is None:
                continue
            theirs.advance(target)
            if not mine.fits(unit, theirs):
                continue
            known = number not in transfer.fresh
            if not known:  # its norms have met no picture yet
                modules = (child.get_submodule(name) for name, _ in unit.body[: last.place])
                recalibrate(nn.Sequential(*modules), mine.batches)
            rows = _rows(mine, theirs, unit, transfer.units[target], last, out)
            _write(last, _solve(rows, last, ridge, known), out >= 0)


def _coloured(pictures: Tensor, channels: int) -> tuple[Tensor, ...]:
    """Batches for a parent of another number of channels, as ``rules.recoloured`` takes them."""
    if pictures.shape[1] != channels:
        pictures = pictures.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
    return _batches(pictures)


def _batches(pictures: Tensor) -> tuple[Tensor, ...]:
    """Nearly equal ones: a single picture left over would have no variance."""
    return torch.tensor_split(pictures, -(-len(pictures) // BATCH))


class _Last(NamedTuple):
    """A unit's last convolution or linear layer, its place in the body, the norm or layer scale
    after it, and by what excitation after those multiplies."""

    place: int
    layer: Conv | Linear
    module: Any
    scaling: Any
    gate: Tensor | float

    def slope(self) -> Tensor:
        """(channels,): by what its rows are multiplied."""
        norm = self.scaling
        if norm is None:
            return torch.ones(1, dtype=torch.float64)
        slope: Tensor = norm.weight.flatten().double()
        if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None:
            slope = slope / (norm.running_var.double() + norm.eps).sqrt()
        return slope


def _last(network: nn.Module, unit: Unit) -> _Last | None:
    """None where what follows is not linear in it: layer norm, excitation that is not constant."""
    place, layer = [(i, x) for i, (_, x) in enumerate(unit.body) if isinstance(x, Conv | Linear)][
        -1
    ]
    scaling: Any = None
    gate: Tensor | float = 1.0
    for name, after in unit.body[place + 1 :]:
        if isinstance(after, Norm | LayerScale):
            scaling = network.get_submodule(name)
        if isinstance(after, Norm) and after.kind == "layer":
            return None
    if (excitation := excitation_of(unit)) and excitation.place == len(unit.weighted):
        second: Any = network.get_submodule(excitation.body[-1][0])
        if second.weight.any():
            return None
        gate = second.bias.sigmoid().view(-1, 1, 1)
    return _Last(place, layer, network.get_submodule(unit.body[place][0]), scaling, gate)


def _rows(
    mine: Walk, theirs: Walk, unit: Unit, other: Unit, last: _Last, out: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batch by batch the features (pixels, inputs) and what they should become (pixels, outputs),
    in float64."""
    for x, result in zip(mine.batches, theirs.results, strict=True):
        wanted = goal(unit, other, result, mine.short(unit, x), out) / last.gate
        features = mine.apply(unit.body[: last.place], x)
        if isinstance(last.layer, Linear):
            features = features.permute(0, 3, 1, 2)
        elif last.layer.kernel > 1 or last.layer.stride > 1:
            layer = last.layer
            features = F.unfold(features, layer.kernel, 1, layer.padding, layer.stride)
        pixels = wanted[0, 0].numel()
        at = torch.randperm(pixels, generator=torch.Generator().manual_seed(pixels))[:PLACES]
        yield _flat(features, at), _flat(wanted, at)


def _flat(maps: Tensor, at: Tensor) -> Tensor:
    """(N, channels, …) at some places as (N · places, channels)."""
    return maps.flatten(2)[:, :, at].transpose(1, 2).flatten(0, 1).double()


class _Fit(NamedTuple):
    """``weight`` (out, in) and ``bias`` of what the body puts out; the moments of its features."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    covariance: Tensor


def _solve(rows: Iterator[tuple[Tensor, Tensor]], last: _Last, ridge: float, known: bool) -> _Fit:
    """Least squares with an intercept, drawn to the weights that are there, if ``known``."""
    first = next(rows)
    count, inputs = len(first[0]), first[0].shape[1]
    sums, gram, cross = _products(*first)
    for x, y in rows:
        count += len(x)
        for total, more in zip((sums, gram, cross), _products(x, y), strict=True):
            total += more
    mean, level = sums[:inputs] / count, sums[inputs:] / count
    covariance = gram / count - mean[:, None] * mean
    drawn = ridge * covariance.diagonal().mean().clamp(min=1e-12)
    prior = last.module.weight.flatten(1).double() * last.slope()[:, None]
    right = cross / count - mean[:, None] * level + drawn * prior.T * known
    left = covariance + drawn * torch.eye(inputs, dtype=torch.float64, device=gram.device)
    weight = torch.cholesky_solve(right, torch.linalg.cholesky(left)).T
    return _Fit(weight, level - weight @ mean, mean, covariance * count / (count - 1))


def _products(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.cat([x, y], dim=1).sum(dim=0), x.T @ x, x.T @ y


def _write(last: _Last, fit: _Fit, rows: Tensor) -> None:
    """Put the fit into the layer's ``rows``, each as long as it was, and the rest into the norm or
    scale after it; a norm's running statistics are then the child's own."""
    module, scaling = last.module, last.scaling
    old = module.weight.flatten(1).double()
    long, length = old.norm(dim=1), fit.weight.norm(dim=1)
    length = length / torch.where(long > 0, long, 1.0) if scaling is not None else length * 0 + 1
    some = length > 0  # the others have nothing to say but their bias
    weight = torch.where(some[:, None], fit.weight / length[:, None], old)
    new = {(module, "weight"): weight.view(module.weight.shape)}
    if isinstance(scaling, nn.BatchNorm2d):
        mean = weight @ fit.mean
        variance = ((weight @ fit.covariance) * weight).sum(dim=1).clamp(min=0)
        new[scaling, "weight"] = length * (variance + scaling.eps).sqrt()
        new[scaling, "bias"] = fit.bias + length * mean
        new[scaling, "running_mean"] = mean
        new[scaling, "running_var"] = variance
    else:
        scale = torch.where(some, length, 1.0)
        new[module, "weight"] = (fit.weight / scale[:, None]).view(module.weight.shape)
        new[module, "bias"] = fit.bias / scale
        if scaling is not None:
            new[scaling, "weight"] = scale.view(-1, 1, 1)
    for (owner, leaf), value in new.items():
        tensor = getattr(owner, leaf)
        tensor[rows] = value.to(tensor.dtype)[rows]
