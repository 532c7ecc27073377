"""``evenscale COMMAND …``: every command of the toolkit under one name.

The same commands are there as ``python -m nas.search`` and so on, wherever the package is found.
"""

from __future__ import annotations

import difflib
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import NamedTuple, NoReturn

from common.command import PROGRAMS, run


class Command(NamedTuple):
    """A command: what ``python -m`` calls it, the module that has its ``main``, the words that
    come first, what it does, and the module that has its ``options``."""

    module: str
    of: str
    first: tuple[str, ...]
    about: str
    options: str


COMMANDS = {
    "search": Command(
        "nas.search", "nas.search.__main__", (), "step 1: find a baseline network",
        "nas.search.commands.options",
    ),
    "rerank": Command(
        "nas.rerank", "nas.rerank.__main__", (), "a finished search, ranked anew",
        "nas.rerank.__main__",
    ),
    "scale": Command(
        "scaling_search", "scaling_search.__main__", (), "step 2: how it should scale",
        "scaling_search.commands.search",
    ),
    "family": Command(
        "scaling_search family", "scaling_search.__main__", ("family",), "step 3: its family",
        "scaling_search.commands.family",
    ),
    "study": Command(
        "scaling_search study", "scaling_search.__main__", ("study",), "one of the paper's studies",
        "scaling_search.commands.study",
    ),
    "train": Command(
        "training", "training.__main__", (), "train one network properly",
        "training.commands.train",
    ),
    "detect": Command(
        "training detect", "training.__main__", ("detect",), "train a detector on any network",
        "training.commands.detect",
    ),
    "segment": Command(
        "training segment", "training.__main__", ("segment",), "train a segmenter on any network",
        "training.commands.segment",
    ),
    "predict": Command(
        "training predict", "training.__main__", ("predict",), "what it says of pictures",
        "training.commands.predict",
    ),
    "latency": Command(
        "training latency", "training.__main__", ("latency",), "how long a network takes",
        "training.commands.latency",
    ),
    "cache": Command(
        "training cache", "training.__main__", ("cache",), "what is kept of decoded pictures",
        "training.commands.cache",
    ),
    "report": Command(
        "reports", "reports.__main__", (), "a run's page again", "reports.__main__"
    ),
    "cam": Command(
        "reports cam", "reports.__main__", ("cam",), "where trained networks look",
        "reports.commands.cam",
    ),
    "models": Command(
        "models", "models.__main__", (), "named networks: list, show, cost, export",
        "models.__main__",
    ),
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command's exit code; 2 with one line for one that there is not."""
    if "_ARGCOMPLETE" in os.environ:
        complete()
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


def complete() -> NoReturn:
    """Answer a shell that completes what is typed (argcomplete, extra ``completion``), and exit.

    What follows a command's name its own parser completes, the only one that is loaded.
    """
    import argcomplete

    typed = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    name = [*typed.split(maxsplit=2), "", ""][1]
    first = int(os.environ["_ARGCOMPLETE"])
    if name in COMMANDS and not typed.endswith(name):
        os.environ["_ARGCOMPLETE"] = str(first + 1)
        known = import_module(COMMANDS[name].options).options()
    else:
        known = ArgumentParser("evenscale")
        known.add_argument("command", choices=COMMANDS)
        known.add_argument("--version", action="store_true")
    argcomplete.autocomplete(known)
    sys.exit(1)  # not reached: it exits once it has answered


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
