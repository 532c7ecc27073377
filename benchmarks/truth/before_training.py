"""Networks near a published parent: what each is worth untrained, and after its short training.

    python -m benchmarks.truth.before_training PICTURES --out DIR --networks 40 --seeds 40

Random ones of the region in which a search with inherited weights looks (``nas.samplers.climb``):
the parent, scaled by its rule or not, at each resolution that is searched, then networks up to
three choices away from one of these, all within the budget. Each is born as a search's candidates
are, measured as ``nas.stopping`` has it before a training, and trained shortly, all on the same
validation pictures and under a seed of its own; what is in DIR is not done again.
``benchmarks.support.shares`` says how several processes do it. One thread of a CPU.

Printed: how both agree; then searches replayed over this table (``benchmarks.support.stopped``)
that stop nothing, or do not train what by the bars of ``nas.stopping`` will lose, each on what it
begins with and its own two thirds of the others. None of their trainings is for the front, whose
bars are lower. They name the best measured network, as finals would begin with it; what it lacks is
measured by the same short trainings, not by long ones. Bars are of accuracies, as the rule has
them, or of what searches are told of trainings (``trials.signal``), in which all that is lacking
is counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import torch
from scipy.stats import kendalltau

from benchmarks.support.nearby import Nearby
from benchmarks.support.shares import WHOLE, add_options
from benchmarks.support.stopped import Network, Stop, Table, compared, told
from common.command import count, parser, place
from common.command import run as run_command
from models.spec import ArchSpec
from nas.candidates import Candidates
from nas.samplers import rows_of
from nas.stopping import BEFORE
from trials.signal import PROBABILITY

WHEN = ("before", "after")
STOPS: dict[str, Stop | None] = {
    "nothing": None,
    "by 2 deviations": (BEFORE, 2.0),
    "by 1 deviation": (BEFORE, 1.0),
}
PART, BUDGETS = 2 / 3, (0.45, 0.6, 0.8)


def main(argv: Sequence[str] | None = None) -> None:
    """How scores before a training and after it agree, then a row for each way to search."""
    args = options().parse_args(argv)
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    args.out.mkdir(parents=True, exist_ok=True)
    nearby = Nearby(args)
    if args.parents_only:
        print(nearby.parent.digest)
        return
    found = []
    for number, one in nearby.pairs():
        found.append(one)
        shown = " -> ".join(f"{one[when]['accuracy']:.4f}" for when in WHEN)
        print(f"{number}: {shown}", file=sys.stderr, flush=True)
    if args.share == WHOLE:
        print("\n".join(agreements(found)))
        for name, measure in (("accuracies", by_accuracy), ("what searches are told", by_merit)):
            print(f"\nBars of {name}:\n")
            known = table(nearby, found, measure)
            print(compared(known, args.search, STOPS, args.seeds, PART, BUDGETS))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("benchmarks.truth.before_training", __doc__ or "")
    made.add_argument("pictures", type=place)
    made.add_argument("--networks", type=count, default=40)
    made.add_argument("--budget", default="100M")
    made.add_argument("--parent", default="efficientnet-lite0")
    made.add_argument("--seeds", type=count, default=40, help="searches of each kind")
    made.add_argument("--search", nargs="+", choices=("random", "auto"), default=["random", "auto"])
    made.add_argument("--images", type=count, default=1000, help="for training, and held out")
    made.add_argument("--size", type=count, default=128, help="pixels at which pictures are kept")
    add_options(made, "runs/before")
    return made


def table(
    nearby: Nearby,
    found: Sequence[dict[str, Any]],
    measure: Callable[[Mapping[str, Any]], float],
) -> Table:
    """What searches are replayed on; bars are of the ``measure``."""
    networks = []
    rows = rows_of(nearby.space, [ArchSpec.from_json(one["spec"]) for one in found])
    for row, one in zip(() if rows is None else rows, found, strict=True):
        before, after = (one[when] for when in WHEN)
        more = {} if measure is by_merit else {k: after[k] for k in ("loss", PROBABILITY)}
        networks.append(
            Network(
                row,
                one["cost"],
                measure(after),
                {BEFORE[0]: measure(before)},
                after["seconds"],
                before["seconds"],
                0.0,
                before["birth"],
                **more,
            )
        )
    return Table(Candidates(nearby.space, nearby.aim), networks, len(nearby.starts), finals=True)


def by_accuracy(found: Mapping[str, Any]) -> float:
    """A measure that bars are of."""
    return float(found["accuracy"])


def by_merit(found: Mapping[str, Any]) -> float:
    """What searches are told of a training."""
    return told(found["loss"], found["probability"])


def agreements(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Of both measures: mean and spread before and after, how they agree; the seconds."""
    for name, of in (("accuracy", by_accuracy), ("what searches are told", by_merit)):
        before, after = (100 * np.array([of(one[when]) for one in found]) for when in WHEN)
        agreed = np.corrcoef(before, after)[0, 1], kendalltau(before, after).statistic
        yield (
            f"{name}: {before.mean():.1f} (SD {before.std(ddof=1):.1f}), then {after.mean():.1f} "
            f"({after.std(ddof=1):.1f}); correlation {agreed[0]:.2f}, τ {agreed[1]:.2f}"
        )
    birth, measured, trained = (
        np.mean([one[when][name] for one in found])
        for when, name in (("before", "birth"), ("before", "seconds"), ("after", "seconds"))
    )
    yield (
        f"{len(found)} networks; core-seconds each: born {birth:.1f}, measured {measured:.1f}, "
        f"trained {trained:.1f}"
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
