"""Which folders are the parts of a split, and which the classes; what is not plain is refused.

A part that is taken for a class, or a class for a part, trains without complaint and means nothing.
So nothing is guessed: where names leave it open, the error says what to give instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from training.pictures.listing import Listing
from training.pictures.names import class_name, few, natural_key, subset
from training.pictures.splits import Subset

_FEWEST = 3  # pictures of a class that is divided: one each to train, validate and test
_OPTIONS = {Subset.TRAIN: "--train", Subset.VALIDATION: "--validation", Subset.TEST: "--test"}


class Parts(NamedTuple):
    """Folders of a split that is given part by part; each holds one folder of pictures per class.

    They say what is meant where names do not: the folders in them are classes, whatever they are
    called. What is None is cut from `train`.
    """

    train: str
    validation: str | None = None
    test: str | None = None


class Layout(NamedTuple):
    """Where the pictures of each class lie.

    classes: their names, in natural order.
    folders: of each part, that of training first, the folders of each class, as full paths: one,
        or more where a name is spelled in several ways.
    places: of each part, the folder that holds these.
    unlabelled: how many pictures lie beside the class folders, and so have no class.
    """

    classes: tuple[str, ...]
    folders: Mapping[Subset, Mapping[str, list[str]]]
    places: Mapping[Subset, str]
    unlabelled: int


def recognised(listing: Listing) -> Layout:
    """The layout of the listing's root: class folders, or parts of a split that hold them.

    Raises ValueError with the remedy where it can be read in more than one way, or in none.
    """
    root = listing.root
    found = _split(listing)
    places = {part: _unwrapped(listing, where, part) for part, where in found.items()}
    train = places.get(Subset.TRAIN, root)
    _check_count(listing, train)
    _check_above(listing, train, places)
    _check_names(listing, train, places)
    _check_siblings(listing, train, places)
    return _layout(listing, places or {Subset.TRAIN: root}, {root, *found.values()})


def given(listing: Listing, parts: Mapping[Subset, str]) -> Layout:
    """The layout of parts that the caller has named, each by the full path of its folder.

    Raises ValueError where one cannot be what it is said to be.
    """
    places = {part: _unwrapped(listing, where, part) for part, where in parts.items()}
    train = places[Subset.TRAIN]
    _check_count(listing, train)
    if all(subset(name) is not None for name in listing.folders(train)):
        raise ValueError(
            f"{train!r} holds {few(listing.folders(train))}, which are no classes but parts of a"
            " split: give each of them"
        )
    return _layout(listing, places, set(parts.values()))


def _split(listing: Listing) -> dict[Subset, str]:
    """The folder of each part in the root; none where that holds classes."""
    root, names = listing.root, listing.folders(listing.root)
    known = {name: part for name in names if (part := subset(name)) is not None}
    # A class may well be called "train": it is the training part only where it holds folders.
    if not any(
        part == Subset.TRAIN and listing.folders(os.path.join(root, name))
        for name, part in known.items()
    ):
        if known and len(known) == len(names):
            raise ValueError(
                f"{root!r} holds {few(names)}, but no 'train' with one folder per class"
            )
        return {}
    found: dict[Subset, str] = {}
    for name, part in known.items():
        if part in found:
            raise ValueError(
                f"{found[part]!r} and {name!r} are the same part: rename or remove one of them, or"
                f" {_remedy({})}"
            )
        found[part] = os.path.join(root, name)
    strange = [name for name in names if name not in known]
    if strange := [name for name in strange if listing.has_pictures(os.path.join(root, name))]:
        raise _mixture(root, known, strange, found)
    return found


def _unwrapped(listing: Listing, path: str, part: Subset) -> str:
    """Below a part's folder, the one of its own name that some archives put around the classes."""
    while len(names := listing.folders(path)) == 1 and subset(names[0]) == part:
        path = os.path.join(path, names[0])
    return path


def _check_count(listing: Listing, where: str) -> None:
    names = listing.folders(where)
    filled = [name for name in names if listing.has_pictures(os.path.join(where, name))]
    if len(set(map(class_name, names))) >= 2 and len(filled) != 1:
        return
    only = (filled or names or [""])[0]
    if len(filled) == 1 and (deeper := _deeper(listing, os.path.join(where, only))):
        raise ValueError(
            f"all pictures in {where!r} are in {only!r}: give {deeper!r}, if that"
            " holds the class folders or the parts of a split"
        )
    what = f"only one class folder, {only!r}," if only else "no class folders"
    raise ValueError(f"{what} in {where!r}: there must be one per class, and at least two")


def _check_above(listing: Listing, where: str, places: Mapping[Subset, str]) -> None:
    """No folder that is a data set of its own lies beside one with too few pictures for a class."""
    sets: list[str] = []
    odd: list[str] = []
    for name in listing.folders(where):
        path = os.path.join(where, name)
        if (found := _data_set(listing, path)) is not None:
            sets.append(found)
        elif len(list(islice(listing.below(path), _FEWEST))) < _FEWEST:
            odd.append(name)
    if sets and odd:
        raise ValueError(
            f"{sets[0]!r} holds {few(listing.folders(sets[0]))}, which read as the classes or the"
            f" parts of a data set, and beside it {few(odd)} in {where!r} has too few pictures for"
            f" a class: give {sets[0]!r}; if they are the classes all the same, fill or remove"
            f" those, and {_as_classes(where, places)}"
        )


