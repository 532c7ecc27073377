"""``python -m training cache``: what is kept of decoded pictures, and how to be rid of it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.command import count, parser

_DAY = 86_400.0
UNKNOWN = "(of an earlier version, or half written)"
ABOUT = """What is kept of decoded pictures, folder by folder, and how to be rid of it.

Files may go at any time: pictures are then decoded again. The place is $EVENSCALE_CACHE, else
~/.cache/evenscale; what torchvision has downloaded there is not listed and not touched."""


class Kept(NamedTuple):
    """A folder's files in the cache: how many, their bytes, days since the last was written."""

    pictures: str
    files: int
    size: int
    days: float


def options() -> argparse.ArgumentParser:
    """The command's options."""
    made = parser("training cache", ABOUT)
    made.add_argument("--clear", action="store_true", help="delete what is listed")
    made.add_argument("--older", type=count, metavar="DAYS", help="only what is older")
    made.add_argument("--json", action="store_true", help="as JSON")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """List what is kept; delete it where that is asked for."""
    args = options().parse_args(argv)
    from training.pictures.cache import cache_folder, kept  # with torch, which --help need not load

    folder, now = cache_folder(), time.time()
    oldest = now - _DAY * (args.older or 0)
    files = [(path, root) for path, root in kept(folder) if path.stat().st_mtime <= oldest]
    found = grouped(files, now)
    if args.clear:
        for path, _ in files:
            path.unlink(missing_ok=True)  # another process may have been quicker
    if args.json:
        told = {"folder": str(folder), "cleared": args.clear, "kept": [k._asdict() for k in found]}
        json.dump(told, sys.stdout, indent=2)
        print()
        return
    total = sum(one.size for one in found)
    print(f"{folder}: {len(files)} files, {_bytes(total)}{', deleted' if args.clear else ''}")
    for one in found:
        print(
            f"  {_bytes(one.size):>9}  {one.files:>4} files  {one.days:4.0f} days  {one.pictures}"
        )


def grouped(files: Sequence[tuple[Path, str]], now: float) -> list[Kept]:
    """The files by the folder of their pictures, the largest first."""
    found: dict[str, Kept] = {}
    for path, root in files:
        name, seen = root or UNKNOWN, path.stat()
        one = found.get(name, Kept(name, 0, 0, float("inf")))
        days = min(one.days, (now - seen.st_mtime) / _DAY)
        found[name] = Kept(name, one.files + 1, one.size + seen.st_size, max(0.0, days))
    return sorted(found.values(), key=lambda one: -one.size)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
