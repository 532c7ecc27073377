"""A divided data set: pictures as tensors, and what is known of where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from training.pictures.findings import Findings
from training.pictures.scan import Files, Seen

COLOURED = 64  # pictures that are looked at for colour


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled pictures: images uint8 (N, C, size, size), contiguous; labels int64 (N,).

    What `load` makes is in a random order whose every beginning is stratified, so `images[:n]` is a
    fair small sample.

    files: where the pictures stream from, one by one; `images` is then on torch's meta device: it
        has a shape and no pixels. None: they are in memory.
    """

    images: torch.Tensor
    labels: torch.Tensor
    files: Files | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same pictures on `device`; of those that stream the labels."""
        images = self.images if self.files is not None else self.images.to(device)
        return Split(images, self.labels.to(device), self.files)


def first(split: Split, count: int | None) -> Split:
    """The first ``count`` images, a stratified sample as ``load`` orders them; None: all."""
    return part(split, slice(count))


def part(split: Split, places: slice) -> Split:
    """The images in these places."""
    files = None if split.files is None else split.files.part(places)
    return Split(split.images[places], split.labels[places], files)


@dataclass(frozen=True, eq=False)
class Data:
    """A data set divided for training.

    name: the built-in's name, or the folder's.
    train, validation: never empty, and every class is in train.
    test: empty (length 0, never None) where the source has none and `test=0` asked for none.
    classes: names; a label is an index into them.
    channels: 1 (mnist, digits) or 3 (everything else, folders of grey pictures included).
    size: pixels a side of the stored pictures.
    native_size: median shorter side of the originals, in pixels.
    skipped: (path, reason) of every picture that could not be read; paths are below the folder.
    enlarged: the fraction of pictures whose original was smaller than `size`.
    digest: 16 hexadecimal digits that depend on every pixel, label and class name of each split.
    flip: whether a mirrored picture keeps its label. Folders are taken to be natural pictures:
        where mirroring harms, as in pictures of text, use dataclasses.replace(data, flip=False).
    findings: what was odd about the pictures and where they lie.
    seen: what the training pictures would tell, where they stream from disk; None: they tell it.
    test_names: how to speak of each test picture: its path below the folder, or its number in the
        source; empty where nothing tells.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    channels: int
    size: int
    native_size: int
    skipped: tuple[tuple[str, str], ...]
    enlarged: float
    digest: str
    flip: bool
    findings: Findings = field(default_factory=Findings)
    seen: Seen | None = None
    test_names: tuple[str, ...] = ()

    @property
    def streams(self) -> bool:
        """Whether the training pictures stream from disk."""
        return self.train.files is not None

    @property
    def bytes(self) -> int:
        """What the pixels of all splits take, or would take, in memory."""
        return sum(split.images.numel() for split in self.splits().values())

    @property
    def in_colour(self) -> bool:
        """Whether the first pictures have any colour."""
        if self.seen is not None:
            return self.seen.coloured
        some = self.train.images[:COLOURED]
        return bool((some != some[:, :1]).any())

    def counts(self) -> dict[str, dict[str, int]]:
        """How many pictures of each class there are in each split, by their names."""
        found = {
            name: torch.bincount(split.labels, minlength=len(self.classes)).tolist()
            for name, split in self.splits().items()
        }
        return {
            name: {split: each[label] for split, each in found.items()}
            for label, name in enumerate(self.classes)
        }

    def splits(self) -> dict[str, Split]:
        """The three splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def summary(self) -> str:
        """What is trained on, in one line: pictures, classes, size, colour, and what was odd."""
        sizes = {name: len(split) for name, split in self.splits().items()}
        split = ", ".join(f"{size:,} {name}" for name, size in sizes.items())
        each = [sum(counts.values()) for counts in self.counts().values()]
        least, most = min(each), max(each)
        spread = f"{least:,} to {most:,} pictures" if least < most else f"{least:,} pictures each"
        line = (
            f"{sum(each):,} pictures ({split}), {len(each):,} classes of {spread},"
            f" {self.size} pixels, {self._colour()}"
        )
        unreadable = [f"{len(self.skipped):,} unreadable"] if self.skipped else []
        return "; ".join([line, *unreadable, *self.findings.remarks()])

    def _colour(self) -> str:
        if self.seen is not None:
            coloured = self.seen.coloured
        else:
            few = self.train.images[:1000]
            coloured = self.channels == 3 and not bool((few == few[:, :1]).all())
        if coloured:
            return "colour"
        return "grey" if self.channels == 1 else "grey in 3 channels"

    @property
    def mean(self) -> torch.Tensor:
        """Mean of each channel over `train`, float32 (C,) on its device, of pixels in 0..1."""
        return self._moments[0]

    @property
    def std(self) -> torch.Tensor:
        """Standard deviation, as `mean`; at least one grey level, so one may divide by it."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.seen is not None:
            device = self.train.labels.device
            return self.seen.mean.to(device), self.seen.std.to(device)
        return _moments(self.train.images)

    def to(self, device: torch.device | str) -> Data:
        """The same data with every split on `device`; itself where it is there already."""
        if self.train.labels.device == torch.device(device):
            return self
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )


def check_covers(split: Split, count: int | None, classes: Sequence[str]) -> None:
    """Raise ValueError where the first `count` pictures of `split` leave a class out; None is all.

    The message says how many pictures it takes.
    """
    labels = split.labels[:count].tolist()
    missing = sorted(set(range(len(classes))) - set(labels))
    if not missing:
        return
    every = split.labels.tolist()
    need = max((every.index(label) + 1 if label in every else 0) for label in missing)
    remedy = f"give at least {need:,}" if need > len(labels) else "add pictures of it"
    raise ValueError(
        f"{len(labels):,} pictures leave out {len(missing):,} of {len(classes):,} classes,"
        f" {classes[missing[0]]!r} among them: {remedy}"
    )


def _moments(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (C,) of pixels in 0..1.

    The sums are of whole numbers below 2**53, hence exact, and the same on every device.
    """
    channels, pixels = images.shape[1], images[:, 0].numel()
    total = torch.zeros(channels, dtype=torch.float64, device=images.device)
    squares = torch.zeros_like(total)
    few = max(1, 2**18 // images[0].numel())  # as many as stay in a processor's cache
    for some in torch.split(images, few):
        values = some.double()
        total += values.sum((0, 2, 3))
        squares += values.square_().sum((0, 2, 3))
    mean = total / pixels
    std = (squares / pixels - mean.square()).clamp(min=1).sqrt()
    return (mean / 255).float(), (std / 255).float()
