"""Few pictures judge the finalists: then others judge them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from models.pretrained import at_hand
from training.data import Data
from training.evaluator import Evaluator, Folded
from training.pictures.folds import folds
from training.transfer.parent import Parent
from training.transfer.sources import open_parent


def untaught(parent: Parent) -> Parent | None:
    """The published network that ``parent`` was made ready from, which has not seen the pictures,
    at the resolution that it was made ready for.

    None where weights of that name and content are not at hand, or where it is a network of the
    user's own, which may have seen them.
    """
    if not at_hand(parent.name):
        return None
    found = open_parent(parent.name)
    seen = replace(found, spec=replace(found.spec, resolution=parent.spec.resolution))
    return seen if parent.source in (found.digest, seen.digest) else None


def by_others(evaluator: Evaluator, prepare: Callable[[Parent, Data], Parent]) -> Evaluator | None:
    """``evaluator`` with another part of the pictures held out, and its parent made ready without
    these by ``prepare(published, pictures)``.

    What is trained again and judged by the same pictures keeps the luck that it had with these,
    which among some hundred is greater than what tells near equals apart (docs/transfer.md). None
    where its recipe's held-out pictures are there without that, where there are no others, and
    where its parent may have seen them.
    """
    enough, data = evaluator.recipe.held_out, evaluator.source.data()
    if enough is None or len(data.validation) >= enough or folds(data) < 2:
        return None
    if evaluator.parent is None or (published := untaught(evaluator.parent)) is None:
        return None
    source = Folded(evaluator.source, 1)
    return replace(evaluator, source=source, parent=prepare(published, source.data()))
