"""Recipes: their key, the proxy twin, refused settings."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cost import cost, parts
from models.families import family
from models.scale import scale
from nas.space import space
from training.evaluator import proxy_recipe
from training.recipe import Recipe, total_stride


def test_key_names_the_settings() -> None:
    assert Recipe().key == Recipe().key
    assert len({Recipe().key, Recipe(lr=0.3).key, Recipe(images=100).key}) == 3


def test_keys_of_before_there_were_micro_batches_are_still_good() -> None:
    """They stand in records and documents."""
    assert proxy_recipe(32, "cpu").key == "6ab514d0"
    assert Recipe(micro_batch=8).key != Recipe().key


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(micro_batch=8, images=100, ema=0.5)])
def test_a_recipe_and_its_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    with pytest.raises(ValueError, match="not a recipe of this version"):
        Recipe.from_dict({**recipe.to_dict(), "unheard": 1})


@pytest.mark.parametrize(("images", "steps"), [(64, 4), (95, 4), (20, 2), (2, 2)])
def test_steps_leave_out_what_fills_no_batch(images: int, steps: int) -> None:
    assert Recipe(epochs=2, batch=32).steps(images) == steps


def test_twin_of_a_scaled_network_grows_with_it() -> None:
    b0 = family("efficientnet-b0")
    recipe = Recipe(resolution=20, drop_strides=1, regularise=False)
    twin = recipe.network(b0, classes=10, channels=1)
    assert (twin.resolution, twin.classes, twin.in_channels) == (20, 10, 1)
    assert (twin.dropout, twin.drop_path) == (0, 0)
    larger = recipe.network(scale(b0, resolution=1.3), classes=10, channels=1)
    assert larger.resolution == 26
    assert [stage.stride for stage in larger.stages] == [stage.stride for stage in twin.stages]


@pytest.mark.parametrize(
    ("name", "drop", "reduction"),
    [
        ("efficientnet-b0", 0, 32),
        ("efficientnet-b0", 1, 16),
        ("efficientnet-b0", 3, 4),
        ("resnet-50", 1, 16),
        ("resnet-50", 2, 8),
        ("resnet-50", 3, 4),
        ("convnext-t", 1, 16),
        ("convnext-t", 2, 8),
        ("convnext-t", 3, 4),
        ("mobilenet-v1", 9, 1),
    ],
)
def test_strides_are_taken_from_the_front(name: str, drop: int, reduction: int) -> None:
    spec = replace(family(name), resolution=128)
    twin = Recipe(drop_strides=drop).network(spec, 10, 3)
    side = parts(twin)[-2].side
    # A patch stem without padding loses the odd pixel: the map may be one short.
    assert side in (128 // reduction, 128 // reduction - 1)


@given(native=st.integers(1, 512), growth=st.floats(1, 3))
def test_proxy_resolution_leaves_room_and_pixels(native: int, growth: float) -> None:
    recipe = proxy_recipe(native, "cpu", growth)
    assert recipe.resolution is not None
    assert 8 <= recipe.resolution <= 32
    if native >= 11 * growth:
        assert recipe.resolution * growth <= 1.07 * native  # "about the pictures' own size"
    twin = recipe.network(family("efficientnet-b0"), 10, 3)
    assert parts(twin)[-2].side >= 2
    assert cost(twin).macs > 0


@given(
    native=st.integers(11, 512),
    reference=st.integers(8, 320),
    stride=st.sampled_from([4, 8, 16, 32]),
)
def test_networks_of_any_resolution_and_stride_are_trained_at_the_proxys(
    native: int, reference: int, stride: int
) -> None:
    recipe = proxy_recipe(native, "cpu", reference=reference, stride=stride)
    spec = replace(family("efficientnet-b0"), resolution=reference)
    assert recipe.side(spec) == recipe.resolution
    left = stride >> recipe.drop_strides
    assert recipe.resolution is not None
    assert recipe.resolution / left > 1
    assert recipe.drop_strides == 0 or recipe.resolution / (2 * left) <= 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [("efficientnet-b0", 32), ("resnet-50", 32), ("convnext-t", 32), ("mobilenet-v2", 32)],
)
def test_total_strides(name: str, expected: int) -> None:
    assert total_stride(family(name)) == expected


def test_total_stride_of_small_pictures_networks() -> None:
    macro = space("macro")
    assert total_stride(macro.spec_of(macro.random(1, np.random.default_rng(0))[0])) == 8


def test_proxy_resolution_of_the_built_in_pictures() -> None:
    assert proxy_recipe(28, "cpu").resolution == 20
    assert proxy_recipe(32, "cpu").resolution == 24


@pytest.mark.parametrize(
    "bad",
    [
        {"optimizer": "lion"},
        {"epochs": -1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"warmup": 1.0},
        {"resolution": 2},
        {"width": -1.0},
        {"cutout": 1.5},
        {"micro_batch": 1},
    ],
)
def test_bad_settings(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Recipe(**bad)  # type: ignore[arg-type]
