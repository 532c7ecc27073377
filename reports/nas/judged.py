"""The trainings by which a search's network was named, and what they come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from nas.calibrate import read_again
from nas.finals import ROUNDS, kept_in
from nas.result import SearchResult
from trials.record import Evaluation


def named_trainings(found: SearchResult, run_dir: Path) -> list[Evaluation]:
    """Those by which the named network was named: its finals', or where there were none its
    trial's."""
    number = found.best.number
    if found.finals:
        places = [kept_in(run_dir, step + 1).name for step in range(len(ROUNDS))]
        rounds = [read_again(run_dir, name) for name in places]
        own = [one[number].evaluation for one in rounds if number in one]
        if told := [one for one in own if one is not None]:
            return told
    return [r.evaluation for r in found.trials if r.number == number and r.evaluation is not None]


def together(trainings: Sequence[Evaluation]) -> Evaluation:
    """One network's trainings as one: the mean accuracy, and of each class and pair the sum of the
    pictures.

    ``details["effective_images"]`` counts pictures that judged several of them once.
    """
    first = trainings[0]
    details: dict[str, Any] = dict(first.details)
    for name in ("class_correct", "class_images"):
        each = [one.details.get(name) for one in trainings]
        if all(each):
            details[name] = [sum(of) for of in zip(*each, strict=True)]
    if all("confused" in one.details for one in trainings):
        pairs: Counter[tuple[int, int]] = Counter()
        for one in trainings:
            pairs.update({(truth, named): n for truth, named, n in one.details["confused"]})
        ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        details["confused"] = [[*pair, count] for pair, count in ranked]
    worth = {one.details.get("data"): one.details.get("effective_images") or 0 for one in trainings}
    details["effective_images"] = sum(worth.values()) or None
    return replace(first, accuracy=fmean(one.accuracy for one in trainings), details=details)
