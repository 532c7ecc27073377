"""The page of a training: what the network is worth on the test split, and what it gets wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from common.units import format_size
from models.cost import cost
from models.deploy.preprocessing import WEIGHTS, read_preprocessing
from models.spec import ArchSpec
from reports.page import Page
from reports.sections.classes import percent
from reports.sections.confusion import show_confusion
from reports.sections.interval import LEVEL, span
from reports.sections.network import readable, stage_table
from reports.sections.spent import about_energy, spent
from reports.training.figure import curves
from reports.training.mistakes import about_mistakes, show_classes
from trials.caution import Pictures, cautions_of_test
from trials.record import Evaluation

BEGUN, ENDED = "training.json", "evaluation.json"
_A_CLASS = ("class_correct", "class_images", "class_training")  # a number each
_TOLD = ("plain_accuracy", "balanced_accuracy", "effective_images", "confused", "mistakes",
         "losses", "images", "steps", "micro_batch")  # fmt: skip


class Begun(NamedTuple):
    """What a training was begun with: the pictures, and what decided it; ``weights`` are those that
    it started from, None random ones."""

    name: str
    digest: str
    epochs: int
    batch: int
    seed: int
    weights: str | None
    balance: bool

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Begun:
        """From ``training.json``. Raises KeyError and TypeError for what is none."""
        data, recipe, given = facts["data"], facts["recipe"], facts["arguments"]
        balance = bool(recipe.get("balance"))  # which stands there where it is wanted
        return cls(data["name"], data["digest"], recipe["epochs"], recipe["batch"], given["seed"],
                   facts.get("weights", "not told"), balance)  # fmt: skip


class Trained(NamedTuple):
    """What a training's directory tells: the network, the classes, and what it came to."""

    spec: ArchSpec
    classes: tuple[str, ...]
    begun: Begun
    found: Evaluation

    @property
    def chance(self) -> float:
        """The accuracy of whoever always names one class, in [0, 1]."""
        return Pictures.of_test(self.found, self.begun.balance).chance

    @property
    def images(self) -> int:
        """Test pictures; of a balanced accuracy as many as would tell a plain one as well."""
        return int(self.found.details["effective_images"])


def is_training(directory: Path) -> bool:
    """Whether that is a directory of ``python -m training``."""
    return (directory / BEGUN).is_file()


def read(directory: Path) -> Trained:
    """Raises ValueError where the training is not done, or its files are damaged."""
    if not (directory / WEIGHTS).is_file():
        raise ValueError(
            f"the training in {directory} is not done: python -m training --resume goes on with it"
        )
    classes = read_preprocessing(directory).classes
    try:
        begun, facts = (
            json.loads((directory / name).read_text("utf-8")) for name in (BEGUN, ENDED)
        )
        spec = ArchSpec.from_json((directory / "spec.json").read_text("utf-8"))
        found = Evaluation.from_dict(facts)
        counts = {len(found.details[name]) for name in _A_CLASS}
        if counts != {len(classes)} or not all(name in found.details for name in _TOLD):
            raise ValueError("something that a page needs is not told")
        return Trained(spec, classes, Begun.of(begun), found)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the files in {directory} are of an earlier version, or damaged ({error!r:.200}): "
            "train again"
        ) from error


def report(directory: Path, onward: Mapping[str, str] | None = None) -> Path:
    """Write curves.png and report.html into a training's ``directory``, from its files alone.

    ``onward`` has the commands to go on with, by what they are for.

    Raises ValueError as ``read`` does.
    """
    trained = read(directory)
    begun, chance = trained.begun, trained.chance
    curves(directory / "curves.png", trained.found, chance, trained.images, begun.balance)
    page = Page(f"Training: {trained.spec.name} on {begun.name}")
    for one in cautions_of_test(trained.found, begun.balance):
        page.caution(one)
    _answer(page, trained)
    page.figure(directory / "curves.png", _caption(trained))
    show_classes(page, trained.classes, trained.found)
    show_confusion(page, trained.classes, trained.found.details)
    about_mistakes(page, trained.classes, trained.found, directory / "mistakes")
    page.heading("The network")
    page.table(
        ["operator", "input", "channels", "layers", "FLOPs", "parameters"],
        readable(stage_table(trained.spec)),
    )
    _circumstances(page, trained)
    about_energy(page, directory)
    if onward:
        page.onward(onward)
    page.write(directory / "report.html")
    return directory / "report.html"


def _answer(page: Page, trained: Trained) -> None:
    found, details = trained.found, trained.found.details
    count, prices = sum(details["class_images"]), cost(trained.spec)
    plain, balanced = details["plain_accuracy"], details["balanced_accuracy"]
    page.lead(
        f"{trained.spec.name} names {percent(plain)} of {count} test pictures correctly "
        f"({100 * LEVEL:.0f} % interval {span(plain, count)}), at {format_size(prices.macs)} FLOPs "
        f"and {format_size(prices.params)} parameters."
    )
    always, told = "always the commonest class", ""
    if trained.begun.balance:
        always, told = "any one class always", f" (interval about {span(balanced, trained.images)})"
    page.text(
        f"The mean of the classes' own accuracies, the balanced one, is {percent(balanced)}{told}. "
        f"Chance is {percent(trained.chance)}: {always}. {_spread(trained.classes, found)}"
    )
    page.note(
        "The interval (Wilson's) is of the pictures alone: how far as many others of the same kind "
        "might have told another accuracy. Another seed would train another network, which may "
        "differ by more. Nothing was chosen by the test pictures; whoever chooses by this page "
        "needs others to judge by."
    )


def _spread(classes: tuple[str, ...], found: Evaluation) -> str:
    """How far the classes lie apart."""
    counts = zip(found.details["class_correct"], found.details["class_images"], strict=True)
    shares = {name: right / of for name, (right, of) in zip(classes, counts, strict=True) if of}
    worst, best = (pick(shares, key=shares.__getitem__) for pick in (min, max))
    return (
        f"By class it reaches from {percent(shares[worst])} ({worst}) to {percent(shares[best])} "
        f"({best}), median {percent(median(shares.values()))}."
    )


def _caption(trained: Trained) -> str:
    few = trained.found.details.get("curve_images")
    way = f"the accuracy on {few} validation pictures on the way" if few else None
    kind = "balanced accuracy" if trained.begun.balance else "accuracy"
    return (
        "The mean loss of each epoch, of training pictures as they were varied"
        + (f"; {way}" if way else "")
        + f". The star is the end, on the test split, its {kind} with the "
        f"{100 * LEVEL:.0f} % interval; the dotted line is chance."
    )


def _circumstances(page: Page, trained: Trained) -> None:
    begun, details = trained.begun, trained.found.details
    page.heading("What it cost")
    page.text(
        f"{spent([trained.found])}: {begun.epochs} epochs of {details['images']} pictures at "
        f"{trained.spec.resolution} pixels, {details['steps']} steps in batches of {begun.batch}, "
        f"{details['micro_batch']} at once. Recipe {trained.found.recipe}, seed {begun.seed}; "
        f"weights to start from: {begun.weights or 'random'}."
    )
    page.text(
        f"Pictures: {begun.name} ({begun.digest}), {len(trained.classes)} classes, "
        f"{sum(details['class_training'])} for training and {sum(details['class_images'])} for "
        "test."
    )
    if skipped := details.get("skipped"):
        page.heading("Pictures that could not be read")
        page.table(["file", "reason"], skipped)
