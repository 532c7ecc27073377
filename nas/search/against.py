"""Is the chosen network better than what one would pick without a search?

Known networks whose cost lies in the window, at the searched networks' resolution or brought into
it by another one, are trained as the search's trainings are: those named, or where weights are
inherited the parent itself, which is what one would fine-tune without a search. So is the chosen
network, again and with the same seeds: that training by which it was chosen is the luckiest of
many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import optuna

from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from nas.costing import cost_text
from nas.objective import Objective
from trials.conduct import Means, accuracy, conduct
from trials.loop import SearchFailed
from trials.record import trial_seed
from trials.store.run import Run
from trials.store.study import open_run
from trials.store.view import Proposal

USUAL = ("efficientnet-b0", "mobilenet-v2")  # where nothing is inherited, else the parent
FEWEST_TRIALS = 16  # of a search that is compared unless told otherwise
THRICE = 30  # of one whose networks are compared by three trainings each, else by two
LEVEL = 0.9
KEPT = "against"  # below the search's directory
_SEED = 1_618_033  # apart from the seeds of the search's own trainings
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
class Against:
    """The chosen network and the known ones, trained alike, and what was left out and why."""

    chosen: Rival
    known: tuple[Rival, ...]
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the inverse of ``from_dict``."""
        known = [one.to_dict() for one in self.known]
        return {"chosen": self.chosen.to_dict(), "known": known, "left_out": list(self.left_out)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Against:
        """Read what ``to_dict`` wrote."""
        known = tuple(Rival.from_dict(one) for one in data["known"])
        return cls(Rival.from_dict(data["chosen"]), known, tuple(data["left_out"]))

    @property
    def trained(self) -> tuple[Rival, ...]:
        """All of them, the chosen one first."""
        return (self.chosen, *self.known)

    def half_width(self, one: Rival) -> float | None:
        """Of the 90 % interval of its mean, by the noise that all trainings here show together;
        None where none was repeated."""
        found = self._noise()
        return found and found[0] * found[1] / len(one.accuracies) ** 0.5

    def _noise(self) -> tuple[float, float] | None:
        """Standard deviation between trainings of one network, and Student's t for it."""
        from scipy.stats import t  # a second to load

        several = [one.accuracies for one in self.trained if len(one.accuracies) > 1]
        degrees = sum(len(own) - 1 for own in several)
        if not degrees:
            return None
        squares = sum((len(own) - 1) * variance(own) for own in several)
        return (squares / degrees) ** 0.5, float(t.ppf((1 + LEVEL) / 2, degrees))

    def in_words(self, kind: str) -> str:
        """A sentence for each known network, and one for what was left out."""
        said = [self._compared(one, kind) for one in self.known]
        said += [f"Not compared with {line}." for line in self.left_out]
        return " ".join(said)

    def _compared(self, one: Rival, kind: str) -> str:
        if one.spec.key == self.chosen.spec.key:
            return f"The chosen network is {one.name} itself."
        ahead = self.chosen.mean - one.mean
        what = f"{one.name} ({100 * one.mean:.1f} % at {cost_text(kind, one.cost)})"
        own = f"the chosen one ({100 * self.chosen.mean:.1f} %, trained again)"
        noise = self._noise()
        if noise is None:
            return f"Against {what}, {own} is {100 * ahead:+.1f} points: of single trainings."
        counts = 1 / len(one.accuracies) + 1 / len(self.chosen.accuracies)
        reach = noise[0] * noise[1] * counts**0.5
        verb = "is better than" if ahead > reach else "is worse than" if ahead < -reach else None
        span = f"{100 * (ahead - reach):+.1f} to {100 * (ahead + reach):+.1f}, 90 % interval"
        said = f"{own} {verb or 'is not told from'} {what}: {100 * ahead:+.1f} points ({span})."
        return said[:1].upper() + said[1:]


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


def train(
    plan: Plan, chosen: Rival, directory: Path, seed: int, recipe: str, means: Means
) -> Against | None:
    """Train the plan's networks and the chosen one, each under the plan's seeds.

    None where none of the chosen network's trainings, or of all others, ended well. ``directory``
    keeps the run: what was trained there is not trained again. Raises ValueError where it holds
    trainings of another seed or recipe.
    """
    entered = {one.spec.key: one for one in (chosen, *plan.known)}
    wanted = [(key, repeat) for repeat in range(plan.seeds) for key in entered]

    def propose(trial: optuna.Trial, run: Run) -> Proposal | None:
        begun = _begun(run)
        for key, repeat in wanted:
            if (key, repeat) not in begun:
                one = entered[key]
                paid = {**cost(one.spec)._asdict(), "cost": one.cost}
                attrs = {"network": key, "repeat": repeat}
                return Proposal(one.spec, paid, attrs, trial_seed(seed + _SEED, repeat))
        return None

    settings = {"kind": "against", "seed": seed, "recipe": recipe}
    resume = (directory / "run.json").exists()
    with open_run(
        directory, settings, ["maximize"], from_json=ArchSpec.from_json, resume=resume
    ) as run:
        missing = set(wanted) - _begun(run)
        if missing or run.interrupted():
            with suppress(SearchFailed):  # the search's own answer stands
                conduct(run, propose, accuracy, run.started() + len(missing), means)
        told = {
            (record.attrs["network"], record.attrs["repeat"]): record.evaluation.accuracy
            for record in run.finished()
            if record.evaluation is not None
        }
    return _told(plan, chosen, told)


def _told(plan: Plan, chosen: Rival, told: Mapping[tuple[str, int], float]) -> Against | None:
    """The accuracies at their networks; None where the chosen one, or all others, have none."""

    def with_own(one: Rival) -> Rival:
        found = [told.get((one.spec.key, repeat)) for repeat in range(plan.seeds)]
        return replace(one, accuracies=tuple(x for x in found if x is not None))

    own, known = with_own(chosen), [with_own(one) for one in plan.known]
    lost = [
        f"{one.name}, none of whose trainings ended well" for one in known if not one.accuracies
    ]
    kept = tuple(one for one in known if one.accuracies)
    return Against(own, kept, (*plan.left_out, *lost)) if own.accuracies and kept else None


def _begun(run: Run) -> set[tuple[str, int]]:
    """(network, repeat) of all trainings, running ones too."""
    attrs = (trial.user_attrs for trial in run.study.get_trials(deepcopy=False))
    return {(own["network"], own["repeat"]) for own in attrs if "spec" in own}
