"""``python -m scaling_search``: the search, or its subcommands ``family`` and ``study``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.command import run


def main(argv: Sequence[str] | None = None) -> None:
    """Dispatch to the search or to a subcommand."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["family"]:
        from scaling_search.commands.family import main as chosen
    elif given[:1] == ["study"]:
        from scaling_search.commands.study import main as chosen
    else:
        from scaling_search.commands.search import main as chosen

        given = ["search", *given]
    chosen(given[1:])


if __name__ == "__main__":
    sys.exit(run(main))