def _data_set(listing: Listing, path: str) -> str | None:
    """The folder from `path` on that holds classes, or parts with them; None where pictures lie
    on the way to it or there is none."""
    deeper = _deeper(listing, path)
    if deeper is None or listing.pictures(path):
        return None
    below = {name: os.path.join(deeper, name) for name in listing.folders(deeper)}
    parts = any(subset(name) is Subset.TRAIN and listing.folders(at) for name, at in below.items())
    filled = sum(listing.has_pictures(at) for at in below.values())
    return deeper if filled > 1 or (parts and filled) else None


def _deeper(listing: Listing, path: str) -> str | None:
    """The first folder from `path` on that holds a part for training, or several folders."""
    while names := listing.folders(path):
        if len(names) > 1 or subset(names[0]) == Subset.TRAIN:
            return path
        path = os.path.join(path, names[0])
    return None


def _check_names(listing: Listing, where: str, places: Mapping[Subset, str]) -> None:
    """Class folders are not called as parts of a split are, but for a plain "train"."""
    names = listing.folders(where)
    known = [
        name
        for name in names
        if subset(name) is not None
        and (name.casefold() != "train" or listing.folders(os.path.join(where, name)))
    ]
    if known:
        raise _mixture(where, known, [name for name in names if name not in known], places)


def _check_siblings(listing: Listing, where: str, places: Mapping[Subset, str]) -> None:
    """Class folders do not hold folders of one name: those would be the classes."""
    holders: dict[str, list[str]] = {}
    for name in listing.folders(where):
        for below in listing.folders(os.path.join(where, name)):
            if listing.has_pictures(os.path.join(where, name, below)):
                holders.setdefault(class_name(below).casefold(), []).append(name)
    shared = [below for below, names in holders.items() if len(names) > 1]
    if shared and len(holders) > 1:  # one alone, as "images" in every class, divides nothing
        raise ValueError(
            f"{few(holders[shared[0]])} in {where!r} all hold a folder {shared[0]!r}: are they"
            f" classes, or parts with the same classes? For parts, {_remedy({})}; for classes,"
            f" {_as_classes(where, places)}"
        )


def _mixture(
    where: str, known: Iterable[str], strange: list[str], places: Mapping[Subset, str]
) -> ValueError:
    known = list(known)
    beside = f", and beside them {few(strange)}" if strange else ""
    parts = {
        part: os.path.join(where, name) for name in known if (part := subset(name)) is not None
    }
    # Several names of parts are no chance, and then the folders hardly are classes.
    classes = f"; for classes, {_as_classes(where, places)}" if len(known) == 1 else ""
    return ValueError(
        f"{where!r} holds {few(known)}, named as parts of a split are{beside}: for parts,"
        f" {_remedy(parts)}{classes}"
    )


def _remedy(places: Mapping[Subset, str]) -> str:
    """What to give where names do not say which folder is which part."""
    parts = (
        f"{option} {places[part]!r}" if part in places else f"{option} DIR"
        for part, option in _OPTIONS.items()
    )
    return f"give them as {' '.join(parts)}"


def _as_classes(where: str, places: Mapping[Subset, str]) -> str:
    others = {
        part: place
        for part, place in places.items()
        if part != Subset.TRAIN and os.path.dirname(place) != where
    }
    return f"give {_options({Subset.TRAIN: where} | others)}"


def _options(places: Mapping[Subset, str]) -> str:
    return " ".join(f"{_OPTIONS[part]} {place!r}" for part, place in places.items())


def _layout(listing: Listing, places: Mapping[Subset, str], above: set[str]) -> Layout:
    folders = {part: _classes(listing, places[part]) for part in sorted(places)}
    train = folders[Subset.TRAIN]
    for part, found in folders.items():
        _check_part(listing, part, places, found, train)
    _check_apart(places)
    return Layout(
        classes=tuple(train),
        folders=folders,
        places=places,
        unlabelled=sum(len(listing.pictures(path)) for path in {*above, *places.values()}),
    )


def _classes(listing: Listing, where: str) -> dict[str, list[str]]:
    """The folders of each class in one part."""
    found: dict[str, list[str]] = {}
    for name in sorted(listing.folders(where), key=lambda name: natural_key(class_name(name))):
        found.setdefault(class_name(name), []).append(os.path.join(where, name))
    return found


def _check_part(
    listing: Listing,
    part: Subset,
    places: Mapping[Subset, str],
    found: Mapping[str, object],
    train: Mapping[str, object],
) -> None:
    where = places[part]
    if not found and (count := len(listing.pictures(where))):
        others = {other: place for other, place in places.items() if other != part}
        raise ValueError(
            f"{where!r} holds {count:,} pictures and no class folders: with no class no accuracy"
            " can be measured on them; sort them into one folder per class, or leave them out, and"
            f" a part is put aside from the training pictures instead: give {_options(others)}"
        )
    if odd := sorted(set(train).symmetric_difference(found)):
        raise ValueError(
            f"the class folders of {where!r} differ from those of the training part in"
            f" {few(odd)}: every part needs the same ones"
        )


def _check_apart(places: Mapping[Subset, str]) -> None:
    real = {part: os.path.realpath(path) for part, path in places.items()}
    for part, path in real.items():
        for other, above in real.items():
            if part != other and os.path.commonpath([path, above]) == above:
                raise ValueError(
                    f"{places[part]!r} is {places[other]!r} or lies in it: parts must be apart"
                )
