"""Does the scaling search find an optimum that is known? Coverage, regret, error, trainings.

Synthetic surfaces stand for the accuracy of networks at 4 times the cost of EfficientNet-B0, with
noise of every training and an effect common to the trainings of one seed. The search's own
allocation and surface (``scaling_search.surface``, ``scaling_search.result``) choose the
trainings and answer; beside them the plain way, every grid point three times, the best mean wins.

    python -m benchmarks.truth.scaling_truth --out results/scaling-truth

``--pictures`` lets the trainings say how many pictures their accuracies were measured on, from
which the search takes a first idea of their noise; by default it has none. With ``--tell`` these
pictures are drawn, and give the accuracies their luck besides; "all" tells the search loss and
probability too (``Pictures``).
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.special import log_expit, ndtri

from models.families import family
from scaling_search.points.grid import Grid, grid
from scaling_search.points.scalable import SpecBaseline
from scaling_search.result import ScalingResult, conclude
from scaling_search.surface.allocation import choose
from scaling_search.surface.evidence import Evidence, Training
from scaling_search.surface.simplex import MESH, Array, coefficients, mesh
from scaling_search.surface.surface import LEVEL

RATIO = 4.0
REPEATS = 3
NOISES = (0.2, 0.5, 1.0)  # points of accuracy; the seeds' common effect has the same spread
COMMON, SHARPNESS = 0.7, 1.0  # of drawn pictures' logits (``Pictures``)
Shape = Callable[[Array], Array]
Train = Callable[[int, int], Training]


def quadratic(optimum: tuple[float, float, float], deficits: tuple[float, float, float]) -> Shape:
    """The bowl with this optimum and these losses (points) in depth, width, resolution alone."""
    offsets = (np.eye(3) - np.array(optimum))[:, :2]
    rows = np.stack([offsets[:, 0] ** 2, 2 * offsets[:, 0] * offsets[:, 1], offsets[:, 1] ** 2], 1)
    a, b, c = np.linalg.solve(rows, np.array(deficits))
    form = np.array([[a, b], [b, c]])
    if np.linalg.eigvalsh(form).min() <= 0:
        raise ValueError(f"deficits {deficits} around {optimum} make no bowl: change one")

    def shape(at: Array) -> Array:
        moved = at[:, :2] - np.array(optimum)[:2]
        result: Array = -np.einsum("ni,ij,nj->n", moved, form, moved)
        return result

    return shape


def law(at: Array) -> Array:
    """Errors that fall with a power of each multiplier: error = Σ c·multiplier^-p, in points."""
    logs = np.log(RATIO) * at / np.array([1.0, 2.0, 2.0])
    powers, sizes = np.array([1.2, 2.0, 2.4]), np.array([1.6, 2.0, 1.8])
    result: Array = -(sizes * np.exp(-powers * logs)).sum(axis=1)
    return result


def bump(at: Array) -> Array:
    """A bell of height 2.5 points around (0.5, 0.25, 0.25), flat far from it."""
    distance = ((at - np.array([0.5, 0.25, 0.25])) ** 2).sum(axis=1)
    result: Array = 2.5 * np.exp(-distance / (2 * 0.3**2))
    return result


# Deficits at 4 times the cost: the paper's Table 7 (arXiv:1905.11946) has compound 81.1 against
# depth 79.0, width 78.9, resolution 79.1, and its text "up to 2.5 points".
SHAPES: dict[str, Shape] = {
    "paper": quadratic((0.27, 0.30, 0.43), (2.1, 2.2, 2.0)),
    "law": law,
    "edge": quadratic((0.05, 0.55, 0.40), (2.5, 1.0, 1.5)),
    "corner": quadratic((0.10, 0.80, 0.10), (2.5, 0.15, 2.5)),
    "ridge": quadratic((0.20, 0.45, 0.35), (2.5, 0.6, 0.6)),
    "bump": bump,
}


@dataclass(frozen=True)
class Pictures:
    """What accuracies are measured on: how many pictures, and what is told of them.

    tell  None: accuracies have no luck but the trainings'. "accuracy": of each picture it is drawn
          whether it is right, where the own class's logit is positive: normal around what the
          accuracy asks for, ``COMMON`` of its variance being the picture's, which all networks
          share. "all": loss and probability of these logits, times ``SHARPNESS``, are told too
    """

    count: int | None = None
    tell: str | None = None

    def seen(self, place: int, repeat: int, accuracy: float, key: Sequence[int]) -> Training:
        """The training of a network of this accuracy; ``key`` determines the pictures."""
        if self.tell is None or self.count is None:
            return Training(place, repeat, accuracy, pictures=self.count)
        shared = np.random.default_rng(key).normal(size=self.count)
        own = np.random.default_rng([*key, repeat + 1, place + 1, 1]).normal(size=self.count)
        off = COMMON**0.5 * shared + (1 - COMMON) ** 0.5 * own
        logits = ndtri(min(max(accuracy, 0.001), 0.999)) + off
        found = Training(place, repeat, float((logits > 0).mean()), pictures=self.count)
        if self.tell == "accuracy":
            return found
        log = log_expit(SHARPNESS * logits)
        return replace(found, loss=-float(log.mean()), probability=float(np.exp(log).mean()))


@dataclass(frozen=True)
class Outcome:
    """One answer: ``regret`` in points against the best grid point, errors of log α, β, γ in %;
    ``compared``: the part of its comparisons whose intervals hold the true difference."""

    shape: str
    noise: float
    seed: int
    method: str
    trainings: int
    regret: float
    alpha_error: float
    beta_error: float
    gamma_error: float
    covered: bool
    alpha_covered: bool
    beta_covered: bool
    gamma_covered: bool
    compared: float
    region: float


class Truth:
    """A surface over a grid's points, with its optimum, and trainings on it."""

    def __init__(self, name: str, points: Grid) -> None:
        self.name = name
        self.points = points
        self.values = np.concatenate([[-3.0], SHAPES[name](points.shares[1:])])
        self.optimum = _argmax(SHAPES[name])

    def trainer(self, noise: float, seed: int, pictures: Pictures) -> Train:
        """(place, repeat) → a training; the same pair always gives the same."""
        key = (seed, int(noise * 1000), sum(self.name.encode()))

        def train(place: int, repeat: int) -> Training:
            own = np.random.default_rng([*key, repeat + 1, place + 1]).normal(0, noise)
            common = np.random.default_rng([*key, repeat + 1]).normal(0, noise)
            accuracy = float(0.8 + (self.values[place] + own + common) / 100)
            return pictures.seen(place, repeat, accuracy, key)

        return train


