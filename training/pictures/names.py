"""What the names of folders mean: which are parts of a split, and how classes are put in order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from training.pictures.splits import Subset

_WORDS = {
    Subset.TRAIN: ("train", "training"),
    Subset.VALIDATION: ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
    Subset.TEST: ("test", "testing"),
}
# "seg" is for seg_train, seg_test: a much-copied set of landscapes.
_ADDED = ("", "seg", "set", "split", "part", "data", "dataset", "image", "images", "img", "imgs")
_PARTS = {
    name: part
    for part, words in _WORDS.items()
    for word in words
    for added in _ADDED
    for name in (word + added, added + word)
}


def subset(name: str) -> Subset | None:
    """The part of a split that a folder of this name holds; None where it may be a class."""
    return _PARTS.get(re.sub(r"[-_. ]+", "", name).casefold())


def said_part(name: str) -> Subset | None:
    """The part that a word of a file's or a folder's name stands for: ``imagenet-train-0001``,
    ``val2017``; None where none does."""
    words = map(subset, re.split(r"[-_. \d]+", name))
    return next((part for part in words if part is not None), None)


def class_name(name: str) -> str:
    """The class that a folder stands for: an accent is one, however the system has stored it."""
    return unicodedata.normalize("NFC", name)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """A sorting key that puts 2 before 10, and otherwise letters without regard to case."""
    pieces = re.split("([0-9]+)", name.casefold())  # every second one is a number
    return [int(piece) if odd % 2 else piece for odd, piece in enumerate(pieces)], name


def few(names: Iterable[str]) -> str:
    """The first three as they are written in a message."""
    each = list(names)
    return ", ".join(map(repr, each[:3])) + (" ..." if len(each) > 3 else "")
