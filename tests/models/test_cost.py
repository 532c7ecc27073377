"""The closed form against fvcore, torch's counter, the built module, and published integers."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from models.build import build
from models.cost import ZERO, cost, fold, parts
from models.families import family, names
from models.plan import Act, Flatten
from models.scale import scale
from models.spec import ArchSpec
from tests.support.paths import REFERENCE, needs_shared
from tests.support.strategies import specs

# (macs, params, fvcore): fvcore 0.1.5 and torch's FlopCounterMode on torchvision 0.29's modules;
# ReXNet's fvcore total on the published code, whose squeeze is an adaptive pool as ours is; Lite on
# timm 1.0.31's tf_efficientnet_lite0 to 4.
GOLDEN = {
    "efficientnet-b0": (385_814_752, 5_288_548, 401_659_392),
    "efficientnet-b1": (686_802_832, 7_794_184, 712_732_416),
    "efficientnet-b2": (993_561_872, 9_109_994, 1_026_579_120),
    "efficientnet-b3": (1_827_141_392, 12_233_232, 1_883_903_568),
    "efficientnet-b4": (4_393_771_024, 19_341_616, 4_512_495_200),
    "efficientnet-b5": (10_266_384_752, 30_389_784, 10_505_072_320),
    "efficientnet-b6": (19_067_593_536, 43_040_704, 19_472_062_160),
    "efficientnet-b7": (37_745_884_192, 66_347_960, 38_449_437_600),
    "efficientnet-lite0": (385_187_552, 4_652_008, 398_725_664),
    "efficientnet-lite1": (600_185_232, 5_416_680, 620_551_408),
    "efficientnet-lite2": (859_736_272, 6_092_072, 885_629_152),
    "efficientnet-lite3": (1_383_321_872, 8_197_096, 1_421_394_160),
    "efficientnet-lite4": (2_553_034_336, 13_006_568, 2_610_838_944),
    "mobilenet-v2": (300_774_272, 3_504_872, 314_193_216),
    "mobilenet-v2-1.4": (582_195_824, 6_108_776, 601_430_480),
    "resnet-50": (4_089_184_256, 25_557_032, 4_111_512_576),
    "resnet-152": (11_513_626_624, 60_192_808, 11_558_835_200),
    "convnext-t": (4_455_531_264, 28_589_128, 4_470_437_376),
    "rexnet-0.9": (347_691_428, 4_091_257, 363_118_764),
    "rexnet-1.0": (398_370_392, 4_796_873, 414_561_072),
    "rexnet-3.0": (3_395_980_620, 34_708_792, 3_444_722_892),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    found = cost(family(name))
    assert (found.macs, found.params, found.fvcore) == GOLDEN[name]


def test_golden_at_other_inputs() -> None:
    b0 = family("efficientnet-b0")
    assert cost(replace(b0, classes=10)).fvcore == 400_392_192
    small = cost(replace(b0, classes=10, resolution=32))
    assert (small.macs, small.params, small.fvcore) == (8_474_848, 4_020_358, 8_798_208)
    assert cost(replace(family("efficientnet-b3"), resolution=97)).fvcore == 261_979_160
    assert cost(family("mobilenet-v2-0.5-160")).fvcore == 53_930_400


REFERENCE_NAMES = {
    **{f"EfficientNet-B{i}": f"efficientnet-b{i}" for i in range(8)},
    **{f"ReXNet x{w} [official]": f"rexnet-{w}" for w in (0.9, "1.0", 1.3, 1.5, "2.0", 2.2, "3.0")},
    **{f"ConvNeXt-{s}": f"convnext-{s.lower()}" for s in ("T", "S", "B", "L", "XL")},
    **{f"ResNet-{n}": f"resnet-{n}" for n in (18, 50, 101, 152)},
    **{
        f"MobileNetV1 {a}-{r}": f"mobilenet-v1-{a}-{r}"
        for a in ("1.0", 0.75, 0.5, 0.25)
        for r in (224, 192, 160, 128)
    },
    **{f"MobileNetV2 {w}-224": f"mobilenet-v2-{w}" for w in (1.4, "1.0", 0.75, 0.5, 0.35)},
    "ResNeXt-50 32x4d": "resnext-50",
    "MnasNet-A1": "mnasnet-a1",
    "MnasNet-B1": "mnasnet-b1",
}


@needs_shared(REFERENCE)
def test_every_measured_reference_network() -> None:
    """All rows of the measured table that a plan can express; others squeeze with ``mean``."""
    with REFERENCE.open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    mean_pooled = {"MnasNet-A1", "MnasNet-B1"}
    for published, name in REFERENCE_NAMES.items():
        row, found = rows[published], cost(family(name))
        assert found.params == int(row["params_measured"]), published
        assert found.macs == int(row["macs_measured"]), published
        if published not in mean_pooled:
            assert found.fvcore == int(row["flops_measured"]), published


def fvcore_total(spec: ArchSpec) -> int:
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    x = torch.zeros(1, spec.in_channels, spec.resolution, spec.resolution)
    total: int = FlopCountAnalysis(build(spec).eval(), x).total()
    return total


def check_against_module(spec: ArchSpec) -> None:
    """Parameters, multiply-adds and activations as the built module has them (meta device)."""
    found = cost(spec)
    with torch.device("meta"):
        module = build(spec).eval()
        x = torch.zeros(1, spec.in_channels, spec.resolution, spec.resolution)
    assert found.params == sum(p.numel() for p in module.parameters())
    elements = 0

    def add(_: object, __: object, output: torch.Tensor) -> None:
        nonlocal elements
        elements += output.numel()

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(add)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = module(x)
    assert counter.get_total_flops() == 2 * found.macs
    assert elements == found.activations
    assert logits.shape == (1, spec.classes)


LARGE = {"convnext-l", "convnext-xl", "efficientnet-b6", "efficientnet-b7"}


@pytest.mark.parametrize("name", [n for n in names() if n not in LARGE])
def test_families_equal_the_module(name: str) -> None:
    check_against_module(replace(family(name), resolution=97))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_any_spec_equals_the_module(spec: ArchSpec) -> None:
    check_against_module(spec)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs(), st.floats(0.5, 2.2), st.floats(0.3, 2.2), st.floats(0.9, 1.7))
def test_any_scaled_spec_equals_fvcore(spec: ArchSpec, d: float, w: float, r: float) -> None:
    scaled = scale(spec, d, w, r)
    assert fvcore_total(scaled) == cost(scaled).fvcore
    check_against_module(scaled)


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "mnasnet-a1", "mobilenet-v1-0.5-160", "rexnet-1.0", "resnet-18"]
)
def test_fvcore_on_scaled_families(name: str) -> None:
    spec = scale(replace(family(name), resolution=75), 1.13, 1.07, 1.19)
    assert fvcore_total(spec) == cost(spec).fvcore


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in names() if n != "convnext-xl"])
def test_fvcore_on_every_family(name: str) -> None:
    spec = replace(family(name), resolution=65)
    assert fvcore_total(spec) == cost(spec).fvcore


def test_parts_sum_to_the_whole() -> None:
    spec = family("efficientnet-b0")
    found = parts(spec)
    assert sum(part.cost.macs for part in found) == cost(spec).macs
    assert [part.channels for part in found] == [32, 16, 24, 40, 80, 112, 192, 320, 1000]
    assert [part.side for part in found] == [112, 112, 56, 28, 14, 14, 7, 7, 1]


def test_too_small_a_resolution_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="raise the resolution"):
        cost(replace(family("convnext-t"), resolution=3))


def test_a_layer_of_unknown_cost_is_no_free_layer() -> None:
    class Mystery(NamedTuple):
        channels: int

    with pytest.raises(TypeError, match="Mystery"):
        fold([Mystery(3)], (3, 8))  # type: ignore[list-item]
    assert fold([Act("relu"), Flatten()], (3, 8)) == (ZERO, (3, 8))
