"""Another part of the training pictures held out in the place of the validation part."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch

from training.pictures import copies
from training.pictures.dataset import Data, Split, part


def folds(data: Data) -> int:
    """How many divisions ``fold`` has, the data's own among them; 1 where pictures stream."""
    return 1 if data.streams else 1 + len(data.train) // len(data.validation)


def fold(data: Data, number: int) -> Data:
    """``data`` with the ``number``-th of its training pictures' beginnings held out, as many as its
    validation part has, which is trained on instead; 0 is ``data`` itself.

    Held-out parts of different numbers are disjoint, each stratified as ``load`` divides, and the
    test part is the same: what is chosen by several of them is chosen by more pictures (k-fold
    cross-validation; Stone 1974, J. R. Stat. Soc. B 36, 111-147). Copies of a picture that is held
    out are trained on by no fold. Raises ValueError where there is no such fold.
    """
    if not number:
        return data
    if not 0 < number < folds(data):
        raise ValueError(
            f"fold {number} of {data.name}: {len(data.train)} training pictures in memory make "
            f"{folds(data) - 1} other parts of {len(data.validation)}"
        )
    count = len(data.validation)
    start, end = (number - 1) * count, number * count
    held = part(data.train, slice(start, end))
    before, after = part(data.train, slice(start)), part(data.train, slice(end, None))
    kept = _unlike(_joined(before, after, data.validation), held)
    digest = hashlib.sha256(f"{data.digest} {number}".encode()).hexdigest()[:16]
    return replace(data, train=kept, validation=held, digest=digest)


def _joined(*splits: Split) -> Split:
    images, labels = ([getattr(one, name) for one in splits] for name in ("images", "labels"))
    return Split(torch.cat(images), torch.cat(labels))


def _unlike(split: Split, held: Split) -> Split:
    """The pictures of which there is no copy in ``held``."""
    both = torch.cat([held.images, split.images]).cpu().numpy()
    first = copies.equal(both, np.ones(len(both), dtype=bool))[len(held) :]
    kept = torch.from_numpy(first >= len(held)).to(split.labels.device)
    return split if kept.all() else Split(split.images[kept.cpu()], split.labels[kept])
