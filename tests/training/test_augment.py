"""Batches for a network: normalised, resized, and varied by what was drawn for an epoch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pad

from training.loop.augment import FIELDS, cutout, draw, mirror, to_float, translate

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 64, channels: int = 3, side: int = 16) -> torch.Tensor:
    shape = (count, channels, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(99))


def drawn(count: int, *, reach: int = 2, side: int = 16, seed: int = 0) -> dict[str, torch.Tensor]:
    """What is drawn for one batch of so many pictures, by name."""
    (fields,) = draw(generator(seed), count, count, reach=reach, flip=True, hole_side=side)
    return dict(zip(FIELDS, fields, strict=True))


def test_to_float_normalises() -> None:
    images = batch()
    expected = (images.float() / 255 - MEAN[:, None, None]) / STD[:, None, None]
    result = to_float(images, 16, MEAN, STD)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [7, 16, 24])
def test_to_float_resizes_in_the_layout_asked_for(channels: int, resolution: int) -> None:
    images, mean, std = batch(channels=channels), MEAN[:channels], STD[:channels]
    plain = to_float(images, resolution, mean, std)
    last = to_float(images, resolution, mean, std, channels_last=True)
    assert plain.shape == (64, channels, resolution, resolution)
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain, last)


def test_shrinking_is_antialiased() -> None:
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255
    images = board.to(torch.uint8).expand(1, 3, 64, 64)
    shrunk = to_float(images, 8, torch.full((3,), 0.5), torch.ones(3))
    assert shrunk.abs().max() < 0.05


def test_arguments_are_left_alone() -> None:
    images = batch()
    before = images.clone()
    fields = drawn(len(images))
    cut = to_float(images, 16, MEAN, STD)
    translate(images, fields["down"], fields["right"])
    mirror(images, fields["mirrored"])
    kept = cut.clone()
    cutout(cut, fields["row"], fields["column"], 0.5)
    assert torch.equal(images, before)
    assert torch.equal(cut, kept)


def test_translate_is_a_crop_of_the_picture_padded_by_reflection() -> None:
    images, fields = batch(count=200), drawn(200)
    down, right = fields["down"], fields["right"]
    moved = translate(images, down, right)
    padded = pad(images.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    for i, (y, x) in enumerate(zip((2 + down).tolist(), (2 + right).tolist(), strict=True)):
        assert torch.equal(moved[i], padded[i, :, y : y + 16, x : x + 16])
    assert len(set(zip(down.tolist(), right.tolist(), strict=True))) == 25, "all offsets come up"


def test_translate_by_nothing_and_by_half() -> None:
    images, nothing = batch(), torch.zeros(64, dtype=torch.int64)
    assert torch.equal(translate(images, nothing, nothing), images)
    fields = drawn(64, reach=8)
    assert translate(images, fields["down"], fields["right"]).shape == images.shape


def test_translate_of_a_batch_that_is_not_contiguous() -> None:
    fields = drawn(64, reach=4)
    images = batch().to(memory_format=torch.channels_last)
    expected = translate(batch(), fields["down"], fields["right"])
    assert torch.equal(translate(images, fields["down"], fields["right"]), expected)


def test_mirror_mirrors_what_was_drawn_half_of_all() -> None:
    images, mirrored = batch(count=400), drawn(400)["mirrored"]
    flipped = mirror(images, mirrored)
    for i, yes in enumerate(mirrored.tolist()):
        assert torch.equal(flipped[i], images[i].flip(2) if yes else images[i])
    assert abs(int(mirrored.sum()) - 200) < 60  # six standard deviations


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
def test_cutout_clears_one_square_of_the_side_asked_for(fraction: float) -> None:
    images, fields = torch.ones(300, 3, 16, 16), drawn(300)
    cut = cutout(images, fields["row"], fields["column"], fraction)
    assert images.min() == 1
    hole = cut[:, 0] == 0
    assert torch.equal(cut == 0, hole[:, None].expand_as(cut))
    heights, widths = hole.any(2).sum(1), hole.any(1).sum(1)
    assert torch.equal(hole.flatten(1).sum(1), heights * widths)
    assert int(heights.max()) == int(widths.max()) == round(16 * fraction)
    if fraction:
        assert hole[torch.arange(300), fields["row"], fields["column"]].all()


@given(
    pictures=st.integers(1, 60), batch=st.integers(1, 20), reach=st.integers(0, 5),
    flip=st.booleans(), hole_side=st.one_of(st.none(), st.integers(1, 30)), seed=st.integers(0, 99),
)  # fmt: skip
def test_an_epoch_is_drawn_as_its_batches_one_by_one(
    pictures: int, batch: int, reach: int, flip: bool, hole_side: int | None, seed: int
) -> None:
    """What a seed stands for: the order, then each batch's offsets, mirrors and holes."""
    source, other = generator(seed), generator(seed)
    batch = min(batch, pictures)
    for _ in range(2):  # epochs
        found = draw(source, pictures, batch, reach=reach, flip=flip, hole_side=hole_side)
        order = torch.randperm(pictures, generator=other)
        for step in range(pictures // batch):
            expected = torch.zeros(len(FIELDS), batch, dtype=torch.int64)
            expected[0] = order[step * batch : (step + 1) * batch]
            for field in (1, 2):
                offset = torch.randint(-reach, reach + 1, (batch, 1), generator=other)
                expected[field] = offset[:, 0]
            if flip:
                expected[3] = torch.rand(batch, generator=other) < 0.5
            if hole_side is not None:
                for field in (4, 5):
                    centre = torch.randint(0, hole_side, (batch, 1), generator=other)
                    expected[field] = centre[:, 0]
            assert torch.equal(found[step], expected)
        assert len(found) == pictures // batch
    assert torch.equal(source.get_state(), other.get_state())


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draw(generator(), 64, 16, reach=2, flip=True, hole_side=16)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_draw_gives_the_same_batches_on_a_gpu() -> None:
    fields = drawn(64, reach=4)
    there = {name: field.cuda() for name, field in fields.items()}

    def varied(images: torch.Tensor, by: dict[str, torch.Tensor]) -> torch.Tensor:
        return mirror(translate(images, by["down"], by["right"]), by["mirrored"])

    here, moved = varied(batch(), fields), varied(batch().cuda(), there)
    assert torch.equal(here, moved.cpu())
    mean, std = MEAN.cuda(), STD.cuda()
    plain, floats = to_float(here, 9, MEAN, STD), to_float(moved, 9, mean, std)
    torch.testing.assert_close(plain, floats.cpu())
    row, column = fields["row"] % 9, fields["column"] % 9
    cut = cutout(floats, row.cuda(), column.cuda(), 0.5)
    torch.testing.assert_close(cutout(plain, row, column, 0.5), cut.cpu())
