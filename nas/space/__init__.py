"""Search spaces: which networks there are, what a million of them cost, and those by name."""

from __future__ import annotations

from nas.space.catalogue import SPACES, space
from nas.space.choices import Choices, LayerChoices, StageChoices, Value
from nas.space.costs import Batch, Costs, OfParts
from nas.space.networks import RESOLUTION, Space, layerwise
from nas.space.resolutions import by_rule, highest, sides_about
from nas.space.starts import largest, starts, to_raise

__all__ = [
    "RESOLUTION",
    "SPACES",
    "Batch",
    "Choices",
    "Costs",
    "LayerChoices",
    "OfParts",
    "Space",
    "StageChoices",
    "Value",
    "by_rule",
    "highest",
    "largest",
    "layerwise",
    "sides_about",
    "space",
    "starts",
    "to_raise",
]
