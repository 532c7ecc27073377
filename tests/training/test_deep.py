"""Pictures of more than 8 bits: one scale for a data set, and none turns black in silence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.pictures import classes, colour_png, colour_tiff, own_cache, quiet
from training.data import Data
from training.pictures import deep, images
from training.pictures.deep import Scale, Scales
from training.pictures.images import Doubt
from training.pictures.stored import folders

__all__ = ["own_cache"]


def paint(folder: Path, most: float, kind: type, suffix: str, least: float = 0) -> np.ndarray:
    """Two classes of six noisy pictures from ``least`` to ``most``; the values of all."""
    rng = np.random.default_rng(0)
    values = rng.uniform(least, most, (12, 10, 10)).astype(kind)
    values[:, 0, 0], values[:, 0, 1] = most, least
    for number, one in enumerate(values):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(folder / "ab"[number % 2] / f"{number:02}.{suffix}")
    return values


def first(data: Data, folder: Path, name: str) -> np.ndarray:
    """The pixels of one picture, found by decoding it by the data's scales."""
    pixels = images.decode(str(folder / name), data.size, data.findings.scales).pixels
    stored = {image.numpy().tobytes() for split in data.splits().values() for image in split.images}
    assert pixels.tobytes() in stored
    return pixels[0]


@pytest.mark.parametrize(
    ("most", "kind", "suffix"),
    [
        (255, np.uint16, "png"),
        (1023, np.uint16, "tiff"),
        (4095, np.uint16, "png"),
        (16383, np.uint16, "tiff"),
        (65535, np.uint16, "png"),
        (255, np.int32, "tiff"),
        (4095, np.int32, "tiff"),
        (2**20, np.int32, "tiff"),
        (1, np.float32, "tiff"),
        (2, np.float32, "tiff"),
        (255, np.float32, "tiff"),
        (4095, np.float32, "tiff"),
    ],
)
def test_grey_spans_black_to_white(tmp_path: Path, most: float, kind: type, suffix: str) -> None:
    values = paint(tmp_path, most, kind, suffix)
    data = quiet(tmp_path)
    found = first(data, tmp_path, f"a/00.{suffix}")
    np.testing.assert_array_equal(found, np.rint(values[0].astype(float) * 255 / most))
    scale = data.findings.scales.real if kind == np.float32 else data.findings.scales.whole
    assert scale == (0, most)
    assert data.findings.doubtful == ()
    assert f"; values 0 to {most:g} from black to white" in data.summary()


