"""Which known networks a search's answer is compared with: those in the window, or brought in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from models.families import family
from models.spec import ArchSpec
from nas.costing import cost_text
from nas.objective import Objective

USUAL = ("efficientnet-b0", "mobilenet-v2")  # where nothing is inherited, else the parent
FEWEST_TRIALS = 16  # of a search that is compared unless told otherwise
THRICE = 30  # of one whose networks are compared by three trainings each, else by two
SIDES = range(32, 1025)  # pixels that are tried
Priced = Callable[[ArchSpec], float]


@dataclass(frozen=True)
class Rival:
    """A known network, or the chosen one: its cost, and the accuracies of its trainings by seed."""

    name: str
    spec: ArchSpec
    cost: float
    accuracies: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the inverse of ``from_dict``."""
        own = {"name": self.name, "spec": self.spec.to_json(), "cost": self.cost}
        return {**own, "accuracies": list(self.accuracies)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Rival:
        """Read what ``to_dict`` wrote."""
        spec = ArchSpec.from_json(data["spec"])
        return cls(data["name"], spec, data["cost"], tuple(data["accuracies"]))

    @property
    def mean(self) -> float:
        """Of the accuracies, in [0, 1]."""
        return fmean(self.accuracies)


@dataclass(frozen=True)
class Plan:
    """Which known networks are trained beside the chosen one, under how many seeds each."""

    known: tuple[Rival, ...]
    left_out: tuple[str, ...]
    seeds: int

    @property
    def trainings(self) -> int:
        """How many, the chosen network's among them; 0 where no known network is left."""
        return self.seeds * (len(self.known) + 1) if self.known else 0

    def said(self, trials: int) -> Iterator[str]:
        """What is to happen, a line each; ``trials`` is the run's whole number."""
        if self.known:
            names = " and ".join(one.name for one in self.known)
            yield (
                f"{self.trainings} of {trials} trainings compare the chosen network with {names}, "
                f"each under {self.seeds} seeds; --against none for none"
            )
        for line in self.left_out:
            yield f"not compared with {line}"


def families(names: Sequence[str]) -> dict[str, ArchSpec]:
    """The networks of these names. Raises ValueError for one that is no family's."""
    return {name: family(name) for name in names}


def planned(
    known: Mapping[str, ArchSpec],
    template: ArchSpec,
    objective: Objective,
    priced: Priced,
    trials: int,
    sides: Sequence[int] | None = SIDES,
    others: Mapping[str, Priced] | None = None,
) -> Plan:
    """The ``known`` networks that lie in the window and keep the objective's limits, with the
    template's input and classes.

    ``priced`` is what a network costs, ``others`` what it does of the kinds that are limited; one
    that lies outside at the template's resolution is brought inside by one of ``sides``, rising, if
    any; where costs are measured, None leaves resolutions alone. Raises ValueError where the
    ``trials`` are too few.
    """

    def beyond(spec: ArchSpec) -> list[str]:
        found = {kind: of(spec) for kind, of in (others or {}).items()}
        over = [kind for kind, paid in found.items() if paid > (objective.limits or {})[kind]]
        return [f"{cost_text(kind, found[kind])} {kind}" for kind in over]

    rivals, left_out = [], []
    for name, one in known.items():
        own = replace(one, classes=template.classes, in_channels=template.in_channels)
        own = replace(own, resolution=template.resolution)
        spec = own if sides is None else _within(own, objective, priced, beyond, sides)
        paid, over = priced(spec), beyond(spec)
        if over:
            left_out.append(f"{name}, which takes {' and '.join(over)}: more than the limit")
        elif objective.admits(paid):
            at = "" if spec.resolution == template.resolution else f" at {spec.resolution} pixels"
            rivals.append(Rival(f"{name}{at}", spec, paid))
        else:
            where = "" if sides is None else " at every resolution"
            left_out.append(f"{name}, whose cost lies outside the window{where}")
    plan = Plan(tuple(rivals), tuple(left_out), 3 if trials >= THRICE else 2)
    if plan.trainings >= trials:
        raise ValueError(
            f"{plan.trainings} trainings compare the chosen network with others, and --trials is "
            f"{trials}: give more, or --against none"
        )
    return plan


def _within(
    spec: ArchSpec,
    objective: Objective,
    priced: Priced,
    beyond: Callable[[ArchSpec], list[str]],
    sides: Sequence[int],
) -> ArchSpec:
    """``spec``, or where it lies outside the window or ``beyond`` a limit the same at the highest
    of the ``sides`` that costs no more than these allow; at the lowest, where none does."""
    if objective.admits(priced(spec)) and not beyond(spec):
        return spec
    most = objective.high * objective.budget
    low, high = 0, len(sides)
    while high - low > 1:  # the cost grows with the resolution, where it depends on it at all
        middle = (low + high) // 2
        one = replace(spec, resolution=sides[middle])
        fits = priced(one) <= most and not beyond(one)
        low, high = (middle, high) if fits else (low, middle)
    return replace(spec, resolution=sides[low])
