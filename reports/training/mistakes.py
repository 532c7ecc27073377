"""What a trained network gets wrong: by class and by single pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from reports.page import Page
from reports.sections.classes import MOST, percent
from reports.sections.interval import LEVEL, span
from trials.record import Evaluation


def show_classes(page: Page, classes: Sequence[str], found: Evaluation) -> None:
    """A row a class; of more than ``MOST`` those with the worst accuracy."""
    details = found.details
    named: Counter[int] = Counter()
    taken: dict[int, str] = {}
    for truth, other, count in details["confused"]:
        named[other] += count
        taken.setdefault(truth, f"{classes[other]} ({count})")  # the most pictures come first
    rows, shares = [], []
    for place, (name, training, right, images) in enumerate(
        zip(classes, *(details[f"class_{of}"] for of in ("training", "correct", "images")),
            strict=True)
    ):  # fmt: skip
        so_named = right + named[place]
        shares.append(right / images if images else 2.0)
        rows.append(
            [
                name,
                training,
                images,
                percent(right / images if images else None),
                span(right / images, images) if images else "–",
                percent(right / so_named if so_named else None),
                taken.get(place, ""),
            ]
        )
    page.heading("The classes")
    if len(rows) > MOST:
        page.text(f"{MOST} of {len(rows)} classes, the worst told:")
        rows = [rows[place] for place in sorted(range(len(rows)), key=shares.__getitem__)]
    page.table(
        ["class", "for training", "for test", "named correctly", f"{100 * LEVEL:.0f} % interval",
         "right, of those so named", "most often taken for (pictures)"],
        rows[:MOST],
    )  # fmt: skip


def about_mistakes(page: Page, classes: Sequence[str], found: Evaluation, folder: Path) -> None:
    """The pictures that were named wrongly with the greatest probability, from ``folder``.

    Raises ValueError where one is missing there.
    """
    told = found.details["mistakes"]
    if not told:
        return
    page.heading("The worst mistakes")
    page.text(
        "The test pictures that were named wrongly with the greatest probability, as the network "
        "saw them. Some may be named wrongly in the folder, and not here."
    )
    pictures = []
    for number, one in enumerate(told):
        path = folder / f"{number}.png"
        if not path.is_file():
            raise ValueError(f"{path} is missing: restore it from a copy, or train again")
        caption = (
            f"{classes[one['truth']]}, taken for {classes[one['named']]} "
            f"({100 * one['probability']:.1f} %): {one['picture']}"
        )
        pictures.append((path, caption))
    page.gallery(pictures)
