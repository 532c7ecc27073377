"""What a study trains: the networks of each baseline, from factors as people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.spec import ArchSpec
from scaling_search.coefficients import PAPER, Coefficients
from scaling_search.points.scalable import SpecBaseline
from scaling_search.studies import (
    LADDERS,
    WIDTH_SETTINGS,
    Entry,
    compare_study,
    single_study,
    width_study,
)

STUDIES = ("single", "width", "compare")
Ladders = Mapping[str, Sequence[float]]

# The paper's; Table 3 compares at about four times the cost.
_DEFAULTS: dict[str, dict[str, tuple[float, ...]]] = {
    "single": LADDERS,
    "width": {"width": LADDERS["width"]},
    "compare": {"cost": (4.0,)},
}
_MOST = 1000.0  # beyond any study, and small enough to be refused by models.scale in no time


@dataclass(frozen=True)
class StudyPlan:
    """What a study trains: (baseline, entry) pairs, and what no rounding brings to its target."""

    entries: list[tuple[str, Entry]]
    left_out: list[str]

    @property
    def networks(self) -> dict[str, ArchSpec]:
        """By key: a network that several entries share is trained once."""
        return {entry.point.spec.key: entry.point.spec for _, entry in self.entries}

    def to_dicts(self) -> list[dict[str, Any]]:
        """The entries, JSON-ready, as a report reads them back."""
        return [
            {
                "baseline": name,
                "series": entry.series,
                "factor": entry.factor,
                "key": entry.point.spec.key,
                "cost": entry.cost,
                **entry.point.to_dict(),
            }
            for name, entry in self.entries
        ]


def planned(
    study: str,
    baselines: Mapping[str, ArchSpec],
    ladders: Ladders,
    coefficients: Coefficients = PAPER,
    splits: Mapping[str, tuple[float, float, float]] | None = None,
    depth_rounding: str = "ceil",
) -> StudyPlan:
    """The networks of a study for each baseline, ``ladders`` as ``parse_factors`` gives them.

    Raises ValueError where a baseline admits no such scaling.
    """
    plan = StudyPlan([], [])
    for name, spec in baselines.items():
        baseline = SpecBaseline(spec, depth_rounding)
        left_out: list[str] = []
        if study == "single":
            entries = single_study(baseline, ladders)
        elif study == "width":
            entries = width_study(baseline, ladders["width"])
        else:
            targets = [factor * baseline.macs(spec) for factor in ladders["cost"]]
            try:
                entries, left_out = compare_study(
                    baseline, targets, compound=coefficients, splits=splits
                )
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        plan.entries.extend((name, entry) for entry in entries)
        plan.left_out.extend(f"{name}: {line}" for line in left_out)
    return plan


def parse_factors(study: str, text: str | None) -> dict[str, tuple[float, ...]]:
    """Factors by dimension; ``{"width": …}`` for the study width, ``{"cost": …}`` for compare.

    ``"1,2"`` gives every dimension of single these, ``"d=1,2;w=1,1.4"`` those that it names. None:
    the paper's. Raises ValueError for anything else, and for a factor that is not positive.
    """
    if text is None:
        return dict(_DEFAULTS[study])
    if study != "single":
        return {"width" if study == "width" else "cost": _numbers(text)}
    if "=" not in text:
        return dict.fromkeys(LADDERS, _numbers(text))
    found = {}
    names = {name[0]: name for name in LADDERS}
    for part in text.split(";"):
        letter, _, numbers = part.strip().partition("=")
        if letter not in names or names[letter] in found:
            raise ValueError(f"{text!r:.80} is no list of factors: write d=1,2;w=1,1.4;r=1,1.3")
        found[names[letter]] = _numbers(numbers)
    return found


def _numbers(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part.strip().removesuffix("x")) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < factor <= _MOST for factor in found):
        raise ValueError(f"{text!r:.80} are no factors: write positive numbers such as 1,1.5,2")
    return tuple(dict.fromkeys(found))


def growth(study: str, ladders: Ladders) -> float:
    """The greatest multiple of the baseline's resolution that is trained."""
    if study == "compare":
        return math.sqrt(max(1.0, *ladders["cost"]))
    sides = (
        ladders.get("resolution", (1.0,)) if study == "single" else dict(WIDTH_SETTINGS).values()
    )
    return max(1.0, *sides)
