"""The options of ``python -m training``, and then the training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from common.command import add_quiet, count, hushed, parser, path, place
from common.config import add_config, configured
from training.given import add_pictures
from training.options.flags import add_log, add_output
from training.recipe.options import add_recipe
from training.recipe.variation import add_variation

ABOUT = """Train one network; accuracy is on the test split.

Beside this: training detect|segment --spec NETWORK --data DIR, training predict RUN PICTURE…,
training latency NETWORK, training cache."""


EVERYDAY = (
    "--spec", "--data", "--init", "--resolution", "--recipe", "--set", "--epochs", "--batch",
    "--balance", "--device", "--seed", "--out", "--resume", "--config", "--json", "--dry-run",
    "--quiet", "--help", "--help-all",
)  # fmt: skip
EXAMPLES = (
    "--spec runs/nas-100M-pictures",
    "--spec efficientnet-lite0 --init pretrained --recipe finetune --data ~/pictures",
    "--spec efficientnet-b0 --data ~/pictures --recipe modern --epochs 100 --set ema=0.999",
    "--resume",
)


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("training", ABOUT, EVERYDAY, EXAMPLES)
    made.add_argument("--spec", type=place, help="a run, a spec file, a family's member or name")
    add_pictures(made)
    made.add_argument(
        "--init",
        type=place,
        help="weights to start from: random; pretrained, the published ones for ImageNet (--spec "
        "is then a family that has them, such as efficientnet-lite0, a package of the extra "
        "pretrained); a run that has weights; or a safetensors file with this project's names or "
        "torchvision's. They are fitted to the pictures first, and the learning rate is a tenth; "
        "default: the weights of --spec, where it is a search that ended with weights, else random",
    )
    made.add_argument("--resolution", type=count, help="pixels; default: the spec's own")
    add_recipe(made)
    add_variation(made)
    made.add_argument(
        "--stream", action=argparse.BooleanOptionalAction, help="leave the pictures of a folder on "
        "the disk and decode them each time; default: where they take over a quarter of the memory"
    )  # fmt: skip
    made.add_argument(
        "--workers", type=int, metavar="N", help="processes that decode and vary pictures, where "
        "they come one by one; 0: this one. Default: one a core for pictures that stream and on a "
        "GPU, else 0"
    )  # fmt: skip
    made.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    made.add_argument("--seed", type=int, default=0, help="of the split and the training")
    together = made.add_argument_group(
        "several processes", "started with torchrun; see docs/training.md"
    )
    together.add_argument(
        "--pipeline", type=count, metavar="STAGES", help="each process holds one of so many stages "
        "of the network, of equal cost; default: all of it, and takes its part of every batch"
    )  # fmt: skip
    together.add_argument(
        "--shard", action="store_true", help="each process holds a piece of every weight, of its "
        "gradient and of what the optimiser knows of it: for networks that one device cannot hold"
    )  # fmt: skip
    together.add_argument(
        "--micro-batches", type=count, metavar="NUMBER", help="cut each batch into so many that go "
        "through the network one by one, in any training; default: 1, of a pipeline up to 4 a stage"
    )  # fmt: skip
    together.add_argument(
        "--schedule", choices=("gpipe", "1f1b"), help="of a pipeline: all forwards before all "
        "backwards, or each backward as soon as it can be, which takes less memory; default: gpipe"
    )  # fmt: skip
    kept = made.add_argument_group("run")
    kept.add_argument("--out", type=path, help="default: a new one below runs/")
    kept.add_argument(
        "--resume", action="store_true", help="go on with the training in --out, or with the last "
        "below runs/ that is not done, to the weights that it would have had without a stop"
    )  # fmt: skip
    kept.add_argument(
        "--checkpoint-minutes", type=float, default=10.0, metavar="MINUTES",
        help="write everything down this often: what a kill can lose; Ctrl-C loses nothing"
    )  # fmt: skip
    add_log(kept)
    add_quiet(kept)
    add_config(made)
    add_output(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Train, then write the network, what it expects of a picture and what was measured."""
    known = options()
    args = configured(known, argv, _recalled)
    if not args.resume and args.spec is None:
        raise ValueError("--spec is missing: name a network to train, or --resume a training")
    from training.commands.go import go  # takes seconds to load, which --help need not

    with hushed(args.quiet):
        go(args, known)


def _recalled(args: argparse.Namespace) -> dict[str, Any]:
    if not args.resume:
        return {}
    from training.commands.begun import recalled

    return recalled(args)
