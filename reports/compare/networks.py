"""Network searches on one page: what each chose, at what price, and how far each had come when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.units import format_size
from models.cost import cost
from models.spec import ArchSpec
from nas.costing import COSTS, cost_text
from nas.objective import Objective
from nas.pareto import hypervolume
from nas.result import Candidate, SearchResult
from nas.search.against import Against
from reports.compare import figures
from reports.compare.alike import Entrant, pictures, reading, warnings
from reports.nas import concluded
from reports.nas.drawings import UNITS
from reports.page import Page
from reports.sections.classes import percent
from reports.sections.interval import LEVEL, span, wilson
from reports.sections.spent import spent
from trials.store.study import read_run


@dataclass(frozen=True)
class Search:
    """One of the runs, and what it came to."""

    entrant: Entrant
    objective: Objective
    found: SearchResult

    @property
    def best(self) -> Candidate:
        """The chosen network."""
        return self.found.best

    @property
    def images(self) -> int | None:
        """Validation pictures that tell the chosen network's accuracy, of unequal classes as many
        as tell a plain one; None where that is not known."""
        (own,) = (r.evaluation for r in self.found.trials if r.number == self.best.number)
        data = self.entrant.settings.get("data") or {}
        return (own.details.get("effective_images") if own else None) or data.get("validation")

    @property
    def rewards(self) -> tuple[float, float] | None:
        """The interval of the chosen network's reward, from that of its accuracy."""
        if self.images is None:
            return None
        low, high = wilson(self.best.accuracy, self.images)
        factor = self.objective.factor(self.best.cost)
        return factor * low, factor * high

    @property
    def again(self) -> str:
        """What the chosen network's further trainings came to; empty without any."""
        if self.found.against:
            chosen = Against.from_dict(self.found.against).chosen
            return f"{percent(chosen.mean)} (of {len(chosen.accuracies)})"
        if self.found.finals:
            final = self.found.finals[0]
            return f"{percent(final.accuracy)} (of {final.trainings}, trained further)"
        return ""


@dataclass(frozen=True)
class Field:
    """What all runs are measured against: the least accuracy and the greatest cost that any may
    have, between which hypervolumes are shares."""

    least: float
    most: float

    @classmethod
    def of(cls, searches: Sequence[Search]) -> Field:
        """Chance, where it is told, and the upper end of the widest window."""
        chances = [(one.entrant.settings.get("data") or {}).get("chance") for one in searches]
        told = [chance for chance in chances if chance is not None]
        most = max(one.objective.high * one.objective.budget for one in searches)
        return cls(min(told, default=0.0), float(most))

    def share(self, accuracies: Sequence[float], costs: Sequence[float]) -> float:
        """The hypervolume as a share of all that could be had, in [0, 1]."""
        area = hypervolume(accuracies, costs, (self.least, self.most))
        return area / ((1 - self.least) * self.most)


def compare(
    entrants: Sequence[Entrant], places: Sequence[Path], out: Path, storage: str | None = None
) -> Path:
    """Write fronts.png, progress.png and comparison.html into ``out``.

    Raises ValueError where the runs count different kinds of cost, or one has trained nothing.
    """
    kinds = {str(one.settings.get("cost")): one.name for one in entrants}
    if len(kinds) > 1:
        told = ", ".join(f"{name} counts {kind}" for kind, name in kinds.items())
        raise ValueError(f"without a common kind of cost there is nothing to compare by: {told}")
    (kind,) = kinds
    searches = []
    for entrant, place in zip(entrants, places, strict=True):
        with reading(place):
            run = read_run(place, from_json=ArchSpec.from_json, storage=storage)
            searches.append(Search(entrant, Objective.of(run.settings), concluded(run)))
    out.mkdir(parents=True, exist_ok=True)
    field, cautions = Field.of(searches), warnings(entrants)
    rewarded = _have_one_aim(searches)
    text = partial(cost_text, kind)
    figures.fronts(
        out / "fronts.png", {one.entrant.letter: (one.found, one.objective) for one in searches},
        UNITS.get(kind, kind), text,
    )  # fmt: skip
    what = "reward, the highest so far" if rewarded else "hypervolume so far, a share"
    steps = {one.entrant.letter: progress(one, None if rewarded else field) for one in searches}
    figures.progress(out / "progress.png", steps, what)
    page = Page(f"{len(searches)} network searches")
    for one in cautions:
        page.caution(one)
    page.lead(_lead(searches, rewarded and not cautions, kind))
    page.figure(
        out / "fronts.png",
        "Accuracy against cost: each run's trained networks, pale, its Pareto front, and the "
        "network that it chose, large.",
    )
    _table(page, searches, field, kind)
    page.figure(out / "progress.png", f"{what[:1].upper()}{what[1:]}, after so many trainings.")
    _notes(page, searches, field, text(field.most))
    page.write(out / "comparison.html")
    return out / "comparison.html"


