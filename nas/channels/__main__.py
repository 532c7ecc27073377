"""``python -m nas.channels``: one search for each setting of the limits, and one page for all."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.command import hushed, run
from common.config import configured
from nas.channels.commands.options import options


def main(argv: Sequence[str] | None = None) -> None:
    """Search every setting, train the conventions, draw the pages, print what was found."""
    args = configured(options(), argv)
    from nas.channels.commands.go import go  # takes seconds to load, which --help need not

    with hushed(args.quiet):
        go(args)


if __name__ == "__main__":
    sys.exit(run(main))
