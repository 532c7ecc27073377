"""What the named network was named by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.belief.account import in_words, too_few
from nas.result import SearchResult
from reports import figures
from reports.page import Page

SOURCES = {
    "prior": "the prior",
    "capacity": "capacity (parameters and their evenness)",
    "macs": "FLOPs",
    "params": "parameters",
    "activations": "activations",
    "depth": "depth",
    "naswot": "NASWOT, of the untrained network",
    "snip": "SNIP, of the untrained network",
    "gradient-norm": "gradient norm, of the untrained network",
    "zico": "ZiCo, of the untrained network",
    "synflow": "synflow, of the untrained network",
}


def about_belief(
    page: Page, search: SearchResult, settings: Mapping[str, Any], figure: Path
) -> None:
    """The sources that counted, with intervals, from what the run keeps with its answer. How the
    views' weights moved is drawn into ``figure``."""
    found = search.basis
    if found is None:  # another sampler, few trainings, or a run of an earlier version
        return
    page.heading("What the answer rests on")
    led = "The network is named"
    if search.finals:
        led = "The search was led, and its first finalist chosen,"
    page.text(f"{led} by what a model of all trainings expects ({in_words(found)}).")
    if (trust := settings.get("trust")) is not None and trust < 1:
        page.text(
            f"--trust {trust:g} overruled that: only {trust:g} parts of what networks were led and "
            f"named by is this, {1 - trust:g} parts are the guess beforehand."
        )
    if too_few(found):
        return
    page.table(
        [
            "source",
            "foretold the trainings best, probability",
            "correlation with accuracy, 90 % interval",
        ],
        [
            [
                SOURCES.get(name, name),
                _probability(found["weights"].get(name)),
                f"{middle:+.2f} ({low:+.2f} to {high:+.2f})",
            ]
            for name, (low, middle, high) in found["agreement"].items()
        ],
    )
    if len(course := found.get("course", ())) > 1:  # none in runs of an earlier version
        figures.weights(figure, course)
        page.figure(
            figure,
            "How probable each guess was after so many trainings: which of them expected the "
            "accuracies that came out. Probabilities that still move say that more trainings "
            "would change the belief.",
        )
    page.text(
        "Correlations are over random networks of the window, between a source and the accuracies "
        "that the model holds possible. An interval that holds 0 says that these trainings cannot "
        "tell. A source with a probability was a guess before the first training, in sign and "
        "size; the others were not expected to count either way, and a guess that failed may "
        "still have been found out by training. Two trainings of one network are taken to differ "
        f"by {100 * found['noise']:.2f} points (standard deviation). All of this is about "
        "trainings like these: how they rank against longer ones, --calibrate tells."
    )


def _probability(weight: float | None) -> str:
    return "" if weight is None else f"{weight:.2f}"
