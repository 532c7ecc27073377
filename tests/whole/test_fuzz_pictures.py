"""Any bytes as a picture, any name as a class, any number of files: read, or refused in words."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.timing.many_files import few, measure, paint, size
from tests.support.pictures import check_decoding, colour_png, colour_tiff, noise
from training.data import Parts, load, native_size
from training.evaluator import ByValue, Evaluator
from training.options import facts
from training.pictures import images
from training.pictures.names import class_name, subset
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
    deep = np.random.default_rng(0).integers(0, 4096, (24, 20, 4), np.uint16)
    found += [colour_png(deep), colour_png(deep[..., :3])]
    found += [colour_tiff(deep[..., :3], order, way) for order in "<>" for way in ("", "deflated")]
    return tuple(found)


def test_every_sample_is_a_picture() -> None:
    assert len(samples()) > 50
    for content in samples():
        check_decoding(content, "a.gif")
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
    check_decoding(bytes(content), "a.gif")


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
                noise().save(root / name / f"{name[:20]}{number}", "PNG")
        expected = {class_name(name) for name in names} - {"..."}
        try:
            data = load(root, size=8, cache=Path(below) / "cache", progress=False)
        except ValueError as error:
            assert len(expected) < 2
            assert str(error)
            return
        assert set(data.classes) == expected
        assert data.summary().isprintable()
        assert facts(str(root), data, Evaluator(ByValue(data), Recipe()))["data"][
            "classes"
        ] == list(data.classes)


SHELF = ("train", "Training", "test_set", "Val", "dev", "cat", "dog", "caf\u00e9", "cafe\u0301",
         "10", "9", "images", "@eaDir", "__MACOSX", ".hidden")  # fmt: skip
BRANCH = st.lists(st.sampled_from(SHELF), min_size=1, max_size=3).map(tuple)
TOPS = st.sampled_from([("",), ("train",), ("train", "test_set"), ("train", "dev"), ("9", "10"),
                        ("Training/train", "Val", "test_set"), ("Val", "test_set")])  # fmt: skip
CLASSES = st.lists(st.sampled_from(SHELF[5:11]), min_size=2, max_size=4, unique=True)


@settings(max_examples=150, deadline=None)
@given(TOPS, CLASSES, st.dictionaries(BRANCH, st.integers(0, 5), max_size=3), st.randoms())
def test_folders_of_any_shape(
    tops: tuple[str, ...], classes: list[str], more: dict[tuple[str, ...], int], random: Random
) -> None:
    """Parts never become classes, and every picture is used, or counted, or all are refused."""
    shelves = {(*top.split("/"), name) if top else (name,): 6 for top in tops for name in classes}
    for branch, count in more.items():
        shelves.setdefault(branch, count)
    with tempfile.TemporaryDirectory() as below:
        root, cache, seen = Path(below) / "data", Path(below) / "cache", 0
        for branch, count in shelves.items():
            folder = root.joinpath(*branch)
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                _few()[random.randrange(40)].save(folder / f"{number}.png")
            if not set(branch) & {"@eaDir", "__MACOSX", ".hidden"}:
                seen += count
        try:
            data = load(root, cache=cache, progress=False)
        except ValueError as error:
            _check_refusal(str(error), cache)
            return
        assert all(subset(name) is None or name == "train" for name in data.classes)
        assert len(data.classes) >= 2
        used = [len(split) for split in data.splits().values()]
        assert sum(used) + data.findings.copies.left_out + data.findings.unlabelled == seen
        assert load(root, cache=cache, progress=False).digest == data.digest


@cache
def _few() -> list[Image.Image]:
    return [noise(6) for _ in range(40)]


def _check_refusal(message: str, cache: Path) -> None:
    """One line; what it says to give is taken, or refused in turn with one line."""
    assert message
    assert "\n" not in message
    for remedy in message.split("give ")[1:]:
        parts = dict(re.findall(r"--(train|validation|test) '([^']*)'", remedy))
        if "train" in parts:
            try:
                load(Parts(**parts), cache=cache, progress=False)
            except ValueError as error:
                assert "\n" not in str(error)


def test_a_file_without_content_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below /proc and /sys such files can keep their reader waiting for ever."""
    opened: list[str] = []
    look = images.header
    monkeypatch.setattr(images, "header", lambda path: opened.append(path) or look(path))
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
    """What Python and torch themselves take is about half of the limit."""
    root = tmp_path / "data"
    paint(root, 200_000)
    found, _, peak = measure(size, root, tmp_path / "cache")
    assert found == 16
    assert peak < 1 << 30
    found, _, peak = measure(few, root, tmp_path / "cache")
    assert found == 2_000 + 10_000 + 10_000
    assert peak < 1 << 30
