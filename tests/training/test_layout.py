"""Which folders are parts and which are classes: recognised, or refused with what to give."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pictures import classes, fill, noise, own_cache, quiet, rows, sizes
from training.data import Parts, chosen_source, load, native_size
from training.pictures import listing, names
from training.pictures.names import natural_key, subset
from training.pictures.splits import Subset

__all__ = ["own_cache"]


def refused(folder: Path | Parts, *words: str) -> str:
    """The error's one line, which holds each of ``words``."""
    with pytest.raises(ValueError) as raised:
        quiet(folder)
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def remedied(message: str) -> Parts:
    """The folders that a message's last remedy names."""
    last = message.rpartition("give ")[2]
    found = dict(re.findall(r"--(train|validation|test) '([^']*)'", last))
    return Parts(**found)


# ---------------------------------------------------------------- parts by their names


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("training_set", "validation-set", "Test Set"),
        ("seg_train", "seg_val", "seg_test"),
        ("trainset", "devset", "testset"),
        ("TRAIN", "dev", "TEST"),
        ("train_images", "eval", "images-test"),
        ("training data", "valid", "testing data"),
    ],
)
def test_usual_names(tmp_path: Path, train: str, validation: str, test: str) -> None:
    for name, each in ((train, 4), (validation, 3), (test, 2)):
        classes(tmp_path / name, each=each)
    data = quiet(tmp_path)
    assert sizes(data) == [8, 6, 4]
    assert data.classes == ("cat", "dog")


@pytest.mark.parametrize("name", ["dev", "eval", "validation_set"])
def test_a_validation_part_of_any_name_is_used_whole(tmp_path: Path, name: str) -> None:
    classes(tmp_path / "train", each=10)
    held = classes(tmp_path / name, each=3)
    all_of_it = set.union(*map(rows, quiet(held).splits().values()))
    assert rows(quiet(tmp_path).validation) == all_of_it


def test_words_of_a_part_alone_are_parts() -> None:
    assert [subset(name) for name in ("Train", "val", "TEST set")] == list(Subset)
    for name in ("bus", "trainer", "testament", "detest", "value", "valley", "set", "images",
                 "", "t-rain-2", "devil", "evaluate"):  # fmt: skip
        assert subset(name) is None


def test_a_part_may_hold_one_folder_of_its_own_name(tmp_path: Path) -> None:
    for name, each in (("seg_train", 5), ("seg_test", 2)):
        classes(tmp_path / name / name, each=each)
    assert sizes(quiet(tmp_path)) == [8, 2, 4]
    fill(tmp_path / "seg_pred" / "seg_pred")
    message = refused(tmp_path, "'seg_pred'")
    assert "for classes" not in message
    found = remedied(message)
    assert found == Parts(str(tmp_path / "seg_train"), test=str(tmp_path / "seg_test"))
    assert sizes(quiet(found)) == [8, 2, 4]


def test_folders_without_pictures_beside_parts_are_no_matter(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "all.json").write_text("{}")
    assert len(quiet(tmp_path).classes) == 2


def test_two_folders_of_one_part(tmp_path: Path) -> None:
    for name in ("train", "dev", "eval"):
        classes(tmp_path / name)
    refused(tmp_path, "dev' and 'eval' are the same part", "--validation DIR --test DIR")


# ---------------------------------------------------------------- what is not plain


def test_an_unknown_folder_beside_a_part(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / "backup")
    message = refused(tmp_path, "'train'", "'backup'", "--validation DIR --test DIR")
    first = message.partition("; for classes")[0]
    assert remedied(first) == Parts(str(tmp_path / "train"))
    assert len(quiet(remedied(first)).classes) == 2


def test_a_class_train_with_folders_is_no_part(tmp_path: Path) -> None:
    classes(tmp_path, ("bus", "car"))
    classes(tmp_path / "train", ("steam", "electric"))
    found = remedied(refused(tmp_path, "'bus', 'car'"))
    assert found == Parts(str(tmp_path))
    assert quiet(found).classes == ("bus", "car", "train")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    classes(tmp_path, ("train", "plane"))
    assert quiet(tmp_path).classes == ("plane", "train")


