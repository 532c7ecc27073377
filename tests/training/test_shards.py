"""Tar and parquet shards: the same pictures, splits and errors as the folder that they are of."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.families import family
from tests.support.command import assert_refused, in_process
from tests.support.pictures import (
    classes,
    colour_png,
    colour_tiff,
    noise,
    own_cache,
    quiet,
    rows,
    sizes,
)
from training.__main__ import main
from training.commands.cache import main as cache_command
from training.data import Parts
from training.loop.train import final
from training.pictures.stored.members import length, member, opened, path_of
from training.recipe.named import changed, named

__all__ = ["own_cache"]


def tar(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def png() -> bytes:
    found = io.BytesIO()
    noise().save(found, "png")
    return found.getvalue()


def sharded(folder: Path, out: Path, shards: int = 3, form: str = "{:05d}.tar") -> Path:
    """The pictures of a folder of classes in so many archives, WebDataset's form."""
    every = sorted(folder.glob("*/*.*"))
    for number in range(shards):
        files: dict[str, bytes] = {}
        for at, path in enumerate(every[number::shards]):
            files[f"{at:06d}{path.suffix}"] = path.read_bytes()
            files[f"{at:06d}.cls"] = path.parent.name.encode()
        tar(out / form.format(number), files)
    return out


@pytest.mark.parametrize("stream", [False, True])
def test_the_pictures_are_those_of_the_folder(stream: bool, tmp_path: Path) -> None:
    folder = classes(tmp_path / "folder", each=10)
    place = sharded(folder, tmp_path / "shards")
    mine, theirs = quiet(place, stream=stream), quiet(folder, stream=stream)
    assert (mine.name, mine.classes, mine.channels) == ("shards", ("cat", "dog"), 3)
    assert (sizes(mine), mine.size) == (sizes(theirs), theirs.size)
    assert quiet(place, stream=stream).digest == mine.digest
    assert quiet(place).digest == quiet(f"{place}/{{00000..00002}}.tar").digest
    mine, theirs = quiet(place), quiet(folder)
    assert set().union(*map(rows, mine.splits().values())) == set().union(
        *map(rows, theirs.splits().values())
    )
    assert torch.equal(mine.train.labels.bincount(), theirs.train.labels.bincount())


@pytest.mark.parametrize("form", ["png", "tif", "grey"])
def test_pictures_of_more_than_eight_bits_are_those_of_the_folder(
    form: str, tmp_path: Path
) -> None:
    """Which are read twice, or by values of their own."""
    rng = np.random.default_rng(0)
    for number in range(16):
        values = rng.integers(0, 4096, (10, 10, 3)).astype(np.uint16)
        path = tmp_path / "folder" / "ab"[number % 2] / f"{number}.{form.replace('grey', 'png')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "grey":
            Image.fromarray(values[..., 0]).save(path)
        else:
            path.write_bytes(colour_png(values) if form == "png" else colour_tiff(values, "<"))
    mine, theirs = quiet(sharded(tmp_path / "folder", tmp_path / "s")), quiet(tmp_path / "folder")
    assert mine.findings.scales == theirs.findings.scales
    assert theirs.findings.scales.whole is not None
    assert set().union(*map(rows, mine.splits().values())) == set().union(
        *map(rows, theirs.splits().values())
    )


