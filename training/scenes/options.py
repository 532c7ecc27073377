"""The options of ``training detect`` and ``training segment``."""

from __future__ import annotations

import argparse

from common.command import count, count_from_zero, parser, path, place

AUGMENTS = ("none", "light", "strong")
SIDE = 320  # pixels, as torchvision's SSDLite has it


def made(command: str, about: str, heads: tuple[str, ...], data: str) -> argparse.ArgumentParser:
    """A parser of the command, whose default head is the first."""
    made = parser(command, about)
    made.add_argument("--spec", type=place, help="a run, a spec file, a family's member or name")
    made.add_argument("--data", type=place, help=data)
    made.add_argument("--head", choices=heads, default=heads[0], help="what stands on the network")
    made.add_argument(
        "--init", type=place, help="a classifier's weights to start from: random; pretrained, the "
        "published ones (--spec is then a family that has them, such as efficientnet-lite0); a run "
        "that has weights; or a safetensors file. Default: those of --spec, where it is a run that "
        "has some, else random"
    )  # fmt: skip
    made.add_argument("--resolution", type=count, default=SIDE, help="pixels a side")
    _add_recipe(made)
    made.add_argument("--workers", type=count_from_zero, default=0, metavar="N",
                      help="processes that decode and vary pictures; 0: this one")  # fmt: skip
    made.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    made.add_argument("--seed", type=count_from_zero, default=0,
                      help="of the split and the training")  # fmt: skip
    kept = made.add_argument_group("run")
    kept.add_argument("--out", type=path, help="default: a new one below runs/")
    kept.add_argument("--resume", action="store_true", help="go on with the training in --out, or "
                      "with the last below runs/ that is not done")  # fmt: skip
    kept.add_argument("--checkpoint-minutes", type=float, default=10.0, metavar="MINUTES",
                      help="write everything down this often")  # fmt: skip
    return made


def _add_recipe(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("recipe", "AdamW, a climb, a cosine; see docs/training.md")
    group.add_argument("--epochs", type=count, default=30, help="passes over the pictures")
    group.add_argument("--batch", type=count, default=8, help="pictures of a step")
    group.add_argument("--lr", type=float, default=1e-3, help="the rate's peak")
    group.add_argument("--weight-decay", type=float, default=1e-4, help="of weights, not of norms")
    group.add_argument("--augment", choices=AUGMENTS, default="light",
                       help="light: mirrored, masks cropped too; strong: colours too, boxes "
                       "cropped and zoomed out as SSD's are")  # fmt: skip
    group.add_argument("--keep-norms", action=argparse.BooleanOptionalAction,
                       help="batch norms below the head keep their statistics; default: where "
                       "weights are given")  # fmt: skip
