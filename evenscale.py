"""``evenscale COMMAND …``: every command of the toolkit under one name.

The same commands are there as ``python -m nas.search`` and so on, wherever the package is found.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import NamedTuple

from common.command import PROGRAMS, run


class Command(NamedTuple):
    """A command: what ``python -m`` calls it, the module that has its ``main``, the words that
    come first, and what it does."""

    module: str
    of: str
    first: tuple[str, ...]
    about: str


COMMANDS = {
    "search": Command("nas.search", "nas.search.__main__", (), "step 1: find a baseline network"),
    "rerank": Command("nas.rerank", "nas.rerank.__main__", (), "a finished search, ranked anew"),
    "scale": Command(
        "scaling_search", "scaling_search.__main__", (), "step 2: how it should scale"
    ),
    "family": Command(
        "scaling_search family", "scaling_search.__main__", ("family",), "step 3: its family"
    ),
    "study": Command(
        "scaling_search study", "scaling_search.__main__", ("study",), "one of the paper's studies"
    ),
    "train": Command("training", "training.__main__", (), "train one network properly"),
    "detect": Command(
        "training detect", "training.__main__", ("detect",), "train a detector on any network"
    ),
    "segment": Command(
        "training segment", "training.__main__", ("segment",), "train a segmenter on any network"
    ),
    "predict": Command(
        "training predict", "training.__main__", ("predict",), "what it says of pictures"
    ),
    "latency": Command(
        "training latency", "training.__main__", ("latency",), "how long a network takes"
    ),
    "cache": Command(
        "training cache", "training.__main__", ("cache",), "what is kept of decoded pictures"
    ),
    "report": Command("reports", "reports.__main__", (), "a run's page again"),
    "cam": Command("reports cam", "reports.__main__", ("cam",), "where trained networks look"),
    "models": Command("models", "models.__main__", (), "named networks: list, show, cost, export"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """The command's exit code; 2 with one line for one that there is not."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else "--help"
    if name in ("--help", "-h"):
        print(usage())
        return 0
    if name == "--version":
        print(f"evenscale {metadata.version('evenscale')}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
        print(f"error: {name!r:.60} is no command: {meant}", file=sys.stderr)
        return 2
    chosen = COMMANDS[name]
    PROGRAMS.update({one.module: f"evenscale {key}" for key, one in COMMANDS.items()})
    return run(import_module(chosen.of).main, [*chosen.first, *words[1:]])


def usage() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {one.about}" for name, one in COMMANDS.items()]
    return "\n".join(
        [
            "usage: evenscale COMMAND …, or evenscale --version",
            "",
            *lines,
            "",
            "evenscale COMMAND --help says more. First steps on your own pictures:",
            "  evenscale search --budget 100M --data ~/pictures",
            "  evenscale scale --target-flops 2x --baseline runs/nas-100M-pictures",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
