"""What a scaling search learns of real trainings by accuracies alone, and by all that they tell.

    python -m benchmarks.truth.scaling_signal mnist --seeds 6 --out runs/scaling-signal

Every point of a grid is trained shortly under several seeds. A search sees ``--held-out`` pictures:
its accuracy, its loss, the probability of the own class. All others say what a network is worth:
its mean accuracy on them. Then surfaces are fitted to the trainings of each seed, and of each two
and three, once by accuracies and once by what ``Evidence`` learns, and held against what networks
are worth under the *other* seeds. What is trained is kept in --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import kendalltau

from benchmarks.support.rankings import Floats
from common.command import count, parser, place
from common.command import run as run_command
from models.families import family
from scaling_search.points.grid import Grid, grid
from scaling_search.points.scalable import SpecBaseline
from scaling_search.result import conclude
from scaling_search.surface.evidence import Evidence, Training
from training.data import Data, Split, load, part
from training.evaluator import proxy_recipe
from training.loop.scores import measure
from training.loop.train import final
from trials.record import trial_seed

CPU = torch.device("cpu")
RATIO = 2.0  # the target's cost over the baseline's
MOST_SEEDS = 3  # of one search
ACCURACIES, ALL = "accuracy", "all"


@dataclass(frozen=True)
class Trained:
    """What a search is told of one training, and the accuracy on all other pictures."""

    place: int
    seed: int
    accuracy: float
    loss: float
    probability: float
    worth: float


class Judged(NamedTuple):
    """A search's answer: its region's part of all ways to scale; points that the chosen network
    lacks against the best; Kendall's τ of the fitted accuracies with the others; how far they are
    off, in points; the part of the comparisons' intervals that hold the others' difference."""

    region: float
    lacks: float
    tau: float
    off: float
    held: float


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is not trained yet, and print the table."""
    made = parser("benchmarks.truth.scaling_signal", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--baseline", default="mobilenet-v2")
    made.add_argument("--width", type=float, default=0.5, help="of all channels that are trained")
    made.add_argument("--step", type=float, default=0.2, help="of the grid, in shares")
    made.add_argument("--images", type=count, default=2000, help="for training")
    made.add_argument("--held-out", type=count, default=300, help="that a search sees")
    made.add_argument("--seeds", type=count, default=6)
    made.add_argument("--out", type=Path, default=Path("runs/scaling-signal"))
    args = made.parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    baseline = SpecBaseline(family(args.baseline))
    points = grid(baseline, RATIO * baseline.macs(baseline.spec), step=args.step)
    print(table(points, list(trained(args, points)), args.held_out))


def trained(args: argparse.Namespace, points: Grid) -> Iterator[Trained]:
    """Each point under each seed."""
    path = args.out / "trainings.jsonl"
    known = path.read_text("utf-8").splitlines() if path.exists() else []
    done = {(one.place, one.seed): one for one in (Trained(**json.loads(line)) for line in known)}
    data = divided(load(args.pictures), args.held_out)
    recipe = proxy_recipe(data.native_size, "cpu", RATIO**0.5)
    recipe = replace(recipe, images=args.images, width=args.width)
    with path.open("a", encoding="utf-8") as file:
        for seed in range(args.seeds):
            for at, point in enumerate(points.points):
                if (at, seed) not in done:
                    network, made = final(point.spec, recipe, data, trial_seed(0, seed), CPU)
                    twin = recipe.network(point.spec, len(data.classes), data.channels)
                    own = measure(network, data.validation, twin.resolution, data)
                    told = own.accuracy, own.loss, own.probability(balance=False)
                    done[at, seed] = Trained(at, seed, *told, made.accuracy)
                    file.write(json.dumps(done[at, seed].__dict__) + "\n")
                    file.flush()
                yield done[at, seed]
            print(f"seed {seed}: {len(points.points)} trainings", file=sys.stderr, flush=True)


def divided(data: Data, held_out: int) -> Data:
    """The same with so many validation pictures; all others are test pictures."""
    own, rest = (part(data.validation, at) for at in (slice(held_out), slice(held_out, None)))
    images = torch.cat([rest.images, data.test.images])
    others = Split(images, torch.cat([rest.labels, data.test.labels]))
    return replace(data, validation=own, test=others)


def judged(
    points: Grid, found: Sequence[Trained], seeds: Sequence[int], by: str, pictures: int
) -> Judged:
    """The answer that the trainings of these seeds give, against the others'."""
    trainings, worth = [], np.zeros(len(points.points))
    others = len({one.seed for one in found} - set(seeds))
    for one in found:
        if one.seed in seeds:
            told = (one.loss, one.probability) if by == ALL else ()
            seen = one.place, seeds.index(one.seed), one.accuracy
            trainings.append(Training(*seen, False, pictures, *told))
        else:
            worth[one.place] += one.worth / others
    result = conclude(Evidence(points, trainings), 0, "adaptive", [], "complete")
    chosen = worth[points.points.index(result.point)]
    held = [
        item.low <= chosen - worth[points.roles[item.against]] <= item.high
        for item in result.comparisons
        if item.verdict != "same"
    ]
    fitted, true = result.surface.mean(points.shares[1:]), worth[1:]
    return Judged(
        result.region.size,
        100 * float(true.max() - chosen),
        float(kendalltau(fitted, true)[0]),
        100 * float((fitted - true).std()),
        float(np.mean(held)) if held else 1.0,
    )


def noise(values: Floats) -> tuple[float, float]:
    """Of (points, seeds): the standard deviations of what the points have for their own, and of
    what no point and no seed explains."""
    points, seeds = values.shape
    rest = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
    within = float((rest**2).sum() / ((points - 1) * (seeds - 1)))
    between = float(values.mean(1).var(ddof=1)) - within / seeds
    return max(0.0, between) ** 0.5, within**0.5


def table(points: Grid, found: Sequence[Trained], pictures: int) -> str:
    """Markdown."""
    seeds = sorted({one.seed for one in found})
    lines = [
        "| trainings of each | searches | learned from | region | lacks | τ | off | comparisons "
        "held |",
        "|---" * 8 + "|",
    ]
    for many in range(1, min(MOST_SEEDS, len(seeds) - 1) + 1):
        drawn = list(combinations(seeds, many))
        by = {
            name: np.array([judged(points, found, some, name, pictures) for some in drawn])
            for name in (ACCURACIES, ALL)
        }
        for name, each in by.items():
            cells = " | ".join(f"{value:.3f}" for value in each.mean(0))
            lines.append(f"| {many} | {len(drawn)} | {name} | {cells} |")
        further = by[ALL] - by[ACCURACIES]
        cells = " | ".join(
            f"{mean:+.3f} ± {spread:.3f}"
            for mean, spread in zip(further.mean(0), further.std(0), strict=True)
        )
        lines.append(f"| {many} | {len(drawn)} | difference, its deviation | {cells} |")
    return "\n".join([*lines, "", *_noises(points, found, len(seeds))])


def _noises(points: Grid, found: Sequence[Trained], seeds: int) -> Iterator[str]:
    """Of each signal the points' own spread over the noise of one training."""
    ordered = sorted((one for one in found if one.place), key=lambda one: (one.place, one.seed))
    columns = {
        "accuracy": [one.accuracy for one in ordered],
        "probability and exp(-loss)": [
            (one.probability + float(np.exp(-one.loss))) / 2 for one in ordered
        ],
        "accuracy on all other pictures": [one.worth for one in ordered],
    }
    for name, values in columns.items():
        own, rest = noise(np.reshape(values, (len(points.points) - 1, seeds)))
        yield (
            f"- {name}: points differ by {100 * own:.2f} (standard deviation, points), trainings "
            f"of one by {100 * rest:.2f}, {own / rest:.2f} to 1"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
