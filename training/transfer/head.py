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
from training.device import autocast
from training.loop.augment import to_float
from training.loop.feeds.feed import batches_of

_PENALTIES = torch.logspace(-6, 1, 29, dtype=torch.float64)  # of the sum of the features' variances
_NEVER = -1e4  # the logit of a class without pictures
_SCALES = torch.logspace(-0.5, 2.0, 51, dtype=torch.float64)

_FACTORS = (0.0, *torch.logspace(-1.5, 0.5, 21, dtype=torch.float64).tolist())


class Head(NamedTuple):
    """A linear classifier: weight (classes, features) and bias (classes,), float32."""

    weight: Tensor
    bias: Tensor


def batch_for(device: torch.device) -> int:
    """Pictures at once, where nothing is learned: on a CPU so few that their maps stay in its
    caches, which halves the time (docs/transfer.md)."""
    return 32 if device.type == "cpu" else 500


def classifier(network: nn.Module) -> nn.Linear:
    """The last linear layer of a built network."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def features(network: nn.Module, split: Split, side: int, data: Data) -> Tensor:
    """What the classifier of ``network``, in eval mode from here on, is given: float32
    (N, features), at ``side`` pixels."""
    return taken(network.eval(), split, side, data, batch_for(split.labels.device))


@torch.no_grad()
def taken(network: nn.Module, split: Split, side: int, data: Data, batch: int) -> Tensor:
    """``features`` in the mode that the network is in, in batches of so many."""
    found: list[Tensor] = []
    hook = classifier(network).register_forward_pre_hook(lambda _, given: found.append(given[0]))
    device = split.labels.device
    try:
        with autocast(device):
            for images, _ in batches_of(split, batch):
                x = images.to(device)
                network(to_float(x, side, data.mean, data.std, channels_last=True))
    finally:
        hook.remove()
    return torch.cat(found).float()


def fit(given: Tensor, labels: Tensor, classes: int, *, balance: bool = False) -> Head:
    """The classifier of ``given`` (N, features) and ``labels`` (N,), int64 below ``classes``.

    ``balance``: every class counts alike, however many pictures it has. A class without a picture
    is never named. Raises ValueError for fewer than two pictures and features that are no numbers.
    """
    if len(labels) < 2 or not given.isfinite().all():
        raise ValueError(f"{len(labels)} pictures with features: a head needs two, and numbers")
    labels, y = labels.cpu(), F.one_hot(labels.cpu(), classes).double()
    counts = y.sum(0)
    ridge = Ridge(given.cpu().double(), y, _shares(y, balance=balance))
    penalty = min(ridge.penalties, key=ridge.error)
    scale = _scale(ridge.left_out(penalty), labels, ridge.share, counts)
    weight, bias = ridge.solved(penalty)
    # A class that was never seen would else be named wherever all others are negative.
    bias = (scale * bias).masked_fill(counts == 0, _NEVER)
    return Head((scale * weight).float().contiguous(), bias.float())


@torch.no_grad()
def settle(
    network: nn.Module, train: Split, held: Split, side: int, data: Data, *, balance: bool = False
) -> tuple[tuple[float, float], Tensor]:
    """Give a trained network the classifier a · its own + b · one fitted to its features, and
    return (a, b) and the logits of ``held`` then, float32 (N, classes) on the network's device.

    What a short training leaves in the last layer is well calibrated, but little trained; the fit
    names more pictures rightly, and is too sure of it, as its pictures are those that the features
    were trained on. Both are linear in the same features, and so is their sum. ``train`` is what
    was trained on; the two factors, of ``_FACTORS``, are those of the least loss on ``held``.
    """
    last = classifier(network)
    given = [features(network, split, side, data) for split in (train, held)]
    classes = last.out_features
    heads = (Head(last.weight, last.bias), fit(given[0], train.labels, classes, balance=balance))
    logits = [F.linear(given[1].cpu(), *(one.cpu() for one in head)).double() for head in heads]
    a, b = mixed(logits[0], logits[1], held.labels.cpu(), balance=balance)
    pairs = zip(*(tuple(one.to(last.weight.device) for one in head) for head in heads), strict=True)
    install(network, Head(*(a * own + b * fitted for own, fitted in pairs)))
    return (a, b), F.linear(given[1], last.weight, last.bias)


def mixed(
    own: Tensor, fitted: Tensor, labels: Tensor, *, balance: bool = False
) -> tuple[float, float]:
    """The a and b of ``_FACTORS`` by which a · own + b · fitted, logits (N, classes), have the
    least cross-entropy with ``labels`` (N,)."""
    y = F.one_hot(labels, own.shape[1]).double()
    share = _shares(y, balance=balance)
    pairs = [(a, b) for a in _FACTORS for b in _FACTORS if a or b]
    losses = [
        float(share @ F.cross_entropy(a * own + b * fitted, labels, reduction="none"))
        for a, b in pairs
    ]
    return pairs[min(range(len(pairs)), key=losses.__getitem__)]


def _shares(y: Tensor, *, balance: bool) -> Tensor:
    """(N,), which sum to 1: how much each picture counts; ``y`` is (N, classes), one-hot."""
    share = (y / y.sum(0).clamp(min=1)).sum(1) if balance else torch.ones(len(y)).double()
    return share / share.sum()


class Ridge:
    """Regression of ``y`` (N, outputs) on ``x`` (N, features), float64, with an intercept that is
    not penalised; each row counts by its ``share`` (N,), which sum to 1."""

    def __init__(self, x: Tensor, y: Tensor, share: Tensor) -> None:
        self.y, self.share, self._root = y, share, share.sqrt()[:, None]
        self._middle, self._level = share @ x, share @ y
        self._basis, self._values, self._axes = _decomposed(self._root * (x - self._middle))
        self._inside = self._basis.T @ (self._root * (y - self._level))
        self.penalties: list[float] = (_PENALTIES * self._values.sum().clamp(min=1e-300)).tolist()

    def left_out(self, penalty: float) -> Tensor:
        """(N, outputs): what each row is predicted by all others, given that the others' shares
        and the decomposition stay; exact for equal shares."""
        kept = self._values / (self._values + penalty)
        # What each row has of itself in its own prediction, the intercept's part included.
        own = self.share + self._basis**2 @ kept
        fitted = self._level + self._basis @ (kept[:, None] * self._inside) / self._root
        return self.y - (self.y - fitted) / (1 - own).clamp(min=1e-9)[:, None]

    def error(self, penalty: float) -> float:
        """Mean squared error of ``left_out``."""
        return float(self.share @ ((self.y - self.left_out(penalty)) ** 2).sum(1))

    def solved(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Weight (outputs, features) and bias (outputs,)."""
        by = self._values.sqrt() / (self._values + penalty)
        weight = ((self._axes * by) @ self._inside).T
        return weight, self._level - weight @ self._middle


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
    masked = without.masked_fill(counts == 0, _NEVER)
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
