"""``python -m nas.rerank``: a finished search's networks, ranked anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.command import parser, path, place, run, storage_url
from nas.objective import AIMS

DESCRIPTION = """\
Rank the trained networks of a search under another budget, exponent, window or aim. Nothing is
trained; what is not given is the run's own.

A run of the sampler auto is ranked by the accuracy that the search's model expects of each network
(its posterior mean, as in the search's own recommendation), any other by the measured accuracy."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("nas.rerank", DESCRIPTION)
    made.add_argument("run", type=path, help="a run directory of nas.search")
    made.add_argument("--budget", help="T, such as 300M; 12ms where the run's cost is latency")
    made.add_argument("--aim", choices=AIMS)
    made.add_argument("--w", type=float, help="the reward's exponent")
    made.add_argument("--over", type=float, help="another exponent above T")
    made.add_argument("--low", type=float, help="least cost, as a share of T")
    made.add_argument("--high", type=float, help="greatest cost, as a share of T")
    made.add_argument(
        "--by",
        choices=("model", "measured"),
        help="accuracies that rank; default: "
        "the model's for the sampler auto, else the measured ones",
    )
    made.add_argument(
        "--prior",
        type=place,
        metavar="none|imagenet|RUN|CSV",
        help="the search's, for its model; needed where that was a run or a table",
    )
    made.add_argument(
        "--storage", type=storage_url, help="the URL of a run that has no journal file"
    )
    made.add_argument("--out", type=path, metavar="FILE", help="write the best network's spec")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Print the best networks, and write the chosen one's spec where that is asked for."""
    args = options().parse_args(argv)
    from nas.rerank.go import go  # takes seconds to load, which --help need not

    go(args)


if __name__ == "__main__":
    sys.exit(run(main))
