"""Any bytes as a picture, any name as a class, any number of files: read, or refused in words."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.timing.many_files import few, measure, size
from training.data import load, native_size
from training.options import facts
from training.pictures import images
from training.recipe import Recipe

MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "F")
KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
WAYS: tuple[dict[str, object], ...] = (
    {}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"compression": "tiff_deflate"},
    {"save_all": True},
)  # fmt: skip


def picture(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    if mode == "F":
        return Image.fromarray(pixels[..., 0].astype(np.float32))
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(pixels).convert(mode)


@cache
def samples() -> tuple[bytes, ...]:
    """A small picture of each mode in each format that can hold it."""
    found = []
    for mode in MODES:
        for kind in KINDS:
            for way in WAYS if kind == "TIFF" else (WAYS[0], WAYS[-1]):
                file = io.BytesIO()
                more = {"append_images": [picture(mode)]} if "save_all" in way else {}
                try:
                    picture(mode).save(file, kind, **way, **more)
                except (OSError, KeyError, ValueError):  # this format has no such mode
                    continue
                found.append(file.getvalue())
    return tuple(found)


def check(content: bytes) -> None:
    """A picture of the right shape or one clear line, whatever the name promises."""
    with tempfile.TemporaryDirectory() as folder, images._pillow_silent():
        path = os.path.join(folder, "a.gif")
        Path(path).write_bytes(content)
        assert images.shorter_side(path) >= 0
        try:
            array, side = images.decode(path, 8)
        except ValueError as error:
            assert str(error)
            assert "\n" not in str(error)
        else:
            assert array.shape == (3, 8, 8)
            assert side >= 1


def test_every_sample_is_a_picture() -> None:
    assert len(samples()) > 50
    for content in samples():
        check(content)
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            assert images.decode(file.name, 8)[1] == 20


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_picture_of_any_kind(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(samples())))
    for _ in range(data.draw(st.integers(1, 6))):
        last = len(content) if data.draw(st.booleans()) else min(len(content), 80)
        at = data.draw(st.integers(0, last))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])
        )
    check(bytes(content))


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1,
                max_size=30).filter(lambda name: not name.startswith("."))  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES | st.sampled_from(["train", "<script>", "'\"&", "nul\n", "..."]),
                min_size=1, max_size=4, unique=True))  # fmt: skip
def test_any_names_of_classes_and_files(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as below:
        root = Path(below) / "data"
        for name in names:
            (root / name).mkdir(parents=True, exist_ok=True)
            for number in range(4):
                picture("RGB").save(root / name / f"{name[:20]}{number}", "PNG")
        try:
            data = load(root, size=8, cache=Path(below) / "cache", progress=False)
        except ValueError as error:
            assert len(set(names) - {"..."}) < 2 or "train" in names
            assert str(error)
            return
        assert set(data.classes) == set(names) - {"..."}
        assert facts(str(root), data, Recipe())["data"]["classes"] == list(data.classes)


def test_a_file_without_content_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below /proc and /sys such files can keep their reader waiting for ever."""
    opened: list[str] = []
    look = images.shorter_side
    monkeypatch.setattr(images, "shorter_side", lambda path: opened.append(path) or look(path))
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kmsg").touch()
        for number in range(4):
            picture("RGB").save(tmp_path / name / f"{number}.png")
    assert native_size(tmp_path) == 20
    assert len(opened) == 8
    assert not [path for path in opened if path.endswith("kmsg")]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")
def test_two_hundred_thousand_files(tmp_path: Path) -> None:
    """Names of a few pictures; what Python and torch themselves take is about half of the limit."""
    root = tmp_path / "data"
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
        first = root / str(label) / "0.png"
        picture("RGB").save(first)
        for number in range(1, 20_000):
            os.link(first, root / str(label) / f"{number}.png")
    found, _, peak = measure(size, root, tmp_path / "cache")
    assert found == 20
    assert peak < 1 << 30
    found, _, peak = measure(few, root, tmp_path / "cache")
    assert found == 2_000 + 10_000 + 10_000
    assert peak < 1 << 30
