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

from common.config import as_json, configured

# Where the run is and how it is gone on with: no options of another run like it.
_OF_THE_RUN = frozenset(("out", "resume", "join", "storage", "json", "dry_run", "quiet"))
# Kept, but not gone on with: the pictures, which a run knows as its "source", and the time, which
# was one sitting's.
_OF_A_SITTING = frozenset(("minutes", "data", "train", "validation", "test"))


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options given, and where a run in --out is resumed its own for those that were not.

    Raises ValueError where there is no run to resume, and as ``common.config.configured`` does.
    """
    known = {action.dest for action in parser._actions} - _OF_A_SITTING

    def recalled(args: argparse.Namespace) -> dict[str, Any]:
        if not args.resume or args.out is None:
            return {}
        # With SQLAlchemy: --help need not wait for it.
        from trials.store.header import is_unbegun, read_header

        if is_unbegun(args.out):
            return {}
        header = read_header(args.out)
        own = dict(header.settings.get("options") or {})  # runs of before have none
        if header.storage is not None and "***" not in header.storage:
            own["storage"] = header.storage
        return {name: value for name, value in own.items() if name in known}

    return configured(parser, argv, recalled)


def kept(args: argparse.Namespace) -> dict[str, Any]:
    """The options to keep with a run, JSON, in a form that --config takes: of all that there are
    those of another run like it. Places mean the same from every directory."""
    said = vars(args)
    if hasattr(said.get("data"), "_asdict"):  # a split's folders are options of their own
        said = {**said, **said["data"]._asdict(), "data": None}
    return {name: _everywhere(value) for name, value in said.items() if name not in _OF_THE_RUN}


def _everywhere(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, str):
        parts = value.split(",")  # several baselines
        return ",".join(os.path.abspath(part) if os.path.exists(part) else part for part in parts)
    return as_json(value)