@pytest.mark.parametrize("name", ["test", "Testing", "training_set", "valid", "dev"])
@pytest.mark.parametrize("inner", [(), ("cat", "dog")])
def test_a_part_beside_classes(tmp_path: Path, name: str, inner: tuple[str, ...]) -> None:
    classes(tmp_path, ("cat", "dog"))
    if inner:
        classes(tmp_path / name, inner)
    else:
        fill(tmp_path / name)
    found = remedied(refused(tmp_path, repr(name), "'cat', 'dog'"))
    assert quiet(found).classes == tuple(sorted(("cat", "dog", name), key=str.casefold))


def test_parts_below_a_part(tmp_path: Path) -> None:
    for name in ("train", "test"):
        classes(tmp_path / "train" / name)
    message = refused(tmp_path, "train' holds 'test', 'train'").partition("; for classes")[0]
    assert remedied(message) == Parts(*(str(tmp_path / "train" / name) if name else None
                                        for name in ("train", "", "test")))  # fmt: skip
    refused(Parts(str(tmp_path / "train")), "'test', 'train', which are no classes")


@pytest.mark.parametrize("above", ["", "train"])
def test_folders_of_one_name_below_siblings(tmp_path: Path, above: str) -> None:
    for name in ("fold1", "fold2"):
        classes(tmp_path / above / name)
    message = refused(tmp_path, "'fold1', 'fold2'", "'cat'", "--train DIR --validation DIR")
    assert quiet(remedied(message)).classes == ("fold1", "fold2")
    parts = Parts(str(tmp_path / above / "fold1"), test=str(tmp_path / above / "fold2"))
    assert sizes(quiet(parts)) == [8, 2, 10]


