"""auto against random search with real trainings, at an equal number of them.

    python -m benchmarks.truth.real_search PICTURES --seeds 4 --trainings 14 --out runs/real

Space ``mnasnet``, 400M multiply-adds, the proxy training on ``--images`` pictures, taken at its
word (trust 1): what is compared is who finds the greater reward of that training. The best of many
noisy trainings flatters itself, so the network that each search names is trained again under
``--again`` other seeds, which count. Searches are kept under --out, and go on where they were
interrupted; each evaluates in this process, on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from common.command import count, parser
from common.command import run as run_command
from models.cost import cost
from nas.calibrate import SEED_STEP
from nas.objective import Objective
from nas.result import Candidate
from nas.search import search
from nas.space import space
from training.evaluator import ByName, Evaluator, proxy_recipe
from trials.store.header import FILE_NAME

SAMPLERS = ("auto", "random")
AIM = Objective(400e6)


def main(argv: Sequence[str] | None = None) -> None:
    """One row for each seed, then the differences."""
    made = parser("benchmarks.truth.real_search", __doc__ or "")
    made.add_argument("pictures")
    made.add_argument("--seeds", type=count, default=4)
    made.add_argument("--trainings", type=count, default=14)
    made.add_argument("--images", type=count, default=1000)
    made.add_argument("--again", type=count, default=3, help="trainings of the network named")
    made.add_argument("--out", type=Path, default=Path("runs/real"))
    args = made.parse_args(argv)
    torch.set_num_threads(1)
    source = ByName(args.pictures, 24)
    recipe = replace(
        proxy_recipe(source.data().native_size, "cpu"), images=args.images, held_out=2000
    )
    evaluator = Evaluator(source, recipe, "cpu")
    print("| seed | sampler | mean reward of all | best seen | named, trained again |")
    print("|---|---|---|---|---|")
    named = {
        name: [one(name, seed, evaluator, args) for seed in range(args.seeds)] for name in SAMPLERS
    }
    differences = [a - b for a, b in zip(*(named[name] for name in SAMPLERS), strict=True)]
    spread = statistics.stdev(differences) if len(differences) > 1 else float("nan")
    print(
        f"auto - random: mean {statistics.mean(differences):+.2f}, standard deviation over seeds "
        f"{spread:.2f}, n = {len(differences)}"
    )


def one(name: str, seed: int, evaluator: Evaluator, args: argparse.Namespace) -> float:
    """One search: 100 times the mean reward of the network it names, trained again."""
    data = evaluator.source.data()
    searched = space("mnasnet").with_template(classes=len(data.classes), in_channels=data.channels)
    directory = args.out / f"{name}-{seed}"
    found = search(
        searched,
        evaluator,
        AIM.budget,
        args.trainings,
        name,
        seed=seed,
        run_dir=directory,
        resume=(directory / FILE_NAME).exists(),
        settings={"recipe": evaluator.recipe.key},
    )
    seen = [
        100 * AIM.reward(r.evaluation.accuracy, r.cost["cost"])
        for r in found.trials
        if r.evaluation
    ]
    again = again_of(found.best, seed, evaluator, args, directory)
    print(
        f"| {seed} | {name} | {statistics.mean(seen):.2f} | {max(seen):.2f} | "
        f"{statistics.mean(again):.2f} |",
        flush=True,
    )
    return statistics.mean(again)


def again_of(
    best: Candidate, seed: int, evaluator: Evaluator, args: argparse.Namespace, directory: Path
) -> list[float]:
    """100 times the rewards of the network under seeds that no search used; kept as a text."""
    kept = directory / "again.txt"
    rewards = [float(line) for line in kept.read_text().split()] if kept.exists() else []
    while len(rewards) < args.again:
        number = SEED_STEP * (1 + seed) + len(rewards)
        accuracy = evaluator(best.spec, number).accuracy
        rewards.append(100 * AIM.reward(accuracy, cost(best.spec).macs))
        kept.write_text("\n".join(map(str, rewards)))
    return rewards


if __name__ == "__main__":
    sys.exit(run_command(main))
