"""Pictures that stream from disk: the same splits, errors and trainings as those in memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.spec import ArchSpec, StageSpec, Stem
from tests.support.command import assert_refused, in_process
from tests.support.pictures import (  # noqa: F401
    classes,
    fill,
    own_cache,
    quiet,
    sizes,
)
from training import data as loading
from training.__main__ import main
from training.data import Data, first
from training.loop.feeds.feed import batches_of, held
from training.loop.train import final
from training.pictures import scan as scanning
from training.recipe import Recipe

TINY = ArchSpec(
    "tiny", Stem(8, stride=1), (StageSpec("mbconv", 2, 16, stride=2, expansion=3),),
    head=32, resolution=8, classes=2, in_channels=3, dropout=0.2,
)  # fmt: skip


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Pictures, one of them unreadable, some of them copies: by file, and by pixels alone."""
    root = classes(tmp_path / "pictures", each=30)
    (root / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    shutil.copy(root / "cat" / "0.png", root / "cat" / "again.png")
    for name in ("1", "2", "3"):
        Image.open(root / "cat" / f"{name}.png").save(root / "cat" / f"{name}-copy.bmp")
    Image.open(root / "cat" / "4.png").save(root / "dog" / "cat.bmp")
    return root


def pixels(data: Data, name: str) -> torch.Tensor:
    return torch.cat([images for images, _ in batches_of(data.splits()[name], 7)])


@pytest.mark.parametrize("size", [8, 12])
@pytest.mark.parametrize("options", [{}, {"images": 20}, {"seed": 3, "test": 0.0}])
def test_all_is_as_in_memory_but_the_digest(odd: Path, size: int, options: dict[str, Any]) -> None:
    here, there = (quiet(odd, size=size, stream=way, **options) for way in (False, True))
    assert (here.streams, there.streams) == (False, True)
    assert sizes(here) == sizes(there)
    for name in ("train", "validation", "test"):
        own, other = here.splits()[name], there.splits()[name]
        assert torch.equal(own.labels, other.labels)
        assert other.images.device.type == "meta"
        assert other.images.shape == own.images.shape
        if len(own):
            assert torch.equal(own.images, pixels(there, name))
    assert torch.equal(here.mean, there.mean)
    assert torch.equal(here.std, there.std)
    assert here.summary() == there.summary()
    assert here.counts() == there.counts()
    assert here.bytes == there.bytes > 0
    assert here.in_colour == there.in_colour
    same = ("classes", "skipped", "enlarged", "native_size", "findings", "channels", "flip")
    assert all(getattr(here, name) == getattr(there, name) for name in same)
    assert here.digest != there.digest


def test_what_was_seen_is_kept_and_follows_the_files(
    odd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = quiet(odd, size=8, stream=True)
    with monkeypatch.context() as patch:
        patch.setattr(scanning, "scan", lambda *_: pytest.fail("looked at again"))
        again = quiet(odd, size=8, stream=True)
    assert (again.digest, again.skipped) == (found.digest, found.skipped)
    Image.fromarray(np.full((9, 9, 3), 40, np.uint8)).save(odd / "dog" / "0.png")
    assert quiet(odd, size=8, stream=True).digest != found.digest


def test_errors_are_those_of_memory(tmp_path: Path) -> None:
    root = classes(tmp_path / "pictures", each=10)
    for name in ("a", "b"):
        (root / "cat" / f"{name}.png").write_bytes(b"rubbish")
    errors = []
    for stream in (False, True):
        with pytest.raises(ValueError, match="cannot be read, more than 5%") as raised:
            quiet(root, size=8, stream=stream)
        errors.append(str(raised.value))
    assert errors[0] == errors[1]


def test_grey_and_colour_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "grey"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(9):
            rng = np.random.default_rng(2 * number + (name == "cat"))
            level = rng.integers(0, 256, (9, 9), np.uint8)
            Image.fromarray(level).save(root / name / f"{number}.png")
    assert "grey in 3 channels" in quiet(root, size=8, stream=True).summary()
    assert "colour" in quiet(classes(tmp_path / "b", each=9), size=8, stream=True).summary()


def test_the_choice_is_made_by_size(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need = quiet(odd, size=8, stream=False).bytes
    there = 4 * need
    monkeypatch.setattr(loading, "total_host_bytes", lambda: there * 2)
    assert not quiet(odd, size=8, stream=None).streams
    assert quiet(odd, size=8, stream=None, holders=3).streams
    monkeypatch.setattr(loading, "total_host_bytes", lambda: there // 2)
    assert quiet(odd, size=8, stream=None).streams
    assert not quiet(odd, size=8, stream=False).streams
    assert not quiet(odd, size=8).streams
    monkeypatch.setattr(loading, "total_host_bytes", lambda: None)
    assert not quiet(odd, size=8, stream=None).streams


def test_built_in_pictures_do_not_stream() -> None:
    assert not quiet("digits", stream=None).streams
    with pytest.raises(ValueError, match="is in memory as it is"):
        quiet("digits", stream=True)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=2, batch=16, shift=0.125, cutout=0.2),
        Recipe(epochs=2, batch=16, crop=0.3, policy="randaugment", mixup=0.5, ema=0.9),
    ],
)
def test_a_training_is_that_in_memory_bit_for_bit(odd: Path, recipe: Recipe) -> None:
    results = [
        final(TINY, recipe, quiet(odd, size=8, stream=way), 0, "cpu") for way in (False, True)
    ]
    (one, found), (two, again) = results
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert found.details | {"data": ""} == again.details | {"data": ""}
    assert found.loss == again.loss


@pytest.mark.slow
def test_workers_change_nothing(odd: Path) -> None:
    data = quiet(odd, size=8, stream=True)
    recipe = Recipe(epochs=2, batch=16, crop=0.3, dropout=0.3)
    losses = [final(TINY, recipe, data, 0, "cpu", workers=n)[1].loss for n in (0, 2)]
    assert losses[0] == losses[1]


def test_a_picture_that_goes_is_named(odd: Path) -> None:
    data = quiet(odd, size=8, stream=True)
    assert data.train.files is not None
    path = odd / data.train.files.paths[0]
    path.unlink()
    with pytest.raises(ValueError, match=f"{path.name} can no longer be read"):
        final(TINY, Recipe(epochs=1, batch=len(data.train)), data, 0, "cpu")


def test_some_can_be_held(odd: Path) -> None:
    here, there = (quiet(odd, size=8, stream=way) for way in (False, True))
    few = held(there, 10)
    assert torch.equal(few.train.images, first(here.train, 10).images)
    assert torch.equal(few.mean, here.mean), "of all training pictures, not of these"
    assert held(here, 10) is here


def test_the_command_streams_says_so_and_keeps_to_it(
    odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", odd, "--resolution", 16, "--device",
             "cpu", "--epochs", 1, "--batch", 16, "--workers", 0)  # fmt: skip
    said = {}
    for name, options in (("plain", ()), ("stream", ("--stream",)), ("not", ("--no-stream",))):
        done = in_process(main, (*given, *options, "--out", tmp_path / name), capsys)
        assert done.returncode == 0, done.stderr
        said[name] = next(line for line in done.stderr.splitlines() if "of pixels" in line)
    assert "are in memory (under 25% of the memory of" in said["plain"]
    assert "stream from disk (as asked)" in said["stream"]
    assert "are in memory (as asked)" in said["not"]
    losses = [
        json.loads((tmp_path / name / "evaluation.json").read_text())["loss"] for name in said
    ]
    assert len(set(losses)) == 1
    kept = json.loads((tmp_path / "plain" / "training.json").read_text())["arguments"]
    assert kept["stream"] is False
    assert_refused(
        in_process(main, (*given[:3], "digits", "--stream"), capsys), "is in memory as it is"
    )


def test_a_network_with_weights_is_fitted_to_a_sample_of_what_streams(
    odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", odd, "--resolution", 16, "--device",
             "cpu", "--epochs", 1, "--batch", 16, "--workers", 0)  # fmt: skip
    assert in_process(main, (*given, "--out", tmp_path / "a"), capsys).returncode == 0
    for name, options in (("b", ()), ("c", ("--stream",))):
        again = (*given, *options, "--init", tmp_path / "a", "--out", tmp_path / name)
        done = in_process(main, again, capsys)
        assert done.returncode == 0, done.stderr
    one, two = (
        json.loads((tmp_path / name / "evaluation.json").read_text())["loss"] for name in "bc"
    )
    assert one == two