def test_classes_above_parts(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        classes(tmp_path / name, ("train", "test"))
    refused(tmp_path, "'cat', 'dog'", "'test'")


def test_one_folder_in_every_class_divides_nothing(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name / "images")
        (tmp_path / name / "boxes").mkdir()
        (tmp_path / name / "boxes" / "all.txt").write_text("none")
    fill(tmp_path / "cat" / "images" / "more")
    assert sum(sizes(quiet(tmp_path))) == 15


@pytest.mark.parametrize("name", ["test", "val"])
@pytest.mark.parametrize("inner", ["", "test"])
def test_pictures_without_classes(tmp_path: Path, name: str, inner: str) -> None:
    classes(tmp_path / "train", each=10)
    fill(tmp_path / name / (name if inner else ""), 7)
    message = refused(tmp_path, "holds 7 pictures and no class folders", "accuracy")
    assert remedied(message) == Parts(str(tmp_path / "train"))
    assert sizes(quiet(remedied(message))) == [14, 4, 2]


def test_parts_without_class_folders(tmp_path: Path) -> None:
    for name in ("train", "test"):
        fill(tmp_path / name)
    refused(tmp_path, "holds 'test', 'train', but no 'train' with one folder per class")


@pytest.mark.parametrize("deep", ["dataset", "archive/dataset"])
@pytest.mark.parametrize("part", ["", "train", "both"])
def test_a_folder_too_high_names_the_one_to_give(tmp_path: Path, deep: str, part: str) -> None:
    below = tmp_path / deep
    for name in {"": [""], "train": ["train"], "both": ["train", "test"]}[part]:
        classes(below / name)
    (tmp_path / "docs").mkdir()
    message = refused(tmp_path, f"are in {deep.partition('/')[0]!r}")
    assert f"give {str(below)!r}" in message
    assert quiet(below).classes == ("cat", "dog")


@pytest.mark.parametrize("deep", ["pictures", "pictures/archive", "pictures/train"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_data_set_beside_other_things_is_named(tmp_path: Path, deep: str, count: int) -> None:
    classes(tmp_path / deep)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "notes", count)
    found = (tmp_path / deep).parent if deep.endswith("train") else tmp_path / deep
    message = refused(tmp_path, f"give {str(found)!r};", "'empty', 'notes'")
    assert quiet(found).classes == ("cat", "dog")
    assert remedied(message) == Parts(str(tmp_path))  # where the outer folders are the classes


def test_a_class_in_folders_beside_another_is_no_data_set_beside_other_things(
    tmp_path: Path,
) -> None:
    classes(tmp_path / "damaged", ("bent", "scratched"))
    fill(tmp_path / "sound", 3)
    assert quiet(tmp_path).classes == ("damaged", "sound")


def test_a_small_class_beside_pictures_in_folders_is_no_odd_thing(tmp_path: Path) -> None:
    classes(tmp_path / "cat", ("black", "white"))
    fill(tmp_path / "cat", 3)  # of its own: it is a class
    fill(tmp_path / "dog", 1)
    refused(tmp_path, "class 'dog' has 1 training picture(s)")


def test_one_class_is_no_folder_too_high(tmp_path: Path) -> None:
    fill(tmp_path / "cat" / "images")
    (tmp_path / "dog").mkdir()
    refused(tmp_path, "only one class folder, 'cat',")


def test_pictures_beside_class_folders_are_counted(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    classes(tmp_path / "test")
    for place in (tmp_path, tmp_path / "train", tmp_path / "test"):
        noise().save(place / "loose.png")
    data = quiet(tmp_path)
    assert data.findings.unlabelled == 3
    assert "; 3 beside the class folders not used" in data.summary()


# ---------------------------------------------------------------- parts one by one


def test_given_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes(tmp_path / "here" / "a", each=10)
    classes(tmp_path / "there" / "b", each=3)
    classes(tmp_path / "c", each=2)
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    parts = Parts("~/a", test="$PLACE/c", validation=str(tmp_path / "there" / "b"))
    data = quiet(parts)
    assert (data.name, sizes(data)) == ("a", [20, 6, 4])
    assert native_size(parts) == 12
    assert sizes(quiet(Parts("~/a", test="${PLACE}/c"))) == [16, 4, 4]
    assert data.digest == quiet(parts).digest
    assert hash(parts) == hash(Parts(*parts))


def test_the_name_of_given_parts(tmp_path: Path) -> None:
    train = classes(tmp_path / "birds" / "Training Set" / "train")
    assert quiet(Parts(str(train))).name == "birds"


def test_given_parts_that_are_none(tmp_path: Path) -> None:
    train = classes(tmp_path / "a")
    (tmp_path / "link").symlink_to(train)
    refused(Parts(str(train), str(tmp_path / "gone")), "no folder", "gone")
    refused(Parts(str(train), str(train / "cat" / "0.png")), "is a file")
    refused(Parts(str(train), test=str(tmp_path / "link")), "parts must be apart")
    refused(Parts(str(train), test=str(classes(train / "cat" / "more"))), "parts must be apart")
    refused(Parts(str(train), test=str(fill(tmp_path / "flat"))), "no class folders", "--train")
    refused(Parts(str(fill(tmp_path / "none"))), "no class folders")


def test_a_part_that_is_a_link_to_another(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    refused(tmp_path, "parts must be apart")


def test_options_become_a_source() -> None:
    assert chosen_source(None, None, None, None) == "mnist"
    assert chosen_source("~/a", None, None, None) == "~/a"
    assert chosen_source(None, "a", None, "c") == Parts("a", None, "c")
    with pytest.raises(ValueError, match="give --train too"):
        chosen_source("~/a", None, None, "c")
    with pytest.raises(ValueError, match="two data sets"):
        chosen_source("~/a", "b", None, None)


# ---------------------------------------------------------------- names


def test_home_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes(tmp_path / "my pictures é")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "my pictures é")
    assert quiet("~/my pictures é").name == "my pictures é"
    assert quiet(f"{tmp_path}/$DATA").digest == quiet("$HOME/${DATA}").digest
    with pytest.raises(ValueError, match="NOT_SET is not set"):
        load("$NOT_SET/a")
    monkeypatch.chdir(tmp_path)
    classes(tmp_path / "$DATA", ("as", "written"))
    assert quiet("$DATA").classes == ("as", "written")


def test_classes_in_natural_order(tmp_path: Path) -> None:
    classes(tmp_path, ("10", "1", "2", "b", "A", "a10", "a9", "01"))
    assert quiet(tmp_path).classes == ("01", "1", "2", "10", "A", "a9", "a10", "b")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=8), unique=True), st.randoms(use_true_random=False))
def test_natural_order_is_one_order(names: list[str], random: object) -> None:
    ordered = sorted(names, key=natural_key)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert sorted(names, key=natural_key) == ordered


@given(st.lists(st.integers(0, 10**9), min_size=2, unique=True), st.text("abcé -_", max_size=4))
def test_numbers_count(numbers: list[int], word: str) -> None:
    names = [f"{word}{number}" for number in numbers]
    assert sorted(names, key=natural_key) == [f"{word}{number}" for number in sorted(numbers)]


