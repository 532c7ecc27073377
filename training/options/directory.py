"""Where a run's files go."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.command import file_name
from common.paths import check_place
from trials.store.header import FILE_NAME, check_free, is_unbegun


def run_directory(args: argparse.Namespace, name: str) -> Path:
    """--out, or ``runs/NAME``, with a number where that is taken; the newest to resume.

    Raises ValueError where nothing can be written there: before the first training, not after the
    last.
    """
    found = _directory(args, file_name(name))
    check_place(found)
    return found


def search_directory(args: argparse.Namespace, name: str) -> Path:
    """``run_directory`` of a search, which is one run.

    A run that was stopped while its own parent was trained has nothing but that training: it is not
    resumed, but begun anew where that goes on. Raises ValueError, too, where a run is there that is
    not to be gone on with, and where none is that is: before its parent is trained.
    """
    found = run_directory(args, name)
    if not (args.resume or args.join):
        check_free(found)
    if args.resume and not (found / FILE_NAME).exists() and args.storage is None:
        if is_unbegun(found):
            print(f"{found}: the training of its parent goes on", file=sys.stderr)
            args.resume = False
            return found
        raise ValueError(
            f"{found} holds no run (run.json is missing) to resume: name its directory by --out"
        )
    return found


def _directory(args: argparse.Namespace, name: str) -> Path:
    if args.out is not None:
        return Path(args.out)
    root = Path("runs")
    numbers = {1: root / name}  # of those that are there
    for found in root.glob(f"{name}-*"):
        if (number := found.name.removeprefix(f"{name}-")).isdecimal():
            numbers[int(number)] = found
    taken = [number for number, found in numbers.items() if found.exists()]
    if getattr(args, "resume", False):
        there = (numbers[number] for number in taken)
        return max(there, key=lambda found: found.stat().st_mtime, default=root / name)
    free = max(taken, default=0) + 1
    return root / name if free == 1 else root / f"{name}-{free}"
