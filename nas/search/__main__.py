"""``python -m nas.search``: the options, and then the run."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.command import hushed, run
from nas.search.commands.options import options
from trials.store.recalled import parsed


def main(argv: Sequence[str] | None = None) -> None:
    """Search, draw the report, print what was found and where; then calibrate, where asked to."""
    args = parsed(options(), argv)
    from nas.search.commands.go import go  # takes seconds to load, which --help need not

    with hushed(args.quiet):
        go(args)


if __name__ == "__main__":
    sys.exit(run(main))
