"""Which choices mattered, where the trainings tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.belief.account import FEWEST
from nas.belief.importance import told_apart
from reports.figures import CHOSEN, FRONT, new_figure, save
from reports.page import Page

SHOWN = 12  # of the single choices
KINDS = {
    "op": "kind of block",
    "k": "kernel",
    "e": "expansion",
    "se": "squeeze-and-excitation",
    "skip": "skip",
    "c": "width",
    "l": "layers",
    "f": "channels' growth",
    "b": "first channels",
    "a": "channels gained",
}
Share = Sequence[float]  # lower end, median and upper end, in [0, 1]


def about_importance(
    page: Page, basis: Mapping[str, Any] | None, trainings: int, figure: Path
) -> None:
    """What the run keeps of it with its answer, drawn into ``figure``; or why it says nothing."""
    if basis is None or "importance" not in basis:  # another sampler, or of an earlier version
        return
    page.heading("Which choices mattered")
    found = basis["importance"]
    if found is None:
        page.text(
            f"Not told by {trainings} trainings: before {FEWEST} such numbers say nothing yet."
        )
        return
    if not told_apart(found):
        page.text(
            f"Not told by {trainings} trainings: the 90 % intervals of all choices overlap. More "
            "trainings would tell."
        )
        return
    kinds = sorted(found["kinds"].items(), key=lambda item: -item[1][1])
    said = "; ".join(f"{named(kind)} {_percent(share)}" for kind, share in kinds)
    page.text(
        "Of the differences in accuracy that are expected between random networks of the window, "
        f"so much is explained by (90 % interval): {said}."
    )
    _draw(figure, found)
    page.figure(
        figure,
        "How much of the differences each kind of choice explains by itself, in all stages "
        f"together (diamonds), and the {SHOWN} single choices that explain most (dots), with 90 % "
        "intervals.",
    )
    page.note(
        "These are main effects by the model that names the network, guesses beforehand included, "
        "in trainings like these; shares need not sum to 100 %: choices act together, and the "
        "budget ties them (what is spent on one is missing from another). A choice that explains "
        "much need not have a best value that is known. Where one kind was chosen alike in all "
        "trainings, only the guess tells of it."
    )


def named(kind: str) -> str:
    """A kind of choice in words; one of a space of the user's own by its own name."""
    return KINDS.get(kind, kind)


def _draw(path: Path, found: Mapping[str, Any]) -> None:
    kinds = {named(kind): share for kind, share in found["kinds"].items()}
    single = {f"{named(one['kind'])}, {one['name']}": one["share"] for one in found["choices"]}
    kinds, single = _most(kinds, len(kinds)), _most(single, SHOWN)
    rows = [*((k, s, "D", CHOSEN) for k, s in kinds.items()),
            *((k, s, "o", FRONT) for k, s in single.items())]  # fmt: skip
    figure, axes = new_figure(7.4, 0.9 + 0.26 * len(rows))
    for y, (_, (low, middle, high), marker, color) in enumerate(rows):
        axes.plot((100 * low, 100 * high), (y, y), color=color, lw=1.6)
        axes.plot(100 * middle, y, marker, ms=5, color=color)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the greatest at the top
    axes.set_xlim(left=0)
    axes.set_xlabel("explained of the differences expected between networks of the window, %")
    save(figure, path)


def _most(shares: Mapping[str, Share], count: int) -> dict[str, Share]:
    return dict(sorted(shares.items(), key=lambda item: -item[1][1])[:count])


def _percent(share: Share) -> str:
    low, middle, high = (round(100 * one) for one in share)
    return f"{middle} % ({low} to {high})"
