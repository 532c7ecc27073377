"""Scaling searches on one page: α, β and γ of each with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from reports.compare import figures
from reports.compare.alike import Entrant, pictures, reading, warnings
from reports.page import Page
from reports.scaling import concluded
from reports.sections.spent import spent
from scaling_search.result import ScalingResult
from scaling_search.summary import SYMBOLS, called


class Search(NamedTuple):
    """One of the runs, and what it came to."""

    entrant: Entrant
    found: ScalingResult

    @property
    def asked(self) -> str:
        """Of what network at what cost the answer is."""
        grid = self.found.grid
        return f"{grid.baseline.spec.name} at {grid.cost.text(grid.target)}"


def compare(
    entrants: Sequence[Entrant], places: Sequence[Path], out: Path, storage: str | None = None
) -> Path:
    """Write coefficients.png and comparison.html into ``out``.

    Raises ValueError where a run has no answer yet.
    """
    searches = []
    for entrant, place in zip(entrants, places, strict=True):
        with reading(place):
            searches.append(Search(entrant, concluded(place, storage)[2]))
    out.mkdir(parents=True, exist_ok=True)
    figures.coefficients(
        out / "coefficients.png", {one.entrant.letter: one.found for one in searches}
    )
    page = Page(f"{len(searches)} scaling searches")
    for one in warnings(entrants):
        page.caution(one)
    page.lead(_lead(searches))
    page.figure(out / "coefficients.png", "The coefficients with their 90 % intervals.")
    _table(page, searches)
    page.note(
        "Intervals are of each run's own trainings. Two that do not overlap are hardly of one "
        "answer; two that do may be. α·β²·γ² is the ratio of FLOPs at each run's target, so "
        "coefficients of different targets differ even where the shares of the three are the same."
    )
    page.write(out / "comparison.html")
    return out / "comparison.html"


def _lead(searches: Sequence[Search]) -> str:
    each = "; ".join(
        f"{one.entrant.letter} ({one.entrant.name}): "
        + ", ".join(
            f"{symbol} {getattr(one.found.coefficients, name):.2f}"
            for name, symbol in SYMBOLS.items()
        )
        for one in searches
    )
    if len({one.asked for one in searches}) > 1:
        return f"{each}. They are of different networks or targets."
    if not (told := disjoint(searches)):
        return f"{each}. No two of their 90 % intervals exclude one another."
    return f"{each}. Their 90 % intervals do not overlap in {', '.join(told)}."


def disjoint(searches: Sequence[Search]) -> list[str]:
    """Which coefficients of which two runs have intervals without a common value."""
    return [
        f"{symbol} of {one.entrant.letter} and {other.entrant.letter}"
        for name, symbol in SYMBOLS.items()
        for one, other in combinations(searches, 2)
        if max(one.found.confidence[name][0], other.found.confidence[name][0])
        > min(one.found.confidence[name][1], other.found.confidence[name][1])
    ]


def _table(page: Page, searches: Sequence[Search]) -> None:
    head = ["run", "of", *SYMBOLS.values(), "90 % region", "better than", "tie with", "trainings",
            "of them repeats", "spent", "method", "seed", "pictures"]  # fmt: skip
    rows = []
    for one in searches:
        found, settings = one.found, one.entrant.settings
        verdicts = {
            kind: ", ".join(called(c.against) for c in found.comparisons if c.verdict == kind)
            for kind in ("better", "tie")
        }
        rows.append(
            [
                f"{one.entrant.letter}: {one.entrant.name}",
                one.asked,
                *(
                    "{:.2f} ({:.2f} to {:.2f})".format(
                        getattr(found.coefficients, name), *found.confidence[name]
                    )
                    for name in SYMBOLS
                ),
                f"{100 * found.region.size:.0f} % of all ways",
                verdicts["better"],
                verdicts["tie"],
                len(found.trials),
                found.repeats,
                spent(found.evaluations),
                settings["method"],
                settings["seed"],
                pictures(settings),
            ]
        )
    page.table(head, rows)
