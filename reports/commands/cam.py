"""``python -m reports cam``: where trained networks look, side by side on your pictures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import count, parser, path, place
from reports.journal import add_figures

DESCRIPTION = """\
Class activation maps of trained networks side by side, each on the same pictures: CAM where a
network ends in a mean over pixels and a linear layer, as most do, Grad-CAM of any layer."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("reports cam", DESCRIPTION)
    made.add_argument(
        "weights",
        type=place,
        nargs="+",
        metavar="WEIGHTS|RUN",
        help="runs of training, runs of a search that ended with weights, weights that a search or "
        "scaling_search family wrote, or families whose weights can be had",
    )
    made.add_argument(
        "--pictures",
        type=place,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of pictures, or files",
    )
    made.add_argument(
        "--images", type=count, default=8, help="pictures that are shown, evenly of all by name"
    )
    made.add_argument(
        "--class", dest="of", help="whose maps; default: the likeliest of each network and picture"
    )
    made.add_argument("--layer", help="Grad-CAM of this layer, such as stages.3, in every network")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    made.add_argument("--out", type=path, help="directory to write; default: a new one in runs/")
    add_figures(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Write the picture and the page, and say where they are."""
    args = options().parse_args(argv)
    from reports.commands.cam_go import go  # takes seconds to load, which --help need not

    go(args)
