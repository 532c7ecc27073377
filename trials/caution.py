"""What makes an answer worth little, said before the answer itself.

Nothing was learned where the best accuracy is within luck's reach of chance: the accuracy of
whoever always names the commonest class. By luck alone the best of many trainings lies above that,
so its binomial interval (Clopper and Pearson 1934, Biometrika 26) is asked at a level that holds
for all of them together (Bonferroni). Few pictures, and pictures that could not be read, are said
as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from common.plain import printable
from trials.record import Evaluation

CHANCE, FEW, SKIPPED = "chance", "few", "skipped"
LEVEL = 0.95
FEWEST_HELD_OUT = 100  # pictures that tell an accuracy to 10 points (95 %, at its worst)
FEWEST_OF_A_CLASS = 10  # for training
_NAMED = 3  # classes that a sentence names

LONGER = (
    "train longer (--proxy-epochs), on more pictures (--proxy-images) or larger ones "
    "(--proxy-resolution), and see that each folder shows what its name says; then search again"
)

LONGER_TRAINING = (
    "train longer (--epochs), with weights to start from (--init) or larger pictures "
    "(--resolution), and see that each folder shows what its name says"
)


class Caution(NamedTuple):
    """What is amiss, one of ``CHANCE``, ``FEW``, ``SKIPPED``; the sentence that says it; and what
    to change."""

    kind: str
    said: str
    change: str


@dataclass(frozen=True)
class Pictures:
    """What accuracies were measured on.

    chance      the accuracy, in [0, 1], of whoever always names the commonest class
    held_out    pictures of the ``part``; of unequal classes those that a balanced accuracy is worth
    training    training pictures of each class, by its name; empty where that is not known
    there       those of them that the data has, of which trainings may use a part
    skipped     (path, reason) of each picture that could not be read
    part        of the split: "validation" or "test"
    """

    chance: float
    held_out: int
    training: Mapping[str, int] = field(default_factory=dict)
    there: Mapping[str, int] = field(default_factory=dict)
    skipped: Sequence[Sequence[str]] = ()
    part: str = "validation"

    @classmethod
    def of(cls, settings: Mapping[str, Any], told: Evaluation) -> Pictures | None:
        """Those of a run, by its settings and one of its trainings; None where it tells none."""
        data = settings.get("data")
        if not isinstance(data, Mapping) or data.get("chance") is None:
            return None
        used, there = (settings.get(key) for key in ("class_counts", "all_counts"))
        names = data.get("classes", ())
        return cls(
            chance=data["chance"],
            held_out=told.details.get("effective_images") or data["validation"],
            training=dict(zip(names, used[0], strict=True)) if names and used else {},
            there=dict(zip(names, there[0], strict=True)) if names and there else {},
            skipped=data.get("skipped", ()),
        )

    @classmethod
    def of_test(cls, told: Evaluation, balance: bool) -> Pictures:
        """Those that a training was measured on at its end; ``balance``: by balanced accuracy."""
        details = told.details
        images = [count for count in details["class_images"] if count]
        training = details.get("class_training")  # not told by earlier versions
        named = zip(details["class_accuracy"], training, strict=True) if training else ()
        return cls(
            chance=1 / len(images) if balance else max(images) / sum(images),
            held_out=details["effective_images"],
            training=dict(named),
            skipped=details.get("skipped", ()),
            part="test",
        )


def cautions_of_test(told: Evaluation, balance: bool) -> list[Caution]:
    """Of one training, by what it came to on the test split."""
    return judged(Pictures.of_test(told, balance), told.accuracy, longer=LONGER_TRAINING)


def cautions(settings: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> list[Caution]:
    """Of a run: ``judged`` by the best of its trainings; empty where nothing tells its chance."""
    if not evaluations:
        return []
    best = max(evaluations, key=lambda one: one.accuracy)
    pictures = Pictures.of(settings, best)
    return [] if pictures is None else judged(pictures, best.accuracy, len(evaluations))


def judged(
    pictures: Pictures, accuracy: float, trainings: int = 1, longer: str = LONGER
) -> list[Caution]:
    """What must be said first, the gravest first; empty where the answer stands.

    ``accuracy`` in [0, 1] is the best of so many trainings; ``longer`` is the remedy where nothing
    was learned.
    """
    found = [_of_chance(pictures, accuracy, trainings, longer), _of_few(pictures)]
    return [one for one in (*found, _of_skipped(pictures.skipped)) if one is not None]


def closing_json(found: Sequence[Caution], answer: Mapping[str, Any], further: str) -> str:
    """The same for a program: the answer's own facts with "cautions" and "next", which is null
    where nothing was learned."""
    then = None if nothing_learned(found) else further
    return json.dumps({**answer, "cautions": [one._asdict() for one in found], "next": then})


def nothing_learned(found: Sequence[Caution]) -> bool:
    """Whether one of them says so: there is then nothing to go on with."""
    return any(one.kind == CHANCE for one in found)


def closing(found: Sequence[Caution], answer: str, further: str) -> str:
    """What a command prints at its end: what must be said first, the answer, what to change, and
    how to go on, unless nothing was learned."""
    lines = [*(f"! {one.said}" for one in found), answer]
    lines += [f"change: {one.change}" for one in found]
    if not nothing_learned(found):
        lines.append(f"next: {further}")
    return "\n".join(lines)


def least(accuracy: float, pictures: int, trainings: int = 1) -> float:
    """The lower bound of the best of ``trainings`` accuracies, each on so many pictures."""
    from scipy.stats import beta  # a second to load

    right = accuracy * pictures
    if right <= 0:
        return 0.0
    return float(beta.ppf((1 - LEVEL) / trainings, right, pictures - right + 1))


def _of_chance(pictures: Pictures, accuracy: float, trainings: int, longer: str) -> Caution | None:
    bound = least(accuracy, pictures.held_out, trainings)
    if bound > pictures.chance:
        return None
    best = f"the best of {trainings} trainings" if trainings > 1 else "the training"
    return Caution(
        CHANCE,
        f"Nothing was learned that can be told from chance: {best} named {_percent(accuracy)} of "
        f"{pictures.held_out} {pictures.part} pictures, and may be worth {_percent(bound)} "
        f"({100 * LEVEL:.0f} % bound); always naming the commonest class is worth "
        f"{_percent(pictures.chance)}.",
        longer,
    )


def _of_few(pictures: Pictures) -> Caution | None:
    lacking = max(0, FEWEST_HELD_OUT - pictures.held_out)
    small = {name: n for name, n in pictures.training.items() if n < FEWEST_OF_A_CLASS}
    few = []
    if lacking:
        error = 196 * (0.25 / pictures.held_out) ** 0.5
        few.append(
            f"{pictures.held_out} {pictures.part} pictures tell an accuracy to ±{error:.0f} points"
        )
    if small:
        least = min(small, key=small.__getitem__)
        few.append(f"the smallest class, {printable(least)}, has {small[least]} for training")
    if not few:
        return None
    # Of a class that has enough of them, more can be used; of the others they must be found.
    there = {name: pictures.there.get(name, n) for name, n in small.items()}
    wanted = {name: FEWEST_OF_A_CLASS - n for name, n in there.items() if n < FEWEST_OF_A_CLASS}
    change = [_to_add(wanted, lacking, pictures.part)] if wanted or lacking else []
    if unused := [name for name in small if name not in wanted]:
        change.append(
            f"train on more of the pictures that there are (--proxy-images): of "
            f"{printable(unused[0])} {small[unused[0]]} of {there[unused[0]]} were used"
        )
    return Caution(FEW, f"Very few pictures: {', and '.join(few)}.", "; ".join(change))


def _to_add(wanted: Mapping[str, int], lacking: int, part: str) -> str:
    """How many pictures, of which class and what for."""
    most = sorted(wanted, key=lambda name: -wanted[name])
    named = [f"{wanted[name]} of {printable(name)}" for name in most[:_NAMED]]
    if rest := len(most) - len(named):
        named.append(f"some of {rest} further class{'es' if rest > 1 else ''}")
    add = [f"{', '.join(named)} to train on"] if named else []
    if lacking:
        add.append(f"{lacking} of any class for {part}")
    share = "a fifth" if part == "validation" else "a tenth"
    cut = f"; unless {part} pictures have a folder of their own, {share} of all become such"
    return f"add at least {', and '.join(add)}{cut if lacking else ''}"


def _of_skipped(skipped: Sequence[Sequence[str]]) -> Caution | None:
    if not skipped:
        return None
    path, reason = map(printable, skipped[0])
    count = f"{len(skipped)} pictures" if len(skipped) > 1 else "1 picture"
    return Caution(
        SKIPPED,
        f"{count} could not be read and had no part in this; the first: {path} ({reason}).",
        "repair or remove the pictures that cannot be read",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