NFC, NFD = "caf\u00e9", "cafe\u0301"


def test_two_spellings_of_a_name_are_one_class(tmp_path: Path) -> None:
    classes(tmp_path / "train", (NFC, "tea"), 10)
    classes(tmp_path / "val", (NFD, "tea"), 4)
    data = quiet(tmp_path)
    assert data.classes == (NFC, "tea")
    assert data.counts()[NFC]["validation"] == 4
    classes(tmp_path / "train", (NFD,), 5)
    assert quiet(tmp_path).classes == (NFC, "tea")
    assert sum(quiet(tmp_path, test=0).counts()[NFC].values()) == 19


def test_two_spellings_alone_are_no_two_classes(tmp_path: Path) -> None:
    classes(tmp_path, (NFC, NFD))
    refused(tmp_path, "only one class folder")


def test_names_of_any_bytes(tmp_path: Path) -> None:
    odd = os.fsdecode(b"two\nlines \xff")
    classes(tmp_path / odd, (odd, "dog"), 5)
    shutil.copy(tmp_path / odd / "dog" / "0.png", tmp_path / odd / odd / "copy.png")
    data = quiet(tmp_path / odd)
    assert data.classes == ("dog", odd)
    assert data.summary().isprintable()


# ---------------------------------------------------------------- what is passed over


SYSTEM = ("@eaDir", "__MACOSX", ".thumbnails", "$RECYCLE.BIN", "System Volume Information",
          ".ipynb_checkpoints", "lost+found", "#recycle")  # fmt: skip


def test_system_folders_are_no_classes_and_hold_no_pictures(tmp_path: Path) -> None:
    classes(tmp_path)
    for name in SYSTEM:
        for below in (tmp_path, tmp_path / "cat", tmp_path / "dog"):
            fill(below / name, 2)
    for name in (".DS_Store", "._0.png", "._1.png", "Thumbs.db", ".hidden.png"):
        noise().save(tmp_path / "cat" / name, "PNG")
    data = quiet(tmp_path)
    assert data.classes == ("cat", "dog")
    assert sum(sizes(data)) == 10
    counted = dict.fromkeys(SYSTEM, 3) | {"._*": 2, ".*": 1, ".DS_Store": 1, "Thumbs.db": 1}
    assert dict(data.findings.passed_over) == counted
    assert f"; {3 * len(SYSTEM) + 5} hidden or system files and folders passed" in data.summary()


def test_system_folders_beside_parts(tmp_path: Path) -> None:
    for name in ("seg_train", "seg_test"):
        classes(tmp_path / name / name)
        fill(tmp_path / name / "__MACOSX")
    fill(tmp_path / "__MACOSX" / "seg_train")
    assert sizes(quiet(tmp_path)) == [8, 2, 10]


def test_every_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "test"):
        classes(tmp_path / name)
        fill(tmp_path / name / "cat" / "more")
    (tmp_path / "docs").mkdir()
    folders = [str(path) for path in (tmp_path, *tmp_path.rglob("*")) if path.is_dir()]
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(listing.os, "scandir", lambda path: listed.append(path) or scandir(path))
    assert native_size(tmp_path) == 12
    assert sorted(listed) == sorted(folders)


PAGE = (Path(__file__).parents[2] / "docs" / "folders.md").read_text("utf-8")


def test_the_page_names_all_words_and_every_word_is_a_part() -> None:
    table = re.findall(r"^\| (training|validation|test) \| (.*) \|$", PAGE, re.MULTILINE)
    told = {part: tuple(words.split(", ")) for part, words in table}
    assert list(told.values()) == list(names._WORDS.values())
    added = re.search(r"may have one of (.*) or seg before", PAGE.replace("\n", " "))
    assert added
    assert {"", "seg", *added[1].split(", ")} == set(names._ADDED)
    for part, words in zip(Subset, told.values(), strict=True):
        for word in words:
            assert {subset(f"{word}_{more}") for more in names._ADDED} == {part}
            assert {subset(f"{more} {word.title()}") for more in names._ADDED} == {part}


def test_what_the_page_says_is_passed_over_is() -> None:
    told = PAGE[PAGE.index("- Hidden files") : PAGE.index("- Pictures beside the class")]
    found = re.findall("`(.+?)`", told)
    assert len(found) > 10
    assert all(listing._passed_over(name) for name in found)
