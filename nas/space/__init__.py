"""Search spaces: which networks there are, what a million of them cost, and those by name."""

from __future__ import annotations

from nas.space.catalogue import SPACES, space
from nas.space.costs import Batch, Costs, OfParts
from nas.space.factorised import Choices, Space, StageChoices, Value

__all__ = [
    "SPACES",
    "Batch",
    "Choices",
    "Costs",
    "OfParts",
    "Space",
    "StageChoices",
    "Value",
    "space",
]
