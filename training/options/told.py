"""What a report must say of a search's pictures and of its proxy trainings."""

from __future__ import annotations

from typing import Any

import torch

from training.data import Data, Split
from training.evaluator import Evaluator
from training.given import Pictured, as_stored
from training.loop.train import first
from training.recipe.variation import described


def facts(source: Pictured, data: Data, evaluator: Evaluator) -> dict[str, Any]:
    """What a report must say of the pictures and the proxy, as JSON; ``source`` is --data."""
    recipe, parent = evaluator.recipe, evaluator.parent
    train, held = first(data.train, recipe.images), first(data.validation, recipe.held_out)
    counts = [_counts(split, data) for split in (train, held)]
    every = [_counts(split, data) for split in (data.train, data.validation)]
    most = max(counts[1]) / len(held)
    return {
        "data": {
            "name": data.name,
            "digest": data.digest,
            "size": data.size,
            "classes": list(data.classes),
            "channels": data.channels,
            "train": len(train),
            "validation": len(held),
            "native_size": data.native_size,
            "enlarged": data.enlarged,
            "skipped": [list(pair) for pair in data.skipped],
            "chance": 1 / sum(map(bool, counts[1])) if recipe.balance else most,
        },
        "recipe": {"key": recipe.key, **recipe.to_dict()},
        "init": None if parent is None else {**parent.facts(), "weights": parent.digest},
        "class_counts": counts,  # for training, for validation
        "all_counts": every,  # of which these are a part
        "varied": described(recipe, data.flip),
        "source": as_stored(source),
    }


def _counts(split: Split, data: Data) -> list[int]:
    found: list[int] = torch.bincount(split.labels, minlength=len(data.classes)).tolist()
    return found
