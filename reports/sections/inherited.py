"""What a search by inherited weights says of them: from whom, how much, and who won the finals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.result import Candidate, Finalist
from reports.page import Page
from reports.sections.classes import percent
from trials.record import Evaluation


def about_inheritance(page: Page, settings: Mapping[str, Any], named: Evaluation) -> None:
    """The parent, and which part of the named network's weights are its; nothing from scratch."""
    parent, told = settings.get("init"), named.details.get("inherited")
    if not parent or not told:
        return
    page.heading("What was inherited")
    page.text(
        f"Every network began with weights of {parent['name']} ({parent['digest']}), which was "
        "trained on these pictures first. Projections of blocks that had lost channels, kernels or "
        "layers were fitted to the parent's, and a classifier was fitted in closed form. Below is "
        "how much of the named network's weights are the parent's. Its distance is "
        f"{told['distance']:.2f}: 0 is the parent itself, 1 nothing in common. A short training "
        "tells how much survived the cut as well as how good the network is; a score without any "
        "tells that more, and of what was only grown nothing."
    )
    shares = told["shares"]
    page.table(list(shares), [[percent(share) for share in shares.values()]])


def show_finals(page: Page, finals: Sequence[Finalist], trained: Sequence[Candidate]) -> None:
    """The further trainings of the best networks, the named one's first."""
    if not finals:
        return
    page.heading("The finals")
    given = all(one.probability is not None for one in finals)
    by = "the probability of the pictures' own classes" if given else "exp(-loss)"
    page.text(
        "The best networks by their scores were trained further, and the best of these once more, "
        "under another seed and, where the validation pictures are few, judged by as many others, "
        "which the parent had not seen: what was trained once and what twice do not compare. Named "
        f"is that of those trained most often with the greatest reward when {by} "
        "stands for the accuracy: it tells near equals apart where accuracies of so few pictures "
        "do not."
        + " (The mean of its arithmetic mean and of its geometric one, exp(-loss).)"
        * given
    )
    by_number = {one.number: one for one in trained}
    rows = [
        [
            by_number[one.number].spec.name,
            one.number,
            percent(by_number[one.number].accuracy),
            percent(one.accuracy),
            "" if one.spread is None else f"{100 * one.spread:.2f}",
            "" if one.loss is None else f"{one.loss:.4f}",
            "" if one.probability is None else f"{one.probability:.4f}",
            one.trainings,
            f"{one.merit:.4f}",
        ]
        for one in finals
    ]
    heads = ["network", "trial", "score", "accuracy, trained further", "sd, points", "loss",
             "probability", "trainings", "reward"]  # fmt: skip
    page.table(heads, rows, 0)
