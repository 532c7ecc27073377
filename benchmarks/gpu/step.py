"""One step in a process of its own, which ``python -m benchmarks.gpu`` starts.

What breaks the device, its memory or this process breaks no other step.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.page import Page
from benchmarks.gpu.plan import FULL, REHEARSAL, STEPS, Scale


@dataclass(frozen=True)
class Place:
    """What a step finds: its sizes, its page, a folder for its files, what travelled with it."""

    scale: Scale
    page: Page
    work: Path
    bundle: Path

    @property
    def pictures(self) -> Path:
        """The folder of pictures that the step ``prepare`` has unpacked."""
        found = [path for path in (self.work / "pictures").iterdir() if path.is_dir()]
        if len(found) != 1:
            raise ValueError(f"{len(found)} folders in {self.work / 'pictures'}: one is expected")
        return found[0]

    def table(self, name: str) -> Path:
        """A table of known accuracies."""
        return (self.work / "tables" if self.rehearsed else self.bundle) / name

    @property
    def rehearsed(self) -> bool:
        return self.scale is REHEARSAL


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step, and leave its page ended."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("name", choices=STEPS)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--bundle", type=Path, required=True)
    made.add_argument("--seconds", type=float, required=True)
    made.add_argument("--rehearse", action="store_true")
    args = made.parse_args(argv)
    faulthandler.dump_traceback_later(args.seconds + 3)  # where it hangs, before it is killed
    page = Page(args.out, args.name, args.seconds)
    scale = REHEARSAL if args.rehearse else FULL
    try:
        importlib.import_module(f"benchmarks.gpu.steps.{args.name}").measure(
            Place(scale, page, args.work, args.bundle)
        )
    except Exception:
        page.fail(args.name, traceback.format_exc())
    page.end()


if __name__ == "__main__":
    main()
