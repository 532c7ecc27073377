"""``python -m reports channels RUN``: the page of ``nas.channels`` again, from studies alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import parser, path, storage_url
from reports.journal import add_figures, printed


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("reports channels", "Draw the page of a search for channels again.")
    made.add_argument("run", type=path, help="the directory of nas.channels, of all its settings")
    made.add_argument(
        "--storage", type=storage_url, help="the URL of a run that has no journal file"
    )
    add_figures(made)
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Draw it, and say where it is."""
    args = options().parse_args(argv)
    from reports.channels import report  # takes seconds to load, which --help need not

    with printed(args.figures):
        print(report(args.run, args.storage))
