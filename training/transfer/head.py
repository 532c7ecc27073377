"""A classifier on a network's pooled features, in closed form: what its weights know already.

Ridge regression to the classes, as linear probes have it (Kornblith et al. 2019, arXiv:1805.08974,
section 4.1, with logistic regression). Both of its constants are chosen by leaving each picture out
in turn, which has a closed form (Golub, Heath and Wahba 1979): the penalty by the squared error,
the scale of the logits by the cross-entropy, so that the loss on other pictures is one of
probabilities.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.data import Data, Split
from training.device import untried
from training.loop.augment import to_float
from training.loop.trainer import autocast

_PENALTIES = torch.logspace(-6, 1, 29, dtype=torch.float64)  # of the mean eigenvalue times N
_SCALES = torch.logspace(-0.5, 2.0, 51, dtype=torch.float64)


class Head(NamedTuple):
    """A linear classifier: weight (classes, features) and bias (classes,), float32."""

    weight: Tensor
    bias: Tensor


def classifier(network: nn.Module) -> nn.Linear:
    """The last linear layer of a built network."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


@torch.no_grad()
def features(network: nn.Module, split: Split, side: int, data: Data, batch: int = 250) -> Tensor:
    """What the classifier of ``network`` is given, float32 (N, features), at ``side`` pixels."""
    network.eval()
    found: list[Tensor] = []
    hook = classifier(network).register_forward_pre_hook(lambda _, given: found.append(given[0]))
    device = split.labels.device
    try:
        with untried(device), autocast(device):
            for images in torch.split(split.images, batch):
                network(to_float(images, side, data.mean, data.std, channels_last=True))
    finally:
        hook.remove()
    return torch.cat(found).float()


def fit(given: Tensor, labels: Tensor, classes: int, *, balance: bool = False) -> Head:
    """The classifier of ``given`` (N, features) and ``labels`` (N,), int64 below ``classes``.

    ``balance``: every class counts alike, however many pictures it has. Classes without a picture
    are never named. Raises ValueError for fewer than two pictures.
    """
    if len(labels) < 2:
        raise ValueError(f"{len(labels)} pictures: a classifier needs at least 2")
    x, y = given.cpu().double(), F.one_hot(labels.cpu(), classes).double()
    counts = y.sum(0)
    share = (y / counts.clamp(min=1)).sum(1) if balance else torch.ones(len(y)).double()
    share = share / share.sum()
    middle, level = share @ x, share @ y
    root = share.sqrt()[:, None]
    basis, values, axes = _decomposed(root * (x - middle))
    inside = basis.T @ (root * (y - level))
    best: tuple[float, Tensor, Tensor] | None = None
    for penalty in (_PENALTIES * values.sum()).tolist():
        kept = values / (values + penalty)
        # The share of itself that each picture has in its own prediction, the mean's included.
        own = share + (basis**2 @ kept)
        left = (root * (y - level) - basis @ (kept[:, None] * inside)) / (1 - own)[:, None]
        error = float((left**2).sum())
        if best is None or error < best[0]:
            best = error, y - left / root, (axes * (kept / values.sqrt())) @ inside
    if best is None:
        raise ValueError("the features are not numbers: no classifier can be fitted")
    _, without, weight = best
    scale = _scale(without, labels.cpu(), share, counts)
    bias = level - middle @ weight
    # A class that was never seen would else be named wherever all others are negative.
    bias = torch.where(counts > 0, scale * bias, torch.full_like(bias, -1e4))
    return Head((scale * weight.T).float().contiguous(), bias.float())


def _decomposed(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``x`` (N, F) = basis · √values · axesᵀ, by the smaller of its two Gram matrices."""
    wide = x.shape[0] <= x.shape[1]
    values, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    there = values > values[-1].clamp(min=1e-300) * 1e-10
    values, vectors = values[there], vectors[:, there]
    other = (x.T if wide else x) @ vectors / values.sqrt()
    return (vectors, values, other) if wide else (other, values, vectors)


def _scale(without: Tensor, labels: Tensor, share: Tensor, counts: Tensor) -> float:
    """The factor under which the left-out predictions have the least cross-entropy."""
    masked = without.masked_fill(counts == 0, -1e4)
    losses = [
        float(share @ F.cross_entropy(scale * masked, labels, reduction="none"))
        for scale in _SCALES.tolist()
    ]
    return float(_SCALES[int(torch.tensor(losses).argmin())])


@torch.no_grad()
def install(network: nn.Module, head: Head) -> None:
    """Put ``head`` in the place of the network's own classifier. The shapes must agree."""
    last = classifier(network)
    last.weight.copy_(head.weight)
    last.bias.copy_(head.bias)
