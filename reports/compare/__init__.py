"""Several runs of one kind on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase

from reports.compare import networks, scalings
from reports.compare.alike import Entrant
from reports.compare.figures import MOST
from trials.store.study import header_of

KINDS = {"nas": networks.compare, "scaling": scalings.compare}


def compare(directories: Sequence[Path], out: Path, storage: str | None = None) -> Path:
    """Write comparison.html and its pictures into ``out``, from the runs' studies alone. Of those
    that have no directory here the studies are in ``storage``, by their names.

    Raises ValueError for fewer than two runs or more than ``MOST``, for one that is given twice,
    for runs of different kinds or of one that is not compared, and where one has no answer yet.
    """
    places = [directory.resolve() for directory in directories]
    if not 2 <= len(places) <= MOST:
        raise ValueError(f"{len(places)} runs cannot be compared: give 2 to {MOST}")
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise ValueError(f"{twice} is given twice: name each run once")
    settings = [header_of(place, storage).settings for place in places]
    kinds = {own["kind"]: place for own, place in zip(settings, places, strict=True)}
    if other := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(
            f"{kinds[other[0]]} is a run of kind {other[0]!r}: give network searches or scaling "
            "searches"
        )
    if len(kinds) > 1:
        told = ", ".join(f"{place} is of kind {kind!r}" for kind, place in kinds.items())
        raise ValueError(f"runs of different kinds cannot be compared: {told}")
    (kind,) = kinds
    names = [place.name for place in places]
    if len(set(names)) < len(names):
        names = [str(place) for place in places]
    entrants = [Entrant(*one) for one in zip(ascii_uppercase, names, settings, strict=False)]
    return KINDS[kind](entrants, places, out, storage)