def test_a_dark_picture_stays_dark(tmp_path: Path) -> None:
    values = paint(tmp_path, 4095, np.uint16, "png")
    Image.fromarray((values[0] // 4).astype(np.uint16)).save(tmp_path / "a" / "00.png")
    found = first(quiet(tmp_path), tmp_path, "a/00.png")
    assert abs(found - values[0] / 4 / 4095 * 255).max() <= 1


def test_values_below_zero_are_not_cut_off(tmp_path: Path) -> None:
    values = paint(tmp_path, 3000, np.int32, "tiff", least=-1000)
    data = quiet(tmp_path)
    assert data.findings.scales.whole == (-1024, 4095)
    found = first(data, tmp_path, "a/00.tiff")
    assert abs(found - (values[0] + 1024) / 5119 * 255).max() <= 1


def test_what_is_no_number_is_black(tmp_path: Path) -> None:
    values = paint(tmp_path, 100, np.float32, "tiff", least=-20)
    values[0, 5:] = np.nan
    values[0, 4] = np.inf
    Image.fromarray(values[0]).save(tmp_path / "a" / "00.tiff")
    data = quiet(tmp_path)
    assert data.findings.scales.real == (-32, 255)
    found = first(data, tmp_path, "a/00.tiff")
    assert set(found[5:].flat) == {0}
    assert set(found[4].flat) == {255}


@pytest.mark.parametrize("most", [255, 4095, 65535])
@pytest.mark.parametrize("form", ["png", "png with opacity", "<", ">", "< deflated"])
def test_deep_colour(tmp_path: Path, most: int, form: str) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        values = rng.integers(0, most, (10, 10, 4 if "opacity" in form else 3), endpoint=True)
        values[0, 0] = most
        if "opacity" in form:
            values[..., 3] = 65535
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        content = colour_png(values) if "png" in form else colour_tiff(values, *form.split())
        (tmp_path / "ab"[number % 2] / f"{number:02}").write_bytes(content)
    data = quiet(tmp_path)
    assert data.findings.scales == (Scale(0, most), None)
    found = images.decode(str(tmp_path / "b" / "11"), 10, data.findings.scales)
    expected = values[..., :3] * 255 / most
    assert abs(found.pixels.transpose(1, 2, 0) - expected).max() <= 1
    assert found.doubt == 0


def test_opacity_of_deep_colour(tmp_path: Path) -> None:
    values = np.full((4, 4, 4), 4095)
    values[..., 1:3] = 0
    values[:2, :, 3] = 0
    values[2:, :, 3] = 65535
    (tmp_path / "a").write_bytes(colour_png(values))
    found = images.decode(str(tmp_path / "a"), 4, Scales(Scale(0, 4095))).pixels
    assert found[:, 0, 0].tolist() == [255, 255, 255]
    assert found[:, 3, 3].tolist() == [255, 0, 0]


def test_whole_and_real_numbers_have_a_scale_each(tmp_path: Path) -> None:
    paint(tmp_path, 4095, np.uint16, "png")
    paint(tmp_path, 1, np.float32, "tiff")
    assert quiet(tmp_path).findings.scales == (Scale(0, 4095), Scale(0, 1))


def test_eight_bits_have_no_scale(tmp_path: Path) -> None:
    data = quiet(classes(tmp_path))
    assert data.findings.scales == (None, None)
    assert "black" not in data.summary()


# ---------------------------------------------------------------- what is told


def test_pictures_of_one_colour_are_named(tmp_path: Path) -> None:
    classes(tmp_path, each=10)
    for number, value in enumerate((0, 7, 255)):
        pixels = np.full((12, 12, 3), value, np.uint8)
        pixels[:6, :, 2] = max(0, value - 7)
        Image.fromarray(pixels).save(tmp_path / "cat" / f"{number}.png")
    pixels[0, :, 2] = 247
    Image.fromarray(pixels).save(tmp_path / "cat" / "3.png")
    data = quiet(tmp_path)
    names = [os.path.join("cat", f"{number}.png") for number in range(3)]
    assert data.findings.doubtful == tuple((name, "nearly one colour") for name in names)
    assert "; 3 nearly one colour ('cat/0.png', 'cat/1.png', 'cat/2.png')" in data.summary()
    assert quiet(tmp_path).findings == data.findings  # from the cache


def test_pictures_beyond_the_scale_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = paint(tmp_path, 4095, np.uint16, "png")
    Image.fromarray(values[1] + np.uint16(1)).save(tmp_path / "b" / "01.png")
    monkeypatch.setattr(folders, "_DEEP_SAMPLE", 1)
    data = quiet(tmp_path)
    assert data.findings.scales.whole == (0, 4095)
    assert data.findings.doubtful == (
        (os.path.join("b", "01.png"), "values beyond the scale of the others"),
    )


def test_a_deep_picture_that_no_sample_met_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path, each=10)
    ramp = np.linspace(0, 4095, 144).reshape(12, 12).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "cat" / "odd.png")
    monkeypatch.setattr(folders, "_SAMPLE", 3)
    data = quiet(tmp_path)
    assert data.findings.scales == (None, None)
    ((name, reason),) = data.findings.doubtful
    assert (name, reason.partition(",")[0]) == (os.path.join("cat", "odd.png"), "more than 8 bits")
    assert first(data, tmp_path, "cat/odd.png").max() == 255


def test_the_scale_is_part_of_the_key(tmp_path: Path, own_cache: Path) -> None:
    values = paint(tmp_path, 255, np.uint16, "png")
    before = quiet(tmp_path, images=2)
    Image.fromarray(values[0] + np.uint16(3000)).save(tmp_path / "a" / "zz.png")
    after = quiet(tmp_path, images=2)
    assert before.findings.scales.whole == (0, 255)
    assert after.findings.scales.whole == (0, 4095)
    assert len(list(own_cache.iterdir())) == 2
    assert quiet(tmp_path, images=2).findings == after.findings


# ---------------------------------------------------------------- the scale itself


ranges = st.lists(st.tuples(st.integers(-(2**31), 2**31), st.integers(0, 2**32)), min_size=1)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(deep.KINDS), ranges, st.integers(0, 9))
def test_a_scale_holds_all_values(
    kind: deep.Kind, found: list[tuple[int, int]], shift: int
) -> None:
    shifted = [(low / 10**shift, high / 10**shift) for low, high in found]
    scale = deep.scale(kind, shifted)
    assert scale.black <= min(low for low, _ in shifted)
    assert scale.white >= max(high for _, high in shifted)
    assert scale.black <= 0 < scale.white
    assert deep.scale(kind, reversed(shifted)) == scale


@pytest.mark.parametrize(
    ("kind", "most", "white"),
    [("whole", 0, 255), ("whole", 255, 255), ("whole", 256, 1023), ("whole", 65536, 65536),
     ("whole", 70000, 131072), ("real", 0, 1), ("real", 0.2, 1), ("real", 1.5, 2), ("real", 64, 64),
     ("real", 65, 255), ("real", 255.5, 1023)],
)  # fmt: skip
def test_white(kind: deep.Kind, most: float, white: float) -> None:
    assert deep.scale(kind, [(0, most)]) == (0, white)


def test_doubts_have_words() -> None:
    assert set(images.DOUBTS) == set(Doubt)
