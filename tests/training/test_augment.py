"""Batches for a network: normalised, resized, and varied by the generator passed in alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import pad

from training.loop.augment import augment, cutout, horizontal_flip, to_float, translate

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 64, channels: int = 3, side: int = 16) -> torch.Tensor:
    shape = (count, channels, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(99))


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


def test_to_float_leaves_its_argument_alone() -> None:
    images = batch()
    before = images.clone()
    to_float(images, 16, MEAN, STD)
    augment(images, generator(), flip=True)
    assert torch.equal(images, before)


def test_translate_is_a_crop_of_the_picture_padded_by_reflection() -> None:
    images = batch(count=200)
    moved = translate(images, generator(), 0.125)
    padded = pad(images.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    crops = torch.stack(
        [padded[:, :, y : y + 16, x : x + 16] for y in range(5) for x in range(5)], 1
    )
    found = (crops == moved[:, None]).flatten(2).all(2)
    assert found.any(1).all()
    assert found.any(0).all(), "every one of the 25 offsets comes up among 200 pictures"


def test_translate_by_nothing_and_by_half() -> None:
    images = batch()
    assert torch.equal(translate(images, generator(), 0.0), images)
    assert translate(images, generator(), 0.5).shape == images.shape


def test_translate_of_a_batch_that_is_not_contiguous() -> None:
    images = batch().to(memory_format=torch.channels_last)
    expected = translate(batch(), generator(), 0.25)
    assert torch.equal(translate(images, generator(), 0.25), expected)


def test_horizontal_flip_mirrors_half() -> None:
    images = batch(count=400)
    flipped = horizontal_flip(images, generator())
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    same = (flipped == images).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert abs(int(mirrored.sum()) - 200) < 60  # six standard deviations


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 1.0])
def test_cutout_clears_one_square_of_the_side_asked_for(fraction: float) -> None:
    images = torch.ones(300, 3, 16, 16)
    cut = cutout(images, generator(), fraction)
    assert images.min() == 1
    hole = cut[:, 0] == 0
    assert torch.equal(cut == 0, hole[:, None].expand_as(cut))
    heights, widths = hole.any(2).sum(1), hole.any(1).sum(1)
    assert torch.equal(hole.flatten(1).sum(1), heights * widths)
    assert int(heights.max()) == int(widths.max()) == round(16 * fraction)


@pytest.mark.parametrize("flip", [False, True])
def test_the_same_seed_gives_the_same_batches(flip: bool) -> None:
    def three(seed: int) -> list[torch.Tensor]:
        source = generator(seed)
        return [augment(batch(), source, shift=0.25, flip=flip) for _ in range(3)]

    first, again, other = three(5), three(5), three(6)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = augment(batch(), generator(), flip=True)
    cutout(to_float(first, 16, MEAN, STD), generator(), 0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_flip_no_picture_is_mirrored() -> None:
    ramp = torch.arange(16, dtype=torch.uint8).expand(50, 1, 16, 16)
    moved = augment(ramp, generator(), shift=0.125, flip=False)
    middle = moved[:, :, :, 2:14].int().diff(dim=3)
    assert (middle == 1).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cpu_generator_gives_the_same_batches_on_a_gpu() -> None:
    here = augment(batch(), generator(), shift=0.25, flip=True)
    there = augment(batch().cuda(), generator(), shift=0.25, flip=True)
    assert torch.equal(here, there.cpu())
    mean, std = MEAN.cuda(), STD.cuda()
    torch.testing.assert_close(to_float(here, 9, MEAN, STD), to_float(there, 9, mean, std).cpu())
    on_device = torch.Generator("cuda").manual_seed(0)
    assert augment(there, on_device, flip=True).device.type == "cuda"
    assert cutout(to_float(there, 9, mean, std), on_device, 0.5).device.type == "cuda"
