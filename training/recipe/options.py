"""``--recipe``, ``--set``, ``--epochs`` and ``--batch``: by what one network is trained."""

from __future__ import annotations

import argparse
from dataclasses import replace

from common.command import count
from training.recipe import Recipe
from training.recipe.named import NAMED, changed, named


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """The options of the recipe."""
    group = parser.add_argument_group("recipe", "how it is trained; see docs/training.md")
    group.add_argument("--recipe", choices=tuple(NAMED), default="plain", help="which recipe")
    group.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="any setting of it, such as --set lr=0.1 --set policy=randaugment; again for others"
    )  # fmt: skip
    group.add_argument("--epochs", type=count, help="passes; default: the recipe's, plain's are 30")
    group.add_argument(
        "--batch", type=count, help="pictures of one step; default: the recipe's, plain's are 128, "
        "halved to 32 at least while a training of few pictures has fewer than 100 steps"
    )  # fmt: skip
    group.add_argument(
        "--sync-bn", action="store_true", help="of several processes: batch norm's statistics are "
        "those of the whole batch"
    )  # fmt: skip
    group.add_argument(
        "--recompute", action="store_true", help="compute what lies inside a stage again for the "
        "gradients in place of keeping it: less memory, more time"
    )  # fmt: skip
    group.add_argument(
        "--freeze", action="store_true", help="with weights to start from: nothing learns but the "
        "classifier"
    )  # fmt: skip


def chosen_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe of that name with --epochs and --batch, before ``--set``."""
    lengths = {"epochs": args.epochs, "batch": args.batch}
    switches = {"sync_bn": args.sync_bn, "recompute": args.recompute, "freeze": args.freeze}
    given = {name: one for name, one in (lengths | switches).items() if one}
    return replace(named(args.recipe), **given)


def settled_recipe(recipe: Recipe, args: argparse.Namespace) -> Recipe:
    """``recipe`` with what ``--set`` says of it, which goes before all else."""
    return changed(recipe, args.set)
