"""``python -m reports runs/NAME``: the page again, from the study alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from models.command import parser, run
from reports import nas, scaling
from trials.header import read_header


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a run's report again."""
    made = parser("reports", "Draw a run's tables, figures and page again, from its study alone.")
    made.add_argument("run", type=Path, help="a run directory")
    made.add_argument("--storage", help="the storage URL of a run that has no journal file")
    args = made.parse_args(argv)
    kind = read_header(args.run).settings["kind"]
    print((nas if kind == "nas" else scaling).report(args.run, args.storage))


if __name__ == "__main__":
    sys.exit(run(main))