def _have_one_aim(searches: Sequence[Search]) -> bool:
    """Whether rewards mean the same in all of them, and are what each has maximised."""
    first = searches[0].objective
    return first.aim != "front" and all(one.objective == first for one in searches)


def progress(search: Search, field: Field | None) -> list[float]:
    """After each trial, failed ones too: the highest reward; with a ``field`` the hypervolume as a
    share of it."""
    found, accuracies, costs, reached = [], [], [], 0.0
    for record in search.found.trials:
        if record.evaluation is not None:
            accuracies.append(record.evaluation.accuracy)
            costs.append(float(record.cost["cost"]))
            if field is None:
                reached = max(reached, search.objective.reward(accuracies[-1], costs[-1]))
            else:
                reached = field.share(accuracies, costs)
        found.append(reached)
    return found


def _lead(searches: Sequence[Search], ranked: bool, kind: str) -> str:
    """What each chose; with ``ranked`` which reward is the greatest, and which is told from it."""
    each = "; ".join(
        f"{one.entrant.letter} ({one.entrant.name}) chose {one.best.spec.name}, "
        f"{percent(one.best.accuracy)} at {cost_text(kind, one.best.cost)}"
        for one in searches
    )
    if not ranked:
        return f"{each}."
    first, *others = sorted(searches, key=lambda one: -one.best.reward)
    said = (
        f"{first.entrant.letter} names the network of the greatest reward, {first.best.reward:.4f}"
    )
    near = [one.entrant.letter for one in others if not is_told(first, one)]
    far = [one.entrant.letter for one in others if is_told(first, one)]
    if near:
        said += f"; not told from it by so few pictures: {', '.join(near)}"
    if far:
        said += f"; behind it by more than the pictures' own chance: {', '.join(far)}"
    return f"{each}. {said}."


def is_told(better: Search, other: Search) -> bool:
    """Whether the validation pictures, taken for different ones, tell the rewards of the chosen
    networks apart; False where their number is unknown.

    The interval of the difference is R. G. Newcombe's, of the two Wilson intervals (1998,
    Statistics in Medicine 17, method 10).
    """
    one, two = better.rewards, other.rewards
    if one is None or two is None:
        return False
    ahead = better.best.reward - other.best.reward
    reach = (better.best.reward - one[0]) ** 2 + (two[1] - other.best.reward) ** 2
    return bool(ahead > reach**0.5)


def _table(page: Page, searches: Sequence[Search], field: Field, kind: str) -> None:
    other = [] if kind in COSTS else [kind]  # what the other columns do not show
    head = ["run", "chosen network", "accuracy", f"{100 * LEVEL:.0f} % interval", "trained again",
            *other, "FLOPs", "parameters", "reward", "hypervolume", "trainings", "spent", "sampler",
            "seed", "pictures"]  # fmt: skip
    rows = []
    for one in searches:
        trained = [r.evaluation for r in one.found.trials if r.evaluation is not None]
        stopped = [r.stopped.evaluation for r in one.found.trials if r.stopped is not None]
        interval = "–" if one.images is None else span(one.best.accuracy, one.images)
        prices, settings = cost(one.best.spec), one.entrant.settings
        costs = [float(r.cost["cost"]) for r in one.found.trials if r.evaluation is not None]
        rows.append(
            [
                f"{one.entrant.letter}: {one.entrant.name}",
                one.best.spec.name,
                percent(one.best.accuracy),
                interval,
                one.again,
                *(cost_text(kind, one.best.cost) for _ in other),
                format_size(prices.macs),
                format_size(prices.params),
                f"{one.best.reward:.4f}",
                f"{field.share([e.accuracy for e in trained], costs):.4f}",
                len(one.found.trials),
                spent([*trained, *stopped]),
                settings["sampler"],
                settings["seed"],
                pictures(settings),
            ]
        )
    page.table(head, rows)


def _notes(page: Page, searches: Sequence[Search], field: Field, most: str) -> None:
    budgets = {str(one.objective) for one in searches}
    if len(budgets) > 1:
        page.text(
            "Their budgets, windows or aims differ: rewards are then no common measure, and who "
            "may train dearer networks has more to win. Hypervolume is of all of them."
        )
    page.note(
        f"Hypervolume: of the rectangle from {percent(field.least)} accuracy to 100 % and from no "
        f"cost to {most}, the share that a run's trained networks dominate. Intervals are of the "
        "number of validation pictures alone, and of one training each. Trainings are failed ones "
        "and those stopped early too. The accuracy by which a "
        "network was chosen is the luckiest of many, the more the longer a search was: what it "
        "came to when it was trained again says more. One run of a sampler says little of the "
        "sampler: another seed is another run."
    )
