"""The one line that says what is trained on, and the counts behind it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.pictures import classes, fill, own_cache, quiet
from training.data import Parts, Split, check_covers

__all__ = ["own_cache"]


def test_a_plain_folder(tmp_path: Path) -> None:
    classes(tmp_path, ("cat", "dog"), 10)
    data = quiet(tmp_path)
    assert data.summary() == (
        "20 pictures (14 train, 4 validation, 2 test), 2 classes of 10 pictures each, 12 pixels,"
        " colour"
    )
    counts = {"train": 7, "validation": 2, "test": 1}
    assert data.counts() == {"cat": counts, "dog": counts}


def test_the_digits() -> None:
    assert quiet("mnist").summary() == (
        "5,000 pictures (3,500 train, 1,000 validation, 500 test), 10 classes of 500 pictures each,"
        " 28 pixels, grey"
    )
    assert "10 classes of 174 to 183 pictures, 8 pixels, grey" in quiet("digits").summary()


def test_odd_things_follow(tmp_path: Path) -> None:
    classes(tmp_path, ("cat",), 40)
    classes(tmp_path, ("dog",), 20)
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    (tmp_path / "dog" / ".DS_Store").touch()
    fill(tmp_path / "dog" / "@eaDir")
    assert quiet(tmp_path).summary() == (
        "59 pictures (41 train, 12 validation, 6 test), 2 classes of 20 to 39 pictures, 12 pixels,"
        " colour; 1 unreadable; 2 hidden or system files and folders passed over"
    )


def test_grey_pictures_in_three_channels(tmp_path: Path) -> None:
    for path in classes(tmp_path).rglob("*.png"):
        with Image.open(path) as image:
            grey = image.convert("L")
        grey.save(path)
    assert quiet(tmp_path).summary().endswith("12 pixels, grey in 3 channels")


def test_findings_travel(tmp_path: Path) -> None:
    data = quiet(classes(tmp_path))
    assert pickle.loads(pickle.dumps(data.findings)) == data.findings
    assert data.to("meta").findings is data.findings
    parts = Parts("a", test="b")
    assert pickle.loads(pickle.dumps(parts)) == parts


labels = st.lists(st.integers(0, 5), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(labels, st.integers(1, 45) | st.none())
def test_covers(labels: list[int], count: int | None) -> None:
    split = Split(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), torch.tensor(labels))
    names = tuple(f"class {number}" for number in range(1 + max(labels)))
    if set(range(len(names))) <= set(labels[:count]):
        check_covers(split, count, names)
        return
    with pytest.raises(ValueError) as raised:
        check_covers(split, count, names)
    message = str(raised.value)
    if "give at least " in message and set(range(len(names))) <= set(labels):
        need = int(message.rpartition(" ")[2])
        check_covers(split, need, names)
        with pytest.raises(ValueError):
            check_covers(split, need - 1, names)
    else:
        assert set(labels) < set(range(len(names)))


def test_fewer_pictures_than_classes() -> None:
    data = quiet("mnist")
    check_covers(data.train, 10, data.classes)
    with pytest.raises(ValueError, match=r"7 pictures leave out 3 of 10 classes, .* at least 10"):
        check_covers(data.train, 7, data.classes)
