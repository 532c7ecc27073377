"""Loading: fair splits, one clear line for every mistake, and a cache that cannot do harm."""

from __future__ import annotations

import os
import tempfile
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from training.data import Data, Split, load
from training.pictures import cache as store
from training.pictures import images, listing, reading, sources
from training.pictures.splits import Division, Subset, divide

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EVENSCALE_CACHE", str(folder))
    return folder


def paint(folder: Path, each: int = 10, size: tuple[int, int] = (12, 12)) -> Path:
    """A data folder of three classes whose pictures all differ a little in their third channel."""
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            shade = (colour[0], colour[1], colour[2] ^ (number + 1))
            Image.new("RGB", size, shade).save(folder / name / f"{number:03}.png")
    return folder


def quiet(source: Path | str, **options: object) -> Data:
    return load(source, progress=False, **options)  # type: ignore[arg-type]


def same(first: Data, second: Data) -> bool:
    pairs = zip(parts(first), parts(second), strict=True)
    return first.digest == second.digest and all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in pairs
    )


def parts(data: Data) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


def rows(split: Split) -> set[bytes]:
    """Each picture's bytes: a picture's identity where all pictures differ."""
    return {image.numpy().tobytes() for image in split.images}


# ---------------------------------------------------------------- the splitter


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    counts = draw(st.lists(st.integers(4, 40), min_size=2, max_size=6))
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels), len(counts)


def split(labels: np.ndarray, classes: int, parts: np.ndarray | None = None, **options) -> Division:
    settled = {"validation": None, "test": None, "images": None, "seed": 0} | options
    own = np.zeros(len(labels), np.int64) if parts is None else parts
    return divide(labels, own, [f"class {n}" for n in range(classes)], **settled)


fast = settings(max_examples=60, deadline=None, derandomize=True)


@fast
@given(labelled(), st.integers(0, 2**63), st.floats(0.05, 0.4), st.floats(0, 0.3))
def test_split_is_disjoint_complete_and_stratified(
    data: tuple[np.ndarray, int], seed: int, validation: float, test: float
) -> None:
    labels, classes = data
    division = split(labels, classes, seed=seed, validation=validation, test=test)
    assert sorted(np.concatenate(division).tolist()) == list(range(len(labels)))
    counts = np.bincount(labels)
    for part, share in ((division.validation, validation), (division.test, test)):
        held = np.bincount(labels[part], minlength=classes)
        assert (abs(held - share * counts) <= 1).all()
        assert (held >= (share > 0)).all()


