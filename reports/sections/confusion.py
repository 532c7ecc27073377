"""What a network took for what, on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.page import Page
from reports.sections.classes import percent

WIDEST = 30
"""Classes of the matrix; of more, the pairs that were confused most are listed."""
PAIRS = 40


def show_confusion(
    page: Page, classes: Sequence[str], details: Mapping[str, Any], pictures: str = "test pictures"
) -> None:
    """The confusion matrix in pictures, or of many classes the pairs that were confused most.

    Classes that nobody named are numbers. Nothing for trainings of before this was recorded.
    """
    pairs, images = details.get("confused"), details.get("class_images")
    if pairs is None or not images:
        return
    classes = classes or [str(number) for number in range(len(images))]
    page.heading("What was taken for what")
    if not pairs:
        page.text(f"Each of the {pictures} was named correctly.")
    elif len(classes) <= WIDEST:
        counts = [[0] * len(classes) for _ in classes]
        for place, right in enumerate(details["class_correct"]):
            counts[place][place] = right
        for truth, other, count in pairs:
            counts[truth][other] = count
        page.text(
            f"{pictures[:1].upper()}{pictures[1:]} by their class (rows) and by the class that "
            "they were named."
        )
        page.matrix(classes, counts)
    else:
        wrong = sum(images) - sum(details["class_correct"])
        page.text(
            f"The {min(PAIRS, len(pairs))} pairs of classes that were confused most often, of "
            f"{wrong} {pictures} that were named wrongly."
        )
        rows = [
            [classes[truth], classes[other], count, percent(count / images[truth])]
            for truth, other, count in pairs[:PAIRS]
        ]
        page.table(["class", "taken for", "pictures", "of the class's"], rows)
