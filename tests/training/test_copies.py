"""Copies of one picture: on one side of a split only, and counted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.pictures import classes, noise, own_cache, quiet, rows, sizes
from training.data import Data
from training.pictures import copies
from training.pictures.copies import conflicts, equal, settled, twins
from training.pictures.listing import File
from training.pictures.splits import Division, divide

__all__ = ["own_cache"]


def straddling(data: Data) -> int:
    """How many different pictures are in two splits or more."""
    train, validation, test = map(rows, data.splits().values())
    return len((train & validation) | (train & test) | (validation & test))


def test_copies_of_a_file_go_together_and_none_is_lost(tmp_path: Path) -> None:
    """As when a rare class was filled up by copying its files, or all of them were."""
    classes(tmp_path, each=20)
    for name in ("cat", "dog"):
        for number in range(20):
            for copy in range(1 + 8 * (name == "dog")):
                shutil.copy(
                    tmp_path / name / f"{number}.png", tmp_path / name / f"{number}-{copy}.png"
                )
    for seed in range(5):
        data = quiet(tmp_path, seed=seed)
        assert straddling(data) == 0
        assert data.counts() == {
            "cat": {"train": 28, "validation": 8, "test": 4},
            "dog": {"train": 140, "validation": 40, "test": 20},
        }
        assert data.findings.copies == (20 + 180, 0, 0, 0, ())
    assert "; 200 copies" in data.summary()
    assert "left out" not in data.summary()


def test_equal_pixels_in_other_files_are_left_out_of_training(tmp_path: Path) -> None:
    classes(tmp_path, each=20)
    for number in range(20):
        with Image.open(tmp_path / "cat" / f"{number}.png") as image:
            image.save(tmp_path / "cat" / f"{number}.bmp")
    totals = set()
    for seed in range(5):
        data = quiet(tmp_path, seed=seed)
        found = data.findings.copies
        assert straddling(data) == 0
        assert found[:1] + found[2:] == (20, 0, 0, ())
        assert found.left_out == 60 - sum(sizes(data)) > 0
        assert len(data.test) == 4 + 2
        totals.add(found.left_out)
    assert f"; 20 copies, {found.left_out} pictures left out" in data.summary()
    assert len(totals) > 1


def test_caps_keep_what_is_held_out(tmp_path: Path) -> None:
    classes(tmp_path, each=20)
    for number in range(0, 20, 2):
        with Image.open(tmp_path / "cat" / f"{number}.png") as image:
            image.save(tmp_path / "cat" / f"{number}.bmp")
        shutil.copy(tmp_path / "dog" / f"{number}.png", tmp_path / "dog" / f"{number}-copy.png")
    small, large, whole = (quiet(tmp_path, images=count) for count in (12, 24, None))
    assert rows(small.train) <= rows(large.train) <= rows(whole.train)
    assert rows(small.validation) == rows(large.validation) == rows(whole.validation)
    assert rows(small.test) == rows(large.test) == rows(whole.test)
    assert straddling(whole) == 0


def test_two_labels_for_one_picture(tmp_path: Path) -> None:
    classes(tmp_path, ("cat", "dog", "hen"), each=20)
    for number in (3, 4):
        shutil.copy(tmp_path / "cat" / f"{number}.png", tmp_path / "hen" / f"z{number}.png")
    shutil.copy(tmp_path / "cat" / "3.png", tmp_path / "dog" / "z.png")
    data = quiet(tmp_path)
    found = data.findings.copies
    assert (found.total, found.conflicts) == (3, 2)
    assert found.example == (os.path.join("cat", "3.png"), os.path.join("dog", "z.png"))
    assert "2 in two classes at once ('cat/3.png', 'dog/z.png')" in data.summary()
    assert straddling(data) == 0


def test_a_given_split_is_not_touched_but_told(tmp_path: Path) -> None:
    for name, each in (("train", 20), ("val", 5), ("test", 5)):
        classes(tmp_path / name, each=each)
    for number in range(3):
        shutil.copy(
            tmp_path / "train/cat" / f"{number}.png", tmp_path / "test/cat" / f"z{number}.png"
        )
    shutil.copy(tmp_path / "test/dog/1.png", tmp_path / "val/dog/z.png")
    data = quiet(tmp_path)
    assert sizes(data) == [40, 11, 13]
    assert data.findings.copies == (4, 0, 4, 0, ())
    assert "4 copies; 4 of the given" in data.summary()
    shutil.rmtree(tmp_path / "val")
    data = quiet(tmp_path)
    assert sizes(data) == [32, 8, 13]
    assert data.findings.copies == (3, 0, 3, 0, ())


def test_a_class_of_copies_cannot_be_divided(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "hen").mkdir()
    for number in range(8):
        shutil.copy(tmp_path / "cat" / "0.png", tmp_path / "hen" / f"{number}.png")
    with pytest.raises(ValueError, match=r"class 'hen' has 1 training picture\(s\), copies not"):
        quiet(tmp_path)


def test_a_class_whose_pictures_are_all_held_out(tmp_path: Path) -> None:
    """Files that differ, of pixels that do not: one of them is for testing."""
    classes(tmp_path)
    (tmp_path / "hen").mkdir()
    with noise() as picture:
        for suffix in ("bmp", "tiff", "ppm", "png"):
            picture.save(tmp_path / "hen" / f"a.{suffix}")
    with pytest.raises(ValueError, match="class 'hen' has no readable training picture, or only"):
        quiet(tmp_path)


# ---------------------------------------------------------------- twins


def test_twins_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [b"a" * 9000, b"b" * 9000, b"c" + b"b" * 8999, b"b" * 9000, b"b" * 8000, b"", b""]
    files = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
        files.append(File(str(number), len(content), 0))
    files.append(File("gone", 9000, 0))
    labels = np.zeros(len(files), np.int64)
    read: list[str] = []
    whole = copies._all
    monkeypatch.setattr(copies, "_all", lambda path: read.append(path[-1]) or whole(path))
    found = twins(str(tmp_path), files, labels, np.arange(len(files)))
    assert found.tolist() == [0, 1, 2, 1, 4, 5, 6, 7]
    assert sorted(read) == ["1", "2", "3"]
    labels[3] = 1
    assert twins(str(tmp_path), files, labels, np.arange(8)).tolist() == list(range(8))


counts = st.lists(st.integers(1, 6), min_size=8, max_size=30)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(counts, min_size=2, max_size=4), st.integers(0, 99), st.floats(0.1, 0.4))
def test_divided_as_if_they_were_one(sets: list[list[int]], seed: int, validation: float) -> None:
    """``sets``: of each class, how many copies there are of each of its pictures."""
    each = np.array([count for copies in sets for count in copies])
    label = np.repeat(np.arange(len(sets)), [len(copies) for copies in sets])
    first = np.repeat(np.cumsum(each) - each, each)
    labels = np.repeat(label, each)
    names = [str(number) for number in range(len(sets))]
    division = divide(labels, np.zeros_like(labels), names, validation=validation, test=0.1,
                      images=None, seed=seed, twins=first)  # fmt: skip
    assert sorted(np.concatenate(division).tolist()) == list(range(len(labels)))
    parts = [set(first[part].tolist()) for part in division]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(each)
    for number, copies_of in enumerate(sets):
        held = {one for one in parts[1] if labels[one] == number}
        assert abs(len(held) - validation * len(copies_of)) <= 1
        assert held


# ---------------------------------------------------------------- equal pixels


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 3), max_size=12), st.data())
def test_equal_is_the_first_of_the_same(which: list[int], data: st.DataObject) -> None:
    base = np.random.default_rng(0).integers(0, 256, (4, 3, 9, 9), np.uint8)
    base[1] = base[0]
    base[1, 2, 8, 8] ^= 1  # as far from what is looked at first as can be
    readable = np.array(data.draw(st.lists(st.booleans(), min_size=len(which),
                                           max_size=len(which))), bool)  # fmt: skip
    found = equal(base[which], readable)
    for row, (one, seen) in enumerate(zip(which, readable, strict=True)):
        same = [other for other, two in enumerate(which) if two == one and readable[other]]
        assert found[row] == (same[0] if seen else row)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=40),
       st.tuples(st.booleans(), st.booleans()))  # fmt: skip
def test_settled(places: list[tuple[int, int]], own: tuple[bool, bool]) -> None:
    kinds, parts = (np.array(column) for column in zip(*places, strict=True))
    first = np.array([kinds.tolist().index(kind) for kind in kinds])
    division = Division(*(np.flatnonzero(parts == part) for part in range(3)))
    found, left_out, leaked = settled(division, first, own)
    assert left_out == len(places) - sum(map(len, found))
    kept = [set(first[part].tolist()) for part in found]
    was = [set(first[part].tolist()) for part in division]
    for part, is_own in zip((1, 2), own, strict=True):
        if is_own:
            assert np.array_equal(found[part], division[part])
        else:
            assert not kept[0] & kept[part]
    if not any(own):
        assert not kept[1] & kept[2]
        assert leaked == 0
        assert set.union(*kept) == set.union(*was)
    if all(own):
        assert np.array_equal(found.train, division.train)
        assert (leaked > 0) == bool((was[0] & was[1]) | (was[0] & was[2]) | (was[1] & was[2]))


def test_conflicts() -> None:
    first = np.array([0, 1, 0, 1, 4, 0])
    assert conflicts(first, np.array([0, 1, 0, 1, 1, 0])) == (0, ())
    assert conflicts(first, np.array([0, 1, 0, 0, 1, 1])) == (2, (1, 3))


def test_no_picture_is_like_another() -> None:
    assert equal(np.zeros((0, 3, 4, 4), np.uint8), np.zeros(0, bool)).tolist() == []
    assert np.asarray(noise()).tobytes() != np.asarray(noise()).tobytes()