@fast
@given(labelled(), st.integers(0, 2**63))
def test_split_is_deterministic(data: tuple[np.ndarray, int], seed: int) -> None:
    labels, classes = data
    first, again = (split(labels, classes, seed=seed) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@fast
@given(labelled(), st.integers(0, 2**63), st.data())
def test_caps_are_nested_and_stratified(
    data: tuple[np.ndarray, int], seed: int, more: st.DataObject
) -> None:
    labels, classes = data
    whole = split(labels, classes, seed=seed)
    small = more.draw(st.integers(classes, len(whole.train)))
    capped = split(labels, classes, seed=seed, images=small)
    assert np.array_equal(capped.train, whole.train[:small])
    assert np.array_equal(capped.validation, whole.validation)
    assert np.array_equal(capped.test, whole.test)
    counts = np.bincount(labels[whole.train])
    kept = np.bincount(labels[capped.train], minlength=classes)
    assert kept.min() >= 1
    # Every class gets its first picture out of turn, which moves the others by as many in all.
    assert (abs(kept - small * counts / counts.sum()) <= 1 + classes / 2).all()


@fast
@given(labelled(), st.integers(0, 2**63))
def test_own_parts_stay_whole(data: tuple[np.ndarray, int], seed: int) -> None:
    labels, classes = data
    own = np.repeat([Subset.TRAIN, Subset.VALIDATION, Subset.TEST], len(labels))
    division = split(np.tile(labels, 3), classes, own, seed=seed)
    for part, members in zip(Subset, division, strict=True):
        assert sorted(members) == np.flatnonzero(own == part).tolist()


def test_missing_part_is_cut_from_training_alone() -> None:
    labels = np.tile(np.arange(2), 100)
    own = np.repeat([Subset.TRAIN, Subset.TEST], [160, 40])
    division = split(labels, 2, own, validation=0.25, test=0.5)
    assert sorted(division.test) == list(range(160, 200))
    assert len(division.validation) == 40
    assert len(division.train) == 120


def test_other_seeds_give_other_splits() -> None:
    labels = np.tile(np.arange(5), 50)
    first, other = split(labels, 5, seed=0), split(labels, 5, seed=1)
    assert set(first.validation) != set(other.validation)


def test_default_shares_stop_at_ten_thousand() -> None:
    labels = np.tile(np.arange(4), 100_000)
    division = split(labels, 4)
    assert [len(part) for part in division] == [380_000, 10_000, 10_000]
    assert len(split(labels, 4, validation=0.2).validation) == 80_000


def test_too_small_a_class_and_too_small_a_cap() -> None:
    with pytest.raises(ValueError, match=r"class 'class 1' has 2 training picture\(s\).* 2 for"):
        split(np.array([0] * 9 + [1] * 2), 2)
    assert len(split(np.array([0] * 9 + [1] * 2), 2, test=0.0).train) == 8
    with pytest.raises(ValueError, match="images=1 cannot cover 2 classes"):
        split(np.tile(np.arange(2), 50), 2, images=1)


# ---------------------------------------------------------------- what comes built in


def test_mnist_offline() -> None:
    data = quiet("mnist")
    assert [len(part) for part in parts(data)] == [3500, 1000, 500]
    assert data.train.images.shape == (3500, 1, 28, 28)
    assert data.train.images.dtype == torch.uint8
    assert data.train.images.is_contiguous()
    assert data.train.labels.dtype == torch.int64
    assert (data.name, data.channels, data.size, data.native_size) == ("mnist", 1, 28, 28)
    assert (data.skipped, data.enlarged, data.flip) == ((), 0.0, False)
    assert data.classes == tuple("0123456789")
    for part in parts(data):
        assert part.labels.bincount().unique().numel() == 1
    assert torch.equal(data.train.labels[:10].sort().values, torch.arange(10))
    assert len(data.digest) == 16


def test_mean_and_std_are_those_of_the_training_pictures() -> None:
    data = quiet("mnist", images=500)
    pixels = data.train.images.double() / 255
    torch.testing.assert_close(data.mean, pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(data.std, pixels.std((0, 2, 3), correction=0).float())
    black = replace(data, train=Split(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(4)))
    torch.testing.assert_close(black.std, torch.tensor([1 / 255]))


def test_to_device() -> None:
    data = quiet("digits", images=50)
    assert data.to("cpu") is data
    away = data.to("meta")
    assert {part.images.device.type for part in parts(away)} == {"meta"}
    assert {part.labels.device.type for part in parts(away)} == {"meta"}
    assert (away.digest, away.classes) == (data.digest, data.classes)


def test_digits_and_another_size() -> None:
    data = quiet("digits", size=16)
    assert data.train.images.shape[1:] == (1, 16, 16)
    assert (data.native_size, data.size, data.enlarged) == (8, 16, 1.0)
    assert sum(map(len, parts(data))) == 1797
    native = quiet("digits")
    assert (native.train.images.max(), native.enlarged) == (255, 0.0)


def test_digest_depends_on_what_is_measured_on() -> None:
    digests = [
        quiet("digits", **options).digest
        for options in ({}, {"seed": 1}, {"images": 100}, {"size": 9}, {"validation": 0.3})
    ]
    assert len(set(digests)) == 5
    assert quiet("digits").digest == digests[0]


class FakeCifar:
    """As much of torchvision's CIFAR10 as is used: pictures (N, 32, 32, 3), and no network."""

    filename = "cifar.tar.gz"
    classes = ("cat", "dog")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        count = 40 if train else 6
        assert download
        assert os.path.isdir(root)
        rng = np.random.default_rng(train)
        self.data = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
        self.targets = [number % 2 for number in range(count)]


@pytest.mark.parametrize(("name", "kind"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
def test_cifar_adapter(monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> None:
    monkeypatch.setattr(f"torchvision.datasets.{kind}", FakeCifar)
    data = quiet(name)
    assert [len(part) for part in parts(data)] == [32, 8, 6]
    assert (data.name, data.channels, data.size, data.flip) == (name, 3, 32, True)
    assert data.classes == ("cat", "dog")
    pictures = FakeCifar("/", train=False, download=True).data.transpose(0, 3, 1, 2)
    assert rows(data.test) == {picture.tobytes() for picture in pictures}
    assert quiet(name, size=8, test=0.5).test.images.shape == (6, 3, 8, 8)


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route"), RuntimeError("File not found or corrupted.")]
)
def test_cifar_without_network(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(**_: object) -> None:
        raise error

    fail.filename = "cifar-10-python.tar.gz"  # type: ignore[attr-defined]
    monkeypatch.setattr("torchvision.datasets.CIFAR10", fail)
    with pytest.raises(ValueError, match=r"cannot get cifar10 .*cifar-10-python.*give a folder"):
        quiet("cifar10")


# ---------------------------------------------------------------- folders


def test_folder_of_classes(tmp_path: Path) -> None:
    data = quiet(paint(tmp_path / "paint"))
    assert [len(part) for part in parts(data)] == [21, 6, 3]
    assert (data.name, data.channels, data.flip) == ("paint", 3, True)
    assert data.classes == ("blue", "green", "red")
    assert (data.size, data.native_size, data.enlarged, data.skipped) == (12, 12, 0.0, ())
    everything = [rows(part) for part in parts(data)]
    assert len(set.union(*everything)) == 30
    for part in parts(data):
        assert part.images.is_contiguous()
        colours = torch.tensor([COLOURS[data.classes[label]] for label in part.labels.tolist()])
        assert torch.equal(part.images[:, :2, 5, 5], colours[:, :2].to(torch.uint8))


@pytest.mark.parametrize("validation", ["val", "validation", "Valid"])
def test_own_train_validation_and_test(tmp_path: Path, validation: str) -> None:
    for name, each in (("train", 5), (validation, 2), ("test", 3)):
        paint(tmp_path / name, each)
    assert [len(part) for part in parts(quiet(tmp_path))] == [15, 6, 9]


def test_train_and_test_without_validation(tmp_path: Path) -> None:
    paint(tmp_path / "train", 10)
    test = paint(tmp_path / "test", 3)
    data = quiet(tmp_path)
    assert [len(part) for part in parts(data)] == [24, 6, 9]
    assert rows(data.test) == set.union(*(rows(part) for part in parts(quiet(test))))


def test_no_test_split_is_an_empty_one(tmp_path: Path) -> None:
    data = quiet(paint(tmp_path), test=0)
    assert data.test.images.shape == (0, 3, 12, 12)
    assert len(data.test) == 0


def test_size_native_size_and_enlarged(tmp_path: Path) -> None:
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for number, side in enumerate((8, 10, 300, 300, 300)):
            shade = (number, *colour[1:])
            Image.new("RGB", (side, side + 5), shade).save(tmp_path / name / f"{number}.png")
    data = quiet(tmp_path)
    assert (data.size, data.native_size, data.enlarged) == (256, 300, 0.4)
    data = quiet(tmp_path, size=9)
    assert (data.size, data.native_size, data.enlarged) == (9, 300, 0.2)


def test_the_cap_reads_no_more_than_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read = reading.read
    monkeypatch.setattr(
        reading,
        "read",
        lambda root, paths, *rest: asked.append(len(paths)) or read(root, paths, *rest),
    )
    data = quiet(paint(tmp_path), images=6)
    larger = quiet(tmp_path, images=12)
    assert asked == [6 + 6 + 3, 12 + 6 + 3]
    assert data.train.labels.bincount().tolist() == [2, 2, 2]
    assert rows(data.train) < rows(larger.train)
    assert rows(data.validation) == rows(larger.validation)


def test_what_is_ignored_and_what_is_skipped(tmp_path: Path) -> None:
    paint(tmp_path, 10)
    red = tmp_path / "red"
    (red / "notes.txt").write_text("red")
    (red / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (red / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    Image.new("RGB", (4, 4)).save(red / ".hidden.png")
    (tmp_path / ".git").mkdir()
    (tmp_path / "readme.md").write_text("three colours")
    (red / "deeper" / "still").mkdir(parents=True)
    Image.new("RGB", (12, 12), (9, 9, 9)).save(red / "deeper" / "still" / "gr\u00fcn \u8272.PNG")
    Image.new("RGB", (12, 12), (8, 8, 8)).save(red / "without-suffix", format="PNG")
    (red / "zero.jpg").write_bytes(b"")
    data = quiet(tmp_path)
    assert data.skipped == ((os.path.join("red", "zero.jpg"), "empty file"),)
    assert sum(map(len, parts(data))) == 32


def test_links(tmp_path: Path) -> None:
    paint(tmp_path / "data", 10)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (12, 12), (7, 7, 7)).save(elsewhere / "a.png")
    red = tmp_path / "data" / "red"
    (red / "linked").symlink_to(elsewhere)
    (red / "round").symlink_to(red)
    (red / "everything").symlink_to(tmp_path / "data")
    (red / "self.png").symlink_to(red / "self.png")
    (red / "note").symlink_to(red / "nowhere")
    data = quiet(tmp_path / "data")
    assert sum(map(len, parts(data))) == 31
    assert [path for path, _ in data.skipped] == [os.path.join("red", "self.png")]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(paint(tmp_path) / "red" / "pipe.png")
    assert sum(map(len, parts(quiet(tmp_path)))) == 30


# ---------------------------------------------------------------- errors


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no folder '.*mnits'.*\"mnist\""):
        quiet(tmp_path / "mnits")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.png' is a file"):
        quiet(tmp_path / "a.png")


def test_no_class_folders_and_a_single_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no class folders in"):
        quiet(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match="only one class folder, 'cat',"):
        quiet(tmp_path)


def test_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "a.txt").write_text("dog")
    with pytest.raises(ValueError, match="no pictures in the class folders of"):
        quiet(tmp_path)


def test_empty_part(tmp_path: Path) -> None:
    paint(tmp_path / "train")
    for name in COLOURS:
        (tmp_path / "val" / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no pictures in the class folders of '.*val'"):
        quiet(tmp_path)


def test_class_with_too_few_pictures(tmp_path: Path) -> None:
    paint(tmp_path)
    (tmp_path / "grey").mkdir()
    Image.new("L", (12, 12)).save(tmp_path / "grey" / "a.png")
    with pytest.raises(ValueError, match=r"class 'grey' has 1 training picture"):
        quiet(tmp_path)


@pytest.mark.parametrize("part", ["val", "test"])
def test_parts_with_other_classes(tmp_path: Path, part: str) -> None:
    paint(tmp_path / "train")
    (paint(tmp_path / part) / "red").rename(tmp_path / part / "rouge")
    with pytest.raises(ValueError, match=rf"{part}' differ from .* in 'red', 'rouge'"):
        quiet(tmp_path)


def test_parts_that_are_no_training(tmp_path: Path) -> None:
    paint(tmp_path / "val")
    paint(tmp_path / "test")
    with pytest.raises(ValueError, match="holds 'test', 'val', but no 'train'"):
        quiet(tmp_path)


def test_two_validation_parts(tmp_path: Path) -> None:
    for name in ("train", "val", "valid"):
        paint(tmp_path / name, 3)
    with pytest.raises(ValueError, match=r"val' and '.*valid' are the same part"):
        quiet(tmp_path)


def test_too_many_unreadable_pictures(tmp_path: Path) -> None:
    paint(tmp_path)
    for number in range(3):
        (tmp_path / "red" / f"00{number}.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"3 of 30 pictures .* 5%.*000\.png: not a picture"):
        quiet(tmp_path)


def test_a_class_lost_to_unreadable_pictures(tmp_path: Path) -> None:
    paint(tmp_path, 60)
    (tmp_path / "grey").mkdir()
    for number in range(3):
        (tmp_path / "grey" / f"{number}.png").write_bytes(b"broken %d" % number)
    with pytest.raises(ValueError, match="class 'grey' has no readable training picture"):
        quiet(tmp_path)


def test_validation_lost_to_unreadable_pictures(tmp_path: Path) -> None:
    paint(tmp_path / "train", 60)
    for name in COLOURS:
        (tmp_path / "val" / name).mkdir(parents=True)
        (tmp_path / "val" / name / "a.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match="validation split has no readable picture"):
        quiet(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size=0"),
        ({"size": 5000}, "size=5000"),
        ({"seed": -1}, "seed=-1"),
        ({"validation": 0.0}, "validation=0.0"),
        ({"validation": 1.5}, "validation=1.5"),
        ({"test": -0.1}, "test=-0.1"),
        ({"images": 3}, "images=3 cannot cover 10 classes"),
        ({"validation": 0.6, "test": 0.4}, "none is left"),
    ],
)
def test_arguments_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quiet("digits", **options)


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path)

    def refuse(path: str) -> Iterator[None]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"cannot list folder '.*': Permission denied"):
        quiet(tmp_path)


# ---------------------------------------------------------------- the cache


def only_empty(decode: Callable[..., object], path: str, *rest: object) -> object:
    assert os.path.getsize(path) == 0, "decoded in spite of the cache"
    return decode(path, *rest)


def test_cache_hit_gives_the_same_tensors(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path, 25)
    (tmp_path / "red" / "000.png").write_bytes(b"")
    first = quiet(tmp_path)
    assert [file.suffix for file in own_cache.iterdir()] == [".safetensors"]
    decode = images.decode
    monkeypatch.setattr(images, "decode", lambda path, *rest: only_empty(decode, path, *rest))
    again = quiet(tmp_path)
    assert same(first, again)
    assert again.skipped == first.skipped != ()
    assert (again.native_size, again.enlarged) == (first.native_size, first.enlarged)
    quiet(tmp_path, seed=5)  # another division of the same pictures needs no decoding either


def test_a_picture_that_becomes_readable_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path)
    decode = images.decode

    def forbidden(path: str, *rest: object) -> object:
        if path.endswith(os.path.join("red", "003.png")):
            raise ValueError("Permission denied")
        return decode(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(images, "decode", forbidden)
        assert quiet(tmp_path).skipped == ((os.path.join("red", "003.png"), "Permission denied"),)
    assert quiet(tmp_path).skipped == ()
    assert quiet(tmp_path).skipped == ()


def test_cache_follows_every_change(tmp_path: Path, own_cache: Path) -> None:
    paint(tmp_path)
    first = quiet(tmp_path)
    quiet(tmp_path, size=6)
    assert len(list(own_cache.iterdir())) == 2
    Image.new("RGB", (12, 12), (1, 2, 3)).save(tmp_path / "red" / "000.png")
    changed = quiet(tmp_path)
    assert changed.digest != first.digest
    os.utime(tmp_path / "red" / "000.png", ns=(0, 0))
    assert same(quiet(tmp_path), changed)
    assert len(list(own_cache.iterdir())) == 4


def damage_by_cutting(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_by_a_bit(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


def damage_header(content: bytes) -> bytes:
    return b"\xff" * 8 + content[8:]


@pytest.mark.parametrize(
    "damage", [damage_by_cutting, damage_by_a_bit, damage_header, lambda _: b"", lambda _: b"no"]
)
def test_damaged_cache_is_rebuilt(
    tmp_path: Path,
    own_cache: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    first = quiet(paint(tmp_path))
    (file,) = own_cache.iterdir()
    whole = file.read_bytes()
    file.unlink()  # not to change what an earlier load may still have mapped
    file.write_bytes(damage(whole))
    assert same(quiet(tmp_path), first)
    assert "is damaged" in caplog.text
    caplog.clear()
    assert same(quiet(tmp_path), first)
    assert not caplog.text
    assert list(own_cache.iterdir()) == [file]


def test_many_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    pictures = reading.Pictures(
        torch.arange(48).byte().view(1, 3, 4, 4), torch.ones(1).int(), torch.ones(1).byte()
    )

    def save_and_load(_: int) -> bool:
        store.save(path, pictures, "folder")
        found = store.load(path)
        return found is not None and torch.equal(found.images, pictures.images)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(save_and_load, range(100)))
    assert list(tmp_path.iterdir()) == [path]


def test_foreign_file_in_the_place_of_the_cache(tmp_path: Path, own_cache: Path) -> None:
    first = quiet(paint(tmp_path))
    (file,) = own_cache.iterdir()
    save_file({"weights": torch.zeros(3)}, file)
    assert same(quiet(tmp_path), first)


def test_unwritable_cache_loses_only_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paint(tmp_path / "data")
    (tmp_path / "file").write_text("in the way")
    data = quiet(tmp_path / "data", cache=tmp_path / "file" / "below")
    assert len(data.train) == 21
    assert "cannot keep the decoded pictures" in caplog.text


def test_full_disk_leaves_nothing_behind(
    tmp_path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(tensors: object, path: str, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "save_file", full)
    assert len(quiet(paint(tmp_path)).train) == 21
    assert "No space left" in caplog.text
    assert list(own_cache.iterdir()) == []


def test_cache_argument_wins_over_the_environment(tmp_path: Path, own_cache: Path) -> None:
    quiet(paint(tmp_path / "data"), cache=tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 1
    assert list(own_cache.iterdir()) == []


def test_cache_folder_defaults_to_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENSCALE_CACHE")
    assert store.cache_folder() == Path.home() / ".cache" / "evenscale"


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    paint(tmp_path, 30)
    broken = os.fsencode(tmp_path / "red") + b"/\xff\xfe.png"
    with open(broken, "wb"):
        pass
    first, again = quiet(tmp_path), quiet(tmp_path)
    assert first.skipped == again.skipped == ((os.fsdecode(b"red/\xff\xfe.png"), "empty file"),)


# ---------------------------------------------------------------- reading arbitrary files


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_a_file_of_arbitrary_bytes_is_skipped_or_a_picture(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paint(Path(folder) / "data", 7)
        (Path(folder) / "data" / "red" / "odd.jpg").write_bytes(content)
        data = quiet(Path(folder) / "data", cache=Path(folder) / "cache")
        assert sum(map(len, parts(data))) + len(data.skipped) == 22


def test_builtins_are_read_in_any_order() -> None:
    source = sources.digits()
    chosen = np.array([5, 3, 900])
    pictures = source.read(chosen, 8)
    whole = source.read(np.arange(1797), 8)
    assert torch.equal(pictures.images, whole.images[torch.from_numpy(chosen)])
