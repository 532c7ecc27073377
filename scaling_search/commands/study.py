"""``python -m scaling_search study``: train the networks of one of the paper's studies."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import count, hushed, parser
from scaling_search.coefficients import NAMED
from scaling_search.commands.options import add_depth_rounding
from trials.store.recalled import parsed

# As scaling_search.study_plan has them, which takes seconds to load; a test compares.
STUDIES = ("single", "width", "compare")
DESCRIPTION = """\
Train the networks of one of EfficientNet's studies (arXiv:1905.11946) on your pictures.

single   depth, width and resolution, each alone over a ladder of factors (its Figure 3)
width    width ladders under several depths and resolutions (its Figure 4)
compare  single dimensions, compound scaling, the fast compound rule (arXiv:2103.06877) and any
         other split at one realised cost (its Figure 8 and Table 3)

Every network is trained with the same seeds. The run directory gets study.csv, study.png,
study.md, which is also printed, and report.html."""

EVERYDAY = (
    "--baselines", "--factors", "--coefficients", "--repeats", "--data", "--init", "--device",
    "--workers", "--minutes", "--seed", "--out", "--resume", "--config", "--quiet", "--help",
    "--help-all",
)  # fmt: skip  # fmt: skip
EXAMPLES = ("single --data ~/pictures", "compare --baselines efficientnet-b0 --factors 2,4")


def options() -> argparse.ArgumentParser:
    """The studies' options."""
    from training.options import add_options

    made = parser("scaling_search study", DESCRIPTION, EVERYDAY, EXAMPLES)
    made.add_argument("study", choices=STUDIES, nargs="?", help="a resumed run knows its own")
    goal = made.add_argument_group("what is compared")
    goal.add_argument(
        "--baselines",
        default="efficientnet-b0",
        metavar="NAME,NAME",
        help="runs of nas.search, spec files or families' names",
    )
    goal.add_argument(
        "--factors",
        help="single: of every dimension, 1,1.5,2, or of some, "
        "'d=1,2;w=1,1.4'; width: of the width; compare: of the cost, 2,4. Default: "
        "the paper's, and 4 for compare",
    )
    goal.add_argument(
        "--shares",
        action="append",
        default=[],
        metavar="d=0.1,w=0.8,r=0.1",
        help="compare: one more split of the extra cost; repeatable",
    )
    goal.add_argument(
        "--coefficients",
        default="paper",
        help="compare: of compound scaling; coefficients.json of a run, three numbers, or one of "
        f"{', '.join(NAMED)}",
    )
    add_depth_rounding(goal)
    goal.add_argument("--repeats", type=count, default=3, help="trainings of each network")
    add_options(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Train, write the run directory's files, print the table and where they are."""
    args = parsed(options(), argv)
    if args.study is None:
        raise ValueError(f"which study? Name one of {', '.join(STUDIES)}")
    from scaling_search.commands.study_go import go  # takes seconds, which --help need not

    with hushed(args.quiet):
        go(args)
