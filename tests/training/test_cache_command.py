"""What the cache of decoded pictures says of itself, and that it goes when it is told to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from training.__main__ import main
from training.commands.cache import UNKNOWN
from training.data import load


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the pictures of two folders, what a killed process left, and files of others."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EVENSCALE_CACHE", str(folder))
    for name, side in (("one", 8), ("t\u00fcrkis", 16)):
        for shade, kind in enumerate(("cat", "dog")):
            (tmp_path / name / kind).mkdir(parents=True)
            for number in range(6):
                image = Image.new("RGB", (side, side), (9 * number, 80 * shade, 0))
                image.save(tmp_path / name / kind / f"{number}.png")
        load(tmp_path / name, progress=False)
    (folder / "0123.part").write_bytes(b"half")
    (folder / "cifar-10-batches-py").mkdir()
    (folder / "cifar-10-python.tar.gz").write_bytes(b"downloaded")
    return folder


def listed(capsys: pytest.CaptureFixture[str], *given: str) -> dict[str, int]:
    """The files of each folder of pictures."""
    main(["cache", "--json", *given])
    told = json.loads(capsys.readouterr().out)
    return {Path(one["pictures"]).name: one["files"] for one in told["kept"]}


def test_it_says_whose_pictures_it_has(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {"one": 1, "t\u00fcrkis": 1, UNKNOWN: 1}
    main(["cache"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{cache}: 3 files, ")
    assert len(said) == 4
    assert sum(path.stat().st_size for path in cache.glob("*.safetensors")) > 0


def test_what_is_old_goes_alone(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long_ago = (cache / "0123.part").stat().st_mtime - 3 * 86_400
    os.utime(cache / "0123.part", (long_ago, long_ago))
    assert listed(capsys, "--clear", "--older", "2") == {UNKNOWN: 1}
    assert not (cache / "0123.part").exists()
    assert listed(capsys) == {"one": 1, "t\u00fcrkis": 1}


def test_cleared_pictures_are_read_again(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = load(cache.parent / "one", progress=False).digest
    listed(capsys, "--clear")
    assert sorted(path.name for path in cache.iterdir()) == [
        "cifar-10-batches-py", "cifar-10-python.tar.gz",
    ]  # fmt: skip
    assert load(cache.parent / "one", progress=False).digest == before
    assert listed(capsys) == {"one": 1}


def test_without_a_cache_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVENSCALE_CACHE", str(tmp_path / "none"))
    assert listed(capsys, "--clear") == {}
