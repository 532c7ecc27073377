"""What every command that trains lets its user say of the pictures: mirroring, variation, balance.

Nothing said is a recipe as it is: searches that go on keep what they began with.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from training.recipe import AUGMENT, FLIPS, Recipe


def add_variation(parser: argparse.ArgumentParser) -> None:
    """--flip and --no-flip, --augment, --balance."""
    group = parser.add_argument_group(
        "how pictures are varied", "in training only; see docs/proxy.md"
    )
    flips = group.add_mutually_exclusive_group()
    flips.add_argument(
        "--flip", choices=FLIPS, help="mirror half of the pictures; right where a mirrored picture "
        "keeps its class. Default: horizontal for folders and CIFAR, none for digits"
    )  # fmt: skip
    flips.add_argument(
        "--no-flip", dest="flip", action="store_const", const="none",
        help="mirror nothing: for text, digits, arrows, left and right hands",
    )  # fmt: skip
    group.add_argument(
        "--augment", choices=AUGMENT, help="none: pictures as they are, not mirrored either unless "
        "--flip says so; light (the default): shifted by up to an eighth; strong: also enlarged, "
        "recoloured and partly covered"
    )  # fmt: skip
    group.add_argument(
        "--balance", action="store_true", help="train on every class equally often, and go by "
        "balanced accuracy, the mean of the classes' own: for classes of unequal size"
    )  # fmt: skip


def varied(recipe: Recipe, args: argparse.Namespace) -> Recipe:
    """``recipe`` with what was said."""
    changes: dict[str, Any] = dict(AUGMENT[args.augment]) if args.augment else {}
    if args.flip:
        changes["flip"] = args.flip
    if args.balance:
        changes["balance"] = True
    return replace(recipe, **changes)


def as_options(recipe: Recipe) -> list[str]:
    """The options that make another command vary pictures as ``recipe`` does."""
    words, flip = [], None
    for level in ("none", "strong"):
        changes = AUGMENT[level]
        if all(getattr(recipe, name) == changes[name] for name in changes if name != "flip"):
            words, flip = ["--augment", level], changes["flip"]
    if recipe.flip is not None and recipe.flip != flip:
        words += ["--flip", recipe.flip]
    return words + (["--balance"] if recipe.balance else [])


def described(recipe: Recipe, own: bool) -> str:
    """What ``recipe`` does to pictures that ``own`` mirroring left to right, in words."""
    sideways, upright = recipe.mirrors(own)
    said = [f"shifted by up to {100 * recipe.shift:g} % of the side"] if recipe.shift else []
    said += ["half of them mirrored left to right"] if sideways else []
    said += ["half of them mirrored upside down"] if upright else []
    said += [f"enlarged parts of {100 * (1 - recipe.zoom):g} % or more"] if recipe.zoom else []
    said += [f"recoloured by up to {100 * recipe.jitter:g} %"] if recipe.jitter else []
    said += [f"a square of {100 * recipe.cutout:g} % of the side covered"] if recipe.cutout else []
    return ", ".join(said) or "as they are"
