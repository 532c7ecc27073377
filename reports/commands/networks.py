"""``python -m reports networks``: published networks, measured beside what was published."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from common.command import parser, path
from reports.networks.groups import GROUPS


def options() -> argparse.ArgumentParser:
    """The command's options."""
    groups = "; ".join(f"{name}: {what}" for name, what in GROUPS.items())
    made = parser(
        "reports networks", "Published networks, measured beside their published figures."
    )
    made.add_argument("--group", choices=GROUPS, default="table", help=groups)
    made.add_argument("--out", type=path, help="directory for networks.csv and two pictures")
    made.add_argument("--run", type=path, help="a run of scaling_search: its family is added")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; write it and two pictures where asked."""
    args = options().parse_args(argv)
    from reports.networks.table import go  # takes seconds to load, which --help need not

    go(args)
