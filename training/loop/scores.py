"""What a network gets right, class by class, and what it takes for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.data import Data, Split, part
from training.device import autocast
from training.loop.augment import to_float
from training.loop.feeds.feed import batches_of
from training.loop.processes import ALONE, Processes
from training.loop.together.pipeline import Passing

WORST = 12
"""Mistakes that are told one by one, those of the greatest probability."""
PAIRS = 900
"""Pairs of classes that a search keeps of each of its networks: more than 30 classes have."""


class Mistake(NamedTuple):
    """A picture that was named wrongly: its place in the split, its class and the class that it was
    taken for, as places among the data's classes, and the probability in [0, 1] that was given
    to the latter."""

    place: int
    truth: int
    named: int
    probability: float


@dataclass(frozen=True)
class Scores:
    """Of each class the pictures that were looked at and those named correctly; the mean loss.

    correct, images  one number a class, in the order of the data's classes
    loss             mean cross-entropy over all pictures
    given            of each class the mean probability in [0, 1] that its pictures are given for
                     it; 0 of a class without pictures
    mistakes         every picture that was named wrongly, by falling probability
    """

    correct: tuple[int, ...]
    images: tuple[int, ...]
    loss: float
    given: tuple[float, ...]
    mistakes: tuple[Mistake, ...] = ()

    @property
    def accuracy(self) -> float:
        """The share of all pictures that are named correctly, in [0, 1]."""
        return sum(self.correct) / sum(self.images)

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the classes' own accuracies, of those that have pictures, in [0, 1].

        Who always names the majority has 1 / classes (Brodersen et al. 2010, ICPR, "The balanced
        accuracy and its posterior distribution").
        """
        shares = [right / of for right, of in zip(self.correct, self.images, strict=True) if of]
        return sum(shares) / len(shares)

    def probability(self, balance: bool) -> float:
        """The mean probability that is given to the pictures' own classes, in [0, 1]; of classes
        that count alike, where ``balance``.

        It reads as an accuracy does: it is that of names drawn by the probabilities. Each picture
        tells more by it than by being right or wrong, and none more than the others, as by the
        loss, to which a few mistakes that the network is sure of give most of its noise.
        """
        if not balance:
            sums = (mean * of for mean, of in zip(self.given, self.images, strict=True))
            return sum(sums) / sum(self.images)
        return sum(self.given) / sum(of > 0 for of in self.images)

    def chosen(self, balance: bool) -> float:
        """The accuracy that a search maximises: balanced where the training is."""
        return self.balanced_accuracy if balance else self.accuracy

    def effective_images(self, balance: bool) -> int:
        """How many pictures would tell a plain accuracy as well as these tell the ``chosen`` one.

        The variance of a mean of C classes' accuracies p is p (1 - p) sum(1 / images) / C², were p
        the same in all of them: of 90 and 10 pictures 36 are left.
        """
        counts = [of for of in self.images if of]
        return round(len(counts) ** 2 / sum(1 / of for of in counts)) if balance else sum(counts)

    def details(self, balance: bool) -> dict[str, Any]:
        """Both accuracies and the counts, as an Evaluation's details have them; ``confused``,
        [class, taken for, pictures] of each pair that was confused, the most pictures first, of
        which there are ``PAIRS`` at most."""
        return {
            "effective_images": self.effective_images(balance),
            "plain_accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "probability": self.probability(balance),
            "class_correct": list(self.correct),
            "class_images": list(self.images),
            "confused": self._confused()[:PAIRS],
        }

    def mistaken(self) -> dict[str, Any]:
        """What is wrong, for the details of a training whose end this is: all that were
        ``confused``, and ``mistakes``, the ``WORST``."""
        worst = [one._asdict() for one in self.mistakes[:WORST]]
        return {"confused": self._confused(), "mistakes": worst}

    def _confused(self) -> list[list[int]]:
        pairs = Counter((one.truth, one.named) for one in self.mistakes)
        ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        return [[*pair, count] for pair, count in ranked]


