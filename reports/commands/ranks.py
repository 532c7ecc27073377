"""``python -m reports ranks``: how much of its width a layer uses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import count, parser, path, place
from training.given import add_pictures

# As reports.ranks.rank and reports.commands.ranks_go have them, which take seconds to load; a test
# compares.
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
DEFAULT = 1e-2
PICTURES = 256

DESCRIPTION = """\
The rank of what a layer puts out, against its ratio of dimensions (channels in / channels out): of
random networks as in ReXNet's study, whose three design rules are held against the curves, or with
--weights of the layers of a trained network.

A rank is the number of singular values above a tolerance, a share of the greatest. All of
"""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    listed = ", ".join(f"{one:g}" for one in TOLERANCES)
    made = parser("reports ranks", f"{DESCRIPTION}{listed} are measured.")
    made.add_argument("--networks", type=count, default=1000, help="random networks of each block")
    made.add_argument(
        "--weights",
        type=place,
        metavar="RUN|FAMILY",
        help="a run that has weights, or a family whose weights can be had: its layers instead",
    )
    made.add_argument(
        "--tolerance", type=float, default=DEFAULT, help="by which the printed ranks are counted"
    )
    add_pictures(made.add_argument_group("pictures", "on which layers are measured, --weights"))
    made.add_argument(
        "--resolution", type=count, help="pixels of these; default: the network's, at most 224"
    )
    made.add_argument(
        "--images", type=count, default=PICTURES, help="how many, of the validation split"
    )
    made.add_argument("--seed", type=int, default=0, help="of networks, and of pixels drawn")
    made.add_argument("--out", type=path, help="directory for a CSV file and a picture")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; write it and a picture where asked."""
    args = options().parse_args(argv)
    from reports.commands.ranks_go import go  # takes seconds to load, which --help need not

    go(args)
