"""Folders of small pictures, no two of them equal."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import Data, Parts, Split, load
from training.pictures import images

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test finds what another has decoded; imported, it is used by all tests of a file."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EVENSCALE_CACHE", str(folder))
    return folder


def noise(side: int = 12) -> Image.Image:
    """A picture that is like no other."""
    rng = np.random.default_rng(next(_numbers))
    return Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))


def fill(folder: Path, count: int = 5) -> Path:
    """``count`` more pictures in ``folder``, numbered from 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise().save(folder / f"{number}.png")
    return folder


def classes(folder: Path, names: Iterable[str] = ("cat", "dog"), each: int = 5) -> Path:
    """A folder with one folder of pictures per class."""
    for name in names:
        fill(folder / name, each)
    return folder


def quiet(source: Path | str | Parts, **options: object) -> Data:
    """``load`` without a bar."""
    return load(source, progress=False, **options)  # type: ignore[arg-type]


def sizes(data: Data) -> list[int]:
    """Of training, validation and test."""
    return [len(split) for split in data.splits().values()]


def check_decoding(content: bytes, name: str) -> None:
    """A picture of the right shape or one clear line, whatever the name promises."""
    with tempfile.TemporaryDirectory() as folder, images.pillow_silent():
        path = Path(folder) / name
        path.write_bytes(content)
        images.header(str(path))
        try:
            array, side, _ = images.decode(str(path), 8)
        except ValueError as error:
            assert str(error)
            assert "\n" not in str(error)
        else:
            assert array.shape == (3, 8, 8)
            assert side >= 1


def rows(split: Split) -> set[bytes]:
    """Each picture's bytes: a picture's identity where all pictures differ."""
    return {image.numpy().tobytes() for image in split.images}
