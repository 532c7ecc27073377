"""Divide pictures into training, validation and test: stratified, seeded, nested.

Pure arithmetic on labels: nothing here opens a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

_ENOUGH = 10_000  # held-out pictures: the standard error of an accuracy is then at most 0.5 %


class Subset(IntEnum):
    """The part of a data set that a picture belongs to."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


class Division(NamedTuple):
    """Disjoint indices of pictures; every beginning of each of them is itself stratified."""

    train: Indices
    validation: Indices
    test: Indices


def divide(
    labels: Indices,
    parts: Indices,
    classes: Sequence[str],
    *,
    validation: float | None,
    test: float | None,
    images: int | None,
    seed: int,
    twins: Indices | None = None,
) -> Division:
    """Divide the pictures with the given labels and parts, both int64 (N,).

    A validation or test part that is missing from `parts` is cut from the training part: that
    share of each class, and at least one picture of it unless the share is 0. None stands for 20 %
    (validation) and 10 % (test), each at most 10,000 pictures. `images` caps the training pictures
    alone: validation and test do not depend on it, and a larger cap contains a smaller one.
    Pictures with one number in `twins`, int64 (N,) and of one class, are divided as if they were
    one; None takes all for different.

    Raises ValueError where a class is too small to be divided, or `images` below the classes.
    """
    rng = np.random.default_rng(seed)
    train, own_validation, own_test = (np.flatnonzero(parts == part) for part in Subset)
    _, first, which = np.unique(
        train if twins is None else twins[train], return_index=True, return_inverse=True
    )
    of = labels[train[first]]
    counts = np.bincount(of, minlength=len(classes))
    aside_test = _held_out(counts, 0.0 if len(own_test) else test, default=0.1)
    aside_validation = _held_out(counts, 0.0 if len(own_validation) else validation, default=0.2)
    _check_classes(classes, counts, aside_validation + aside_test)

    rank = _ranks(of, rng)
    is_test = (rank < aside_test[of])[which]
    is_validation = ~is_test & (rank < (aside_test + aside_validation)[of])[which]
    members = (
        train[~is_test & ~is_validation],
        np.concatenate([own_validation, train[is_validation]]),
        np.concatenate([own_test, train[is_test]]),
    )
    division = Division(*(part[_stratified_order(labels[part], rng)] for part in members))
    return division._replace(train=_capped(division.train, images, len(classes)))


def _held_out(counts: Indices, share: float | None, *, default: float) -> Indices:
    """How many pictures of each class to put aside."""
    if share is None:
        share = min(default, _ENOUGH / counts.sum())
    least = 1 if share else 0
    aside: Indices = np.rint(share * counts).clip(min=least).astype(np.int64)
    return aside


def _check_classes(classes: Sequence[str], counts: Indices, aside: Indices) -> None:
    for name, count, held in zip(classes, counts, aside, strict=True):
        if count <= held:
            raise ValueError(
                f"class {name!r} has {count} training picture(s), copies not counted, and none is"
                f" left to train on after {held} for validation and test: add at least"
                f" {held - count + 1} pictures of it, remove the class, or give smaller shares"
            )


def _capped(train: Indices, images: int | None, classes: int) -> Indices:
    if images is not None and images < classes:
        raise ValueError(f"images={images} cannot cover {classes} classes: give at least {classes}")
    return train[:images]


def _ranks(labels: Indices, rng: np.random.Generator) -> Indices:
    """A random place for every picture among those of its class, from 0; int64 (N,)."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    ranks = np.empty(len(labels), np.int64)
    ranks[by_class] = np.arange(len(labels)) - starts
    return ranks


def _stratified_order(labels: Indices, rng: np.random.Generator) -> Indices:
    """A random order in which every class first comes once, and then advances in proportion."""
    rank = _ranks(labels, rng)
    progress = np.where(rank == 0, 0, (rank + 0.5) / np.bincount(labels)[labels])
    # Equal progress is frequent (balanced classes), and sorting by label would favour the first.
    return np.lexsort((rng.permutation(len(labels)), progress))