def outcome(
    truth: Truth, noise: float, seed: int, method: str, trainings: list[Training]
) -> Outcome:
    """What the search answers from these trainings, against the truth."""
    result = conclude(Evidence(truth.points, trainings), seed, method, [], "complete")
    place = truth.points.points.index(result.point)
    best = coefficients(truth.optimum, RATIO)
    found = result.coefficients
    node = int(np.argmin(((mesh() - truth.optimum) ** 2).sum(axis=1)))
    inside = {}
    for index, name in enumerate(("alpha", "beta", "gamma")):
        low, high = result.region.low[index], result.region.high[index]
        half = 0.5 / MESH  # an optimum between two nodes belongs to the nearer one
        inside[name] = bool(low - half <= truth.optimum[index] <= high + half)

    def off(name: str) -> float:
        """Per cent."""
        return float(100 * abs(getattr(found, name) / getattr(best, name) - 1))

    return Outcome(
        truth.name,
        noise,
        seed,
        method,
        len(trainings),
        float(truth.values[1:].max() - truth.values[place]),
        off("alpha"),
        off("beta"),
        off("gamma"),
        bool(result.region.inside[node]),
        inside["alpha"],
        inside["beta"],
        inside["gamma"],
        _compared(truth, result),
        result.region.size,
    )


def _compared(truth: Truth, result: ScalingResult) -> float:
    """Which part of the comparisons holds the difference of the true surface, rounding included."""
    roles = truth.points.roles
    mine = truth.values[truth.points.points.index(result.point)]
    held = []
    for item in result.comparisons:
        if item.verdict != "same":
            true = (mine - truth.values[roles[item.against]]) / 100
            held.append(item.low <= true <= item.high)
    return float(np.mean(held)) if held else 1.0


def adaptive(
    truth: Truth, noise: float, seed: int, budgets: tuple[int, ...], pictures: Pictures
) -> Iterator[Outcome]:
    """The adaptive search, asked for its answer at each budget."""
    train = truth.trainer(noise, seed, pictures)
    trainings: list[Training] = []
    while len(trainings) < max(budgets):
        chosen = choose(Evidence(truth.points, trainings), seed, len(trainings))
        if chosen is None:
            return
        trainings.append(train(*chosen))
        if len(trainings) in budgets:
            yield outcome(truth, noise, seed, "adaptive", trainings)


def plain(truth: Truth, noise: float, seed: int, pictures: Pictures) -> Outcome:
    """Every grid point ``REPEATS`` times."""
    train = truth.trainer(noise, seed, pictures)
    pairs = [(p, r) for r in range(REPEATS) for p in range(1, len(truth.points.points))]
    trainings = [train(place, repeat) for place, repeat in pairs]
    return outcome(truth, noise, seed, "grid", trainings)


