"""The classes on a page: their pictures, their accuracies, and accuracy in both its senses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from reports.page import Page
from trials.record import Evaluation

MOST = 100
"""Rows of the table of classes; of more classes, those with the worst accuracy."""


class Kinds(NamedTuple):
    """The accuracy that a run goes by, as a heading says it; the other's key among an evaluation's
    details, and its heading."""

    heading: str
    key: str
    other: str


def kinds(settings: Mapping[str, Any]) -> Kinds:
    """Of a run: plain accuracy counts pictures, balanced accuracy is the mean of the classes'."""
    if (settings.get("recipe") or {}).get("balance"):
        return Kinds("balanced accuracy", "plain_accuracy", "of all pictures")
    return Kinds("accuracy", "balanced_accuracy", "balanced")


def mean_of(key: str, evaluations: Iterable[Evaluation]) -> float | None:
    """The mean of a number among the details; None where any evaluation lacks it, or none is."""
    found = [evaluation.details.get(key) for evaluation in evaluations]
    numbers = [value for value in found if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(found) else None


def percent(share: float | None) -> str:
    """``"93.10 %"``; a dash for what is not known."""
    return "–" if share is None or share != share else f"{100 * share:.2f} %"


def about_classes(
    page: Page, settings: Mapping[str, Any], evaluation: Evaluation | None = None
) -> None:
    """A table of the classes: pictures and, by ``evaluation``, how many of them were told.

    Nothing for runs of before this was recorded.
    """
    names, counts = (settings.get("data") or {}).get("classes"), settings.get("class_counts")
    if not names or not counts:
        return
    correct, images = (
        evaluation.details.get(key) if evaluation else None
        for key in ("class_correct", "class_images")
    )
    page.heading("The classes")
    if varied := settings.get("varied"):
        page.text(f"In training, pictures were {varied}." + _balanced(settings))
    page.text(_counted(counts, settings.get("all_counts")))
    rows = [[name, *pair] for name, *pair in zip(names, *counts, strict=True)]
    head = ["class", "for training", "for validation"]
    if correct and images:
        head.append("accuracy of the named network")
        shares = [right / of if of else None for right, of in zip(correct, images, strict=True)]
        rows = [[*row, percent(share)] for row, share in zip(rows, shares, strict=True)]
        if list(images) != list(counts[1]):  # finals have more of them
            head.append("of pictures")
            rows = [[*row, of] for row, of in zip(rows, images, strict=True)]
        if len(rows) > MOST:
            worst = sorted(range(len(rows)), key=lambda i: 2 if (s := shares[i]) is None else s)
            rows = [rows[i] for i in worst]
    if len(rows) > MOST:
        page.text(f"{MOST} of {len(rows)} classes" + (", the worst told" if correct else "") + ":")
    page.table(head, rows[:MOST])


def _counted(used: Sequence[Sequence[int]], there: Sequence[Sequence[int]] | None) -> str:
    """Which pictures the table counts."""
    said = "Counted are the pictures that the search's short trainings used"
    if there is None:  # as earlier versions left it
        return f"{said}, of which the data may have more."
    each = [
        f"all {sum(mine):,} for {part}" if mine == every
        else f"{sum(mine):,} of {sum(every):,} for {part}"
        for part, mine, every in zip(("training", "validation"), used, there, strict=True)
    ]  # fmt: skip
    limit = " (--proxy-images limits those for training)" if used[0] != there[0] else ""
    return f"{said}: {' and '.join(each)}{limit}."


def _balanced(settings: Mapping[str, Any]) -> str:
    if not (settings.get("recipe") or {}).get("balance"):
        return ""
    return (
        " Every class came equally often (--balance), and accuracy is balanced: the mean of the "
        "classes' own."
    )