@torch.no_grad()
def measure(
    network: nn.Module | Passing,
    split: Split,
    side: int,
    data: Data,
    batch: int = 500,
    workers: int = 0,
    among: Processes = ALONE,
) -> Scores:
    """The scores of ``network`` on ``split`` at ``side`` pixels.

    ``batch`` images go through at once, read by so many ``workers`` where they stream from disk,
    which changes nothing but memory and time. Each of several processes looks at its own part of
    the pictures, or in a pipeline at all of them by its own part of the network, and has the scores
    of all. Nothing is fetched from the device before the end.
    """
    network.eval()
    whole, own = split, among.part(len(split))
    split, at = part(whole, own), own.start
    device = split.labels.device
    tally = _Tally(whole.labels, len(data.classes))
    with autocast(device):
        for images, labels in _seen(split, batch, workers, among):
            if images is None:
                x = torch.empty(len(labels), data.channels, side, side, device="meta")
            else:
                x = to_float(images.to(device), side, data.mean, data.std, channels_last=True)
            here = slice(at, at + len(labels))
            at = here.stop
            if (found := network(x)) is not None:  # else another process has the logits
                tally.add(here, found.float())
        if among.sharded:  # others need this one's pieces for as many batches as they have
            most = -(-len(whole) // among.count)
            for _ in range(-(-most // batch) - -(-len(split) // batch)):
                network(torch.zeros(1, data.channels, side, side, device=device))
    if isinstance(network, Passing):
        network.wait()
    return tally.scores(among)


def scored(logits: Tensor, labels: Tensor) -> Scores:
    """What ``measure`` finds of a network that gives these logits, (N, classes), float."""
    tally = _Tally(labels, logits.shape[1])
    tally.add(slice(None), logits)
    return tally.scores(ALONE)


class _Tally:
    """The sums that Scores are of, over pictures with ``labels`` (N,) that are seen bit by bit."""

    def __init__(self, labels: Tensor, classes: int) -> None:
        device = labels.device
        self._labels = labels
        # Of every picture, so that the sum over processes has them all.
        self._named = torch.zeros(len(labels), dtype=torch.int64, device=device)
        self._probability = torch.zeros(len(labels), device=device)
        # Of the losses, and of the probabilities that each class's pictures are given for it.
        self._lost = torch.zeros((), device=device)
        self._given = torch.zeros(classes, device=device)

    def add(self, here: slice, logits: Tensor) -> None:
        """The pictures in these places."""
        labels = self._labels[here]
        most, self._named[here] = logits.max(1)
        self._probability[here] = (most - logits.logsumexp(1)).exp()
        losses = F.cross_entropy(logits, labels, reduction="none")
        self._lost += losses.sum()
        self._given.index_add_(0, labels, (-losses).exp())

    def scores(self, among: Processes) -> Scores:
        """Of what all processes have seen."""
        labels, classes = self._labels, len(self._given)
        named, probability = among.summed(self._named), among.summed(self._probability)
        right, lost, given = named == labels, among.summed(self._lost), among.summed(self._given)
        correct, counts = (
            torch.bincount(some, minlength=classes) for some in (labels[right], labels)
        )
        return Scores(
            tuple(correct.tolist()),
            tuple(counts.tolist()),
            lost.item() / len(labels),
            tuple((given / counts.clamp(min=1)).tolist()),
            _mistakes(labels, named, probability),
        )


def _seen(
    split: Split, batch: int, workers: int, among: Processes
) -> Iterator[tuple[Tensor | None, Tensor]]:
    """The batches of a split; None where the pictures are another process's to look at."""
    if among.sees_pictures:
        return batches_of(split, batch, workers)
    return ((None, labels) for labels in torch.split(split.labels, batch))


def _mistakes(labels: Tensor, named: Tensor, probability: Tensor) -> tuple[Mistake, ...]:
    """Each (N,): where the first two differ."""
    wrong = (named != labels).nonzero().squeeze(1)
    wrong = wrong[probability[wrong].argsort(descending=True, stable=True)]
    told = (some[wrong].tolist() for some in (labels, named, probability))
    return tuple(Mistake(*each) for each in zip(wrong.tolist(), *told, strict=True))
