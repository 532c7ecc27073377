"""Folders of small pictures, no two of them equal."""

from __future__ import annotations

import itertools
import struct
import tempfile
import zlib
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


def colour_png(values: np.ndarray) -> bytes:
    """16-bit colour (H, W, 3), or (H, W, 4) with opacity, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width, channels = values.shape
    kind = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines))
            + chunk(b"IEND", b""))  # fmt: skip


def colour_tiff(values: np.ndarray, order: str, deflated: str = "") -> bytes:
    """16-bit colour (H, W, 3) in one strip; order is "<" or ">"."""
    height, width, _ = values.shape
    data = values.astype(f"{order}u2").tobytes()
    if deflated:
        data = zlib.compress(data)
        data += b"\0" * (len(data) % 2)
    way = 8 if deflated else 1
    tags = [(256, 4, width), (257, 4, height), (259, 4, way), (262, 4, 2), (273, 4, 8), (277, 4, 3),
            (278, 4, height), (279, 4, len(data))]  # fmt: skip
    after = 8 + len(data) + 2 + 12 * (len(tags) + 1) + 4
    entries = [struct.pack(f"{order}HHII", tag, kind, 1, value) for tag, kind, value in tags]
    entries.insert(2, struct.pack(f"{order}HHII", 258, 3, 3, after))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data))
    return (head + data + struct.pack(f"{order}H", len(entries)) + b"".join(entries)
            + struct.pack(f"{order}I3H", 0, 16, 16, 16))  # fmt: skip