def test_streamed_and_in_memory_are_trained_alike(tmp_path: Path) -> None:
    """Bit for bit, in phases that crop and vary, with pictures that worker processes read."""
    place = sharded(classes(tmp_path / "folder", each=20), tmp_path / "shards")
    recipe = changed(named("v2"), ["epochs=2", "batch=8", "phases=2"])
    found = []
    for stream, workers in ((False, 0), (True, 1)):
        data = quiet(place, size=32, stream=stream)
        spec = family("mobilenet-v1-0.25-128")
        network, _ = final(replace(spec, resolution=32), recipe, data, 0, "cpu", workers=workers)
        found.append(network.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize(
    "form", ["in-{}-{:03d}.tar", "{}/{:03d}.tar", "data/{}-{:05d}-of-00002.tar"]
)
def test_parts_by_the_shards_names(form: str, tmp_path: Path) -> None:
    for part, each in (("train", 6), ("validation", 4), ("test", 3)):
        folder = classes(tmp_path / f"{part}-folder", each=each)
        sharded(folder, tmp_path / "shards", 2, form.replace("{}", part, 1))
    assert sizes(quiet(tmp_path / "shards")) == [12, 8, 6]


def test_parts_one_by_one_and_classes_by_number(tmp_path: Path) -> None:
    for part, count in (("a", 12), ("b", 6)):
        pairs = {f"{n}.png": png() for n in range(count)}
        tar(
            tmp_path / part / "0.tar",
            pairs | {f"{n}.cls": str(n % 3 + 9).encode() for n in range(count)},
        )
    data = quiet(Parts(str(tmp_path / "a"), test=str(tmp_path / "b")))
    assert data.classes == ("9", "10", "11")
    assert sizes(data)[2] == 6
    (tmp_path / "a" / "classnames.txt").write_text("\n".join(f"class {n}" for n in range(12)))
    assert quiet(tmp_path / "a").classes == ("class 9", "class 10", "class 11")
    (tmp_path / "a" / "classnames.txt").write_text("just one")
    with pytest.raises(ValueError, match=r"class 9 in the shards of .* and 1 names, from 0"):
        quiet(tmp_path / "a")


def test_copies_are_kept_in_one_part_and_unreadable_ones_left_out(tmp_path: Path) -> None:
    pictures = [png() for _ in range(40)]
    pictures[20:30] = [pictures[20]] * 10
    files: dict[str, bytes] = {}
    for number, content in enumerate(pictures):
        broken = b"no picture" if number == 3 else content
        files |= {f"{number}.png": broken, f"{number}.cls": b"ab"[number % 2 : number % 2 + 1]}
    data = quiet(tar(tmp_path / "one.tar", files))
    assert data.name == "one.tar"
    ((path, reason),) = data.skipped
    assert path.endswith(":3.png")
    assert reason == "not a picture in a known format"
    assert data.findings.copies.total >= 8
    splits = [rows(split) for split in data.splits().values()]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.png": b"x"},
            "'a.png' in .* has no class: add a file of the same name that ends in .cls",
        ),
        ({"a.png": b"x", "a.jpg": b"x"}, "a.png and a.jpg are one sample"),
        ({"a.png": b"x", "a.cls": b"\xff\xfe"}, "cannot be read as tar shard"),
        ({"a.png": b"x", "a.cls": b"1"}, r"have pictures of 1 class\(es\) to train on"),
        ({"a.txt": b"x"}, r"have pictures of 0 class\(es\)"),
    ],
)
def test_shards_that_are_refused(files: Mapping[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        quiet(tar(tmp_path / "x.tar", files))


def test_places_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.tar").write_bytes(b"broken" * 200)
    for place, message in (
        (tmp_path / "broken.tar", "cannot be read as tar shard"),
        (tmp_path / "none.tar", "no shard"),
        (f"{tmp_path}/{{00..03}}.tar", "00.tar"),
        (f"{tmp_path}/{{3..1}}.tar", "must count up"),
    ):
        done = in_process(main, ("--spec", "resnet-18", "--data", place), capsys)
        assert_refused(done, message)
        assert len(done.stderr.splitlines()) == 1
    files = {"a.png": png(), "a.cls": b"1"}
    tar(tmp_path / "only" / "test-0.tar", files)
    with pytest.raises(ValueError, match="holds shards of test and none to train on"):
        quiet(tmp_path / "only")
    sharded(classes(tmp_path / "f"), tmp_path / "other", 1, "train-{}.tar")
    tar(tmp_path / "other" / "val-0.tar", files)
    with pytest.raises(ValueError, match="class '1' is in shards of another part"):
        quiet(tmp_path / "other")


def test_an_archive_beside_class_folders_is_none_of_theirs(tmp_path: Path) -> None:
    folder = classes(tmp_path / "folder")
    tar(folder / "cat" / "backup.tar", {"a.png": png(), "a.cls": b"1"})
    assert quiet(folder).classes == ("cat", "dog")


def test_members_are_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"0123456789")
    place = path_of(str(path), 2, 3, "x: @1+2.png")
    assert member(place) == (str(path), 2, 3)
    assert length(place) == 3
    with opened(place) as file:
        assert file.read() == b"234"
    assert member(str(path)) is None
    with pytest.raises(OSError, match="has become shorter"):
        opened(path_of(str(path), 8, 3, "x"))
    odd = tmp_path / "a.tar@2+3:x"
    odd.write_bytes(b"itself")
    with opened(str(odd)) as file:
        assert file.read() == b"itself"


def parquet(path: Path, count: int = 12, names: bool = True, bare: bool = False) -> Path:
    arrow = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    contents = [png() for _ in range(count)]
    pictures = contents if bare else [{"bytes": one, "path": None} for one in contents]
    table = arrow.table({"image": pictures, "label": [n % 2 for n in range(count)]})
    if names:
        told = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=5)
    return path


@pytest.mark.parametrize("stream", [False, True])
def test_parquet_is_read_as_shards(
    stream: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet(tmp_path / "data" / "train-00000-of-00002.parquet")
    parquet(tmp_path / "data" / "train-00001-of-00002.parquet")
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    data = quiet(tmp_path, stream=stream)
    assert data.classes == ("cat", "dog")
    assert [sum(sizes(data)[:2]), sizes(data)[2]] == [24, 12]
    assert quiet(tmp_path, stream=stream).digest == data.digest
    cache_command([])
    assert "train-00000-of-00002.parquet" in capsys.readouterr().out


def test_parquet_in_other_forms(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", names=False, bare=True)
    assert quiet(path).classes == ("0", "1")
    path.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="cannot be read"):
        quiet(path)
    arrow, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for columns, message in (
        ({"text": ["x"], "label": [1]}, "has the columns text, label, and none of image"),
        ({"image": [b"x"], "what": [1]}, "none of label"),
        ({"image": [1], "label": [1]}, "is int and no bytes"),
        ({"image": [b"x"], "label": [None]}, "classes are whole numbers or names"),
    ):
        pq.write_table(arrow.table(columns), path)
        with pytest.raises(ValueError, match=message):
            quiet(path)
