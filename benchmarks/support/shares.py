"""Trainings of a benchmark divided among processes, each result kept in a file of its own.

The parents come first, once: ``--parents-only`` makes them and ends. Then each process is given its
``--share K/N``, and a run without one finds all files and prints the table, which needs no parent.
A share that lacks a parent says so and makes none: no two processes ever make the same one. Where
parents are gone and not all is finished, ``--finished`` prints what there is: a parent made again
on another device is another one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from training.transfer.parent import Parent, keep
from training.transfer.sources import read_parent
from trials.record import Evaluation
from trials.store.disk import replace_text


class Share(NamedTuple):
    """This process's part of the work: the ``number``-th of ``of``, from 1."""

    number: int
    of: int

    def has(self, position: int) -> bool:
        """Whether the work at that position, from 0, is this process's."""
        return position % self.of == self.number - 1


WHOLE = Share(1, 1)


def share(text: str) -> Share:
    """``2/8``: the second of eight."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no share: give K/N, such as 2/8")
    return Share(int(number), int(of))


def add_options(made: argparse.ArgumentParser, out: str) -> None:
    """``--device``, ``--share``, ``--parents-only`` and ``--out``."""
    made.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda")
    made.add_argument("--share", type=share, default=WHOLE, help="K/N: only these, and no table")
    made.add_argument("--parents-only", action="store_true", help="make these, for the shares")
    made.add_argument("--out", type=Path, default=Path(out))


def add_finished(made: argparse.ArgumentParser) -> None:
    """``--finished``."""
    made.add_argument("--finished", action="store_true", help="a table of these alone: no training")


def parent_at(path: Path, part: Share, make: Callable[[], Parent]) -> Parent:
    """The parent that is kept at ``path``, made first where it is not; whole, or not there.

    Raises ValueError where it is not there and this process does but a share of the work.
    """
    if not path.exists():
        if part != WHOLE:
            raise ValueError(f"{path} is not there: run once with --parents-only, then the shares")
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        keep(make(), partial)
        os.replace(partial, path)
    return read_parent(path)


def read(path: Path) -> Any:
    """What is kept there; None for nothing."""
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def write(path: Path, found: Any) -> None:
    """Keep JSON: all of it, or what was there before."""
    replace_text(path, json.dumps(found) + "\n")


def completed(
    path: Path,
    begun: dict[str, Any],
    names: Iterable[str],
    make: Callable[[str], dict[str, Any]],
    finished: bool,
) -> dict[str, Any] | None:
    """What is kept there, from ``begun`` on, once it has all of the names, each kept as soon as it
    is made; None where some are missing and only what is ``finished`` is asked for."""
    found: dict[str, Any] = read(path) or begun
    missing = [name for name in names if name not in found]
    if missing and finished:
        return None
    for name in missing:
        found[name] = make(name)
        write(path, found)
    return found


class Clock:
    """From now on: a CPU's is the processor time of the process, of one thread; any other device's
    is what passes, since the process's own time is not its."""

    def __init__(self, device: torch.device) -> None:
        self.unit = "core-s" if device.type == "cpu" else "wall-s"
        self._now = time.process_time if device.type == "cpu" else time.perf_counter
        self._start = self._now()

    def told(self, made: Evaluation) -> dict[str, Any]:
        """Of a training that ends now: loss, accuracy, probability, seconds and their unit."""
        return {
            "loss": made.loss,
            "accuracy": made.accuracy,
            "probability": made.details["probability"],
            "seconds": self._now() - self._start,
            "unit": self.unit,
        }


def unit(told: list[dict[str, Any]]) -> str:
    """What the seconds of these trainings are, for a table's header; ``core-s`` where unsaid."""
    return " and ".join(sorted({one.get("unit", "core-s") for one in told}))
