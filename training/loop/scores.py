"""What a network gets right, class by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from training.data import Data, Split, part
from training.loop.augment import to_float
from training.loop.feeds.feed import batches_of
from training.loop.processes import ALONE, Processes
from training.loop.trainer import autocast


@dataclass(frozen=True)
class Scores:
    """Of each class the pictures that were looked at and those named correctly; the mean loss.

    correct, images  one number a class, in the order of the data's classes
    loss             mean cross-entropy over all pictures
    """

    correct: tuple[int, ...]
    images: tuple[int, ...]
    loss: float

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
        """Both accuracies and the counts, as an Evaluation's details have them."""
        return {
            "effective_images": self.effective_images(balance),
            "plain_accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "class_correct": list(self.correct),
            "class_images": list(self.images),
        }


@torch.no_grad()
def measure(
    network: nn.Module,
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
    the pictures, and has the scores of all. Nothing is fetched from the device before the end.
    """
    network.eval()
    whole, split = split, part(split, among.part(len(split)))
    device, classes = split.labels.device, len(data.classes)
    correct = torch.zeros(classes, dtype=torch.int64, device=device)
    loss = torch.zeros((), device=device)
    with autocast(device):
        for images, labels in batches_of(split, batch, workers):
            x = to_float(images.to(device), side, data.mean, data.std, channels_last=True)
            logits = network(x).float()
            # Not bincount, which on a GPU waits for the greatest of the labels.
            correct.scatter_add_(0, labels, (logits.argmax(1) == labels).long())
            loss += F.cross_entropy(logits, labels, reduction="sum")
    counts = torch.bincount(whole.labels, minlength=classes)
    right, lost = among.summed(correct), among.summed(loss)
    return Scores(tuple(right.tolist()), tuple(counts.tolist()), lost.item() / len(whole))
