"""A command's options as its run keeps them, so that going on needs nothing but --resume and --out.

What is given again counts; whether that is still the same search the run itself decides
(``trials.store.header``).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Where the run is and how it is gone on with; the pictures, which it knows as its "source"; and
# the time, which was one sitting's.
_OF_A_SITTING = frozenset(
    {
        *("out", "resume", "join", "storage", "minutes", "json", "dry_run"),
        *("data", "train", "validation", "test"),
    }
)


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options given, and where a run in --out is resumed its own for those that were not.

    Raises ValueError where there is no run to resume.
    """
    args = parser.parse_args(argv)
    if not args.resume or args.out is None:
        return args
    from trials.store.header import read_header  # with SQLAlchemy, which --help need not wait for

    header = read_header(args.out)
    kept = dict(header.settings.get("options") or {})  # runs of before have none
    known = {action.dest for action in parser._actions}
    parser.set_defaults(**{name: value for name, value in kept.items() if name in known})
    if args.storage is None and header.storage is not None and "***" not in header.storage:
        parser.set_defaults(storage=header.storage)
    return parser.parse_args(argv)


def kept(args: argparse.Namespace) -> dict[str, Any]:
    """The options to keep with a run, JSON; places mean the same from every directory."""
    return {
        name: _everywhere(value)
        for name, value in vars(args).items()
        if name not in _OF_A_SITTING and value is not None
    }


def _everywhere(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, str):
        parts = value.split(",")  # several baselines
        return ",".join(os.path.abspath(part) if os.path.exists(part) else part for part in parts)
    return list(value) if isinstance(value, tuple) else value
