"""Which pictures a command means: those given, or those of the run that it goes on from."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from training.data import Data
from trials.store.header import FILE_NAME, read_header

DEFAULT = "mnist"
BUILT_IN = ("mnist", "digits", "cifar10", "cifar100")


def settle_pictures(args: argparse.Namespace, baseline: str | None = None) -> None:
    """Set ``args.data`` where it was not given, and say so where it is not the default.

    The pictures are those of the run that is resumed; else those of ``baseline``, where that is a
    run's directory; else the embedded digits.
    """
    if args.data is not None:
        return
    for whose, directory in (
        ("resumed", args.out if getattr(args, "resume", False) else None),
        ("used", baseline),
    ):
        source = directory and source_of(Path(os.path.expanduser(directory)))
        if source:
            args.data = source
            print(f"pictures: {source}, those of the run that is {whose}", file=sys.stderr)
            return
    args.data = DEFAULT


def source_of(directory: Path) -> str | None:
    """What the run in that directory was given as pictures; None where there is no such run."""
    if not (directory / FILE_NAME).is_file():
        return None
    found = read_header(directory).settings.get("source")
    return found if isinstance(found, str) else None


def as_stored(source: str) -> str:
    """A source as a run keeps it, which means the same from every directory."""
    if source in BUILT_IN:
        return source
    return str(Path(os.path.expanduser(source)).absolute())


def say_if_other(data: Data, baseline: str) -> None:
    """A line on stderr where ``baseline`` is a run that was made on other pictures."""
    directory = Path(os.path.expanduser(baseline))
    if not (directory / FILE_NAME).is_file():
        return
    stored = read_header(directory).settings.get("data")
    if isinstance(stored, dict) and stored.get("digest") != data.digest:
        print(
            f"pictures: {data.name} ({data.digest}); the baseline was found on others, "
            f"{stored.get('name')} ({stored.get('digest')})",
            file=sys.stderr,
        )


def next_command(module: str, *arguments: object, data: str) -> str:
    """A command to go on with, quoted for a shell, with the pictures where they are not the
    default."""
    words = ["python", "-m", *module.split(), *map(str, arguments)]
    return shlex.join(words + ([] if data == DEFAULT else ["--data", data]))
