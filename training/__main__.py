"""``python -m training``: train a network, or one of its subcommands ``detect``, ``segment``,
``predict``, ``latency`` and ``cache``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.command import run


def main(argv: Sequence[str] | None = None) -> None:
    """Dispatch to a training or to a subcommand."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["latency"]:
        from training.commands.latency import main as chosen
    elif given[:1] == ["detect"]:
        from training.commands.detect import main as chosen
    elif given[:1] == ["segment"]:
        from training.commands.segment import main as chosen
    elif given[:1] == ["predict"]:
        from training.commands.predict import main as chosen
    elif given[:1] == ["cache"]:
        from training.commands.cache import main as chosen
    else:
        from training.commands.train import main as chosen

        given = ["train", *given]
    chosen(given[1:])


if __name__ == "__main__":
    sys.exit(run(main))
