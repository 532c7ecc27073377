"""``python -m reports compare RUN RUN…``: several searches on one page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import parser, path, storage_url
from reports.journal import add_figures, printed

DESCRIPTION = """\
Network searches on one page: their fronts in one picture, how far each was after how many
trainings, what each chose and at what price. Or scaling searches: their answers side by side.

Where pictures, proxy recipes, weights to start from or kinds of cost differ, so that accuracies
cannot be compared, the page says so first; without a common kind of cost it is not drawn."""


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("reports compare", DESCRIPTION)
    made.add_argument(
        "run",
        type=path,
        nargs="+",
        help="a run directory, or with --storage a study's name; two or more of one kind",
    )
    made.add_argument(
        "--storage",
        type=storage_url,
        help="the URL of runs that have no journal file, or no directory here",
    )
    made.add_argument("--out", type=path, help="default: a new directory below runs/")
    add_figures(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw it, and say where it is."""
    args = options().parse_args(argv)
    from reports.compare import compare  # takes seconds to load, which --help need not
    from training.options.directory import run_directory

    with printed(args.figures):
        print(compare(args.run, run_directory(args, "comparison"), args.storage))