def summary(outcomes: list[Outcome]) -> list[str]:
    """Markdown: a row for every shape, noise, method and number of trainings, then the goals."""
    head = ["surface", "noise sd", "method", "trainings", "median regret [quartiles]"]
    head += ["90 % region covers", "its size", "α, β, γ covered", "median error of α, β, γ (%)"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    groups: dict[tuple[str, float, str, int], list[Outcome]] = {}
    for item in outcomes:
        groups.setdefault((item.shape, item.noise, item.method, item.trainings), []).append(item)
    for key, group in groups.items():
        lines.append("| " + " | ".join([*map(str, key), *_row(group)]) + " |")
    return [*lines, "", *_goals(outcomes, groups)]


def _row(group: list[Outcome]) -> list[str]:
    regrets = [item.regret for item in group]
    low, middle, high = np.quantile(regrets, (0.25, 0.5, 0.75))
    names = ("alpha", "beta", "gamma")
    covered = (np.mean([getattr(item, f"{n}_covered") for item in group]) for n in names)
    errors = (np.median([getattr(item, f"{n}_error") for item in group]) for n in names)
    return [
        f"{middle:.3f} [{low:.3f}, {high:.3f}]",
        f"{np.mean([item.covered for item in group]):.0%}",
        f"{np.median([item.region for item in group]):.3f}",
        ", ".join(f"{value:.0%}" for value in covered),
        ", ".join(f"{value:.1f}" for value in errors),
    ]


def _goals(
    outcomes: list[Outcome], groups: dict[tuple[str, float, str, int], list[Outcome]]
) -> list[str]:
    lines = []
    for budget in sorted({item.trainings for item in outcomes if item.method == "adaptive"}):
        mine = [x for x in outcomes if x.method == "adaptive" and x.trainings == budget]
        names = ("covered", "alpha_covered", "beta_covered", "gamma_covered")
        rates = ", ".join(f"{np.mean([getattr(x, n) for x in mine]):.1%}" for n in names)
        wins = cells = 0
        for (shape, noise, method, _), group in groups.items():
            if method == "grid":
                rival = groups[shape, noise, "adaptive", budget]
                cells += 1
                wins += _median(rival) <= _median(group) + 1e-12
        lines.append(
            f"- adaptive, {budget} trainings: coverage of the {LEVEL:.0%} region and of α, β, γ: "
            f"{rates}, of comparisons {np.mean([x.compared for x in mine]):.1%} (n = {len(mine)}); "
            f"median regret at most the plain way's in {wins} of {cells}"
        )
    return lines


def _median(group: list[Outcome]) -> float:
    return float(np.median([item.regret for item in group]))


def _argmax(shape: Shape) -> Array:
    """The optimum on a fine mesh of the triangle."""
    count = 400
    nodes = [(i, j, count - i - j) for i in range(count + 1) for j in range(count - i + 1)]
    fine = np.array(nodes) / count
    best: Array = fine[int(np.argmax(shape(fine)))]
    return best


def main(arguments: list[str] | None = None) -> int:
    """Run, print the Markdown table, write it and the CSV to ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, default=100, help="searches for each case (%(default)s)"
    )
    parser.add_argument("--first", type=int, default=0, help="the first seed (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="8 seeds: under five minutes")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="surfaces (%(default)s)")
    parser.add_argument(
        "--budgets",
        type=int,
        nargs="+",
        help="when to ask (default: a ninth, two ninths, a third of the plain way's trainings)",
    )
    parser.add_argument("--pictures", type=int, help="what accuracies are measured on, if said")
    parser.add_argument(
        "--tell", choices=("accuracy", "all"), help="what drawn --pictures say of a training"
    )
    parser.add_argument("--out", type=Path, help="writes OUT.md and OUT.csv")
    options = parser.parse_args(arguments)
    if options.tell and not options.pictures:
        parser.error("--tell says what --pictures tell: give their number, 1000 say")
    pictures = Pictures(options.pictures, options.tell)
    seeds = range(options.first, options.first + (8 if options.quick else options.seeds))
    baseline = SpecBaseline(family("efficientnet-b0"))
    points = grid(baseline, RATIO * baseline.macs(baseline.spec))
    third = REPEATS * (len(points.points) - 1) // 3
    budgets = tuple(options.budgets or (third // 3, 2 * third // 3, third))
    outcomes: list[Outcome] = []
    begun = time.monotonic()
    for name in options.shapes.split(","):
        truth = Truth(name, points)
        for noise in NOISES:
            for seed in seeds:
                outcomes += [
                    plain(truth, noise, seed, pictures),
                    *adaptive(truth, noise, seed, budgets, pictures),
                ]
            print(f"{name} {noise}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    text = "\n".join(summary(outcomes))
    print(text)
    if options.out is not None:
        _write(options.out, text, outcomes)
    return 0


def _write(out: Path, text: str, outcomes: list[Outcome]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text(text + "\n", "utf-8")
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Outcome)])
        writer.writeheader()
        writer.writerows(asdict(item) for item in outcomes)


if __name__ == "__main__":
    sys.exit(main())
