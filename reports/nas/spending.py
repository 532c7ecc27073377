"""What a network search cost, part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import safe_open

from models.spec import ArchSpec
from nas.calibrate import AGAIN, LONGER
from nas.finals import ROUNDS, kept_in
from nas.search.against import KEPT
from reports.page import Page
from reports.sections.spent import Timed, about_energy, spent
from trials.store.study import read_run
from trials.store.view import Record


def about_cost(page: Page, run_dir: Path, records: Sequence[Record]) -> None:
    """What each part of a network search took, and all of it: ``records`` are its own trials, the
    rest is read from the runs below its directory."""
    parts = {
        name: (counts, timed)
        for name, counts, timed in _parts(run_dir, records)
        if timed or counts != "0"
    }
    page.heading("What it cost")
    rows = [[name, counts, spent(timed)] for name, (counts, timed) in parts.items()]
    every = [one for _, timed in parts.values() for one in timed]
    page.table(["", "trainings", "time"], [*rows, ["in all", len(every), spent(every)]])
    page.note("Time is of trainings and of measuring them, each on its own thread or device.")
    about_energy(page, run_dir)


def _parts(run_dir: Path, records: Sequence[Record]) -> Iterator[tuple[str, str, list[Timed]]]:
    """The name of each part, its trainings in words and what they took."""
    places = [run_dir, *(kept_in(run_dir, step + 1) for step in range(len(ROUNDS)))]
    parents: list[Timed] = [one for one in map(_made_ready, places) if one is not None]
    yield "the parent, made ready for the pictures", str(len(parents)), parents
    yield "the search's trials", *_told(records)
    for step, place in enumerate(places[1:], 1):
        yield f"the finals, round {step}", *_told(_below(place))
    yield "the networks that it is compared with", *_told(_below(run_dir / KEPT))
    yield "calibration", *_told([*_below(run_dir / AGAIN), *_below(run_dir / LONGER)])


class _Ready(NamedTuple):
    """As ``training.transfer.parent.MadeReady``."""

    seconds: float
    device: str


def _made_ready(place: Path) -> _Ready | None:
    """What it took to make the parent ready that is kept there; None where nothing says so."""
    path = place / "parent.safetensors"
    if not path.is_file():
        return None
    with safe_open(path, "pt") as kept:
        told = (kept.metadata() or {}).get("made_ready")
    return told and _Ready(*json.loads(told))


def _below(place: Path) -> list[Record]:
    if not (place / "run.json").exists():
        return []
    return read_run(place, from_json=ArchSpec.from_json).finished()


def _told(records: Sequence[Record]) -> tuple[str, list[Timed]]:
    trained = [r.evaluation for r in records if r.evaluation is not None]
    stopped = [r.stopped.evaluation for r in records if r.stopped is not None]
    failed = len(records) - len(trained) - len(stopped)
    counts = [f"{len(records)}"]
    counts += [f"{n} {what}" for n, what in ((failed, "failed"), (len(stopped), "stopped")) if n]
    return ", ".join(counts), [*trained, *stopped]
