"""Published networks: measured integers, the shared table, and what is said of them."""

from __future__ import annotations

import csv
import sys

import pytest
import torch

from models.cost import cost
from models.families import family
from models.reference import CONSTRUCTORS, SPECS, Missing, alexnet, lenet, measure
from models.reference.amoebanet import GENOTYPES, AmoebaNet
from models.reference.count import count_on_meta
from models.reference.published import HISTORY, PUBLISHED, RESULTS_TABLE
from models.scale import scale
from tests.support.paths import REFERENCE, needs_shared

# (macs, params, fvcore): fvcore 0.1.5.post20221221 (evaluation, batch 1, CPU) on torchvision
# 0.29.1, timm 1.0.31 and pytorchcv 0.0.74; the AmoebaNets on an implementation of their own.
GOLDEN = {
    "LeNet-5": (416_520, 61_706, 416_520),
    "AlexNet": (724_406_816, 60_965_224, 724_406_816),
    "AlexNet, one GPU": (714_188_480, 61_100_840, 714_197_696),
    "VGG-16": (15_470_264_320, 138_357_544, 15_470_289_408),
    "GoogLeNet": (1_498_376_192, 6_624_904, 1_504_878_688),
    "DenseNet-169": (3_359_843_328, 14_149_480, 3_397_970_816),
    "Inception-v3": (5_713_216_096, 23_834_568, 5_731_282_144),
    "ResNeXt-101": (31_549_440_000, 83_455_272, 31_677_030_400),
    "AmoebaNet-A": (23_133_663_507, 86_718_797, 23_233_278_245),
}
GOLDEN_SLOW = {
    "VGG-19": (19_632_062_464, 143_667_240, 19_632_087_552),
    "DenseNet-264": (5_751_653_376, 33_337_704, 5_819_811_200),
    "Xception": (8_357_403_496, 22_855_952, 8_399_882_600),
    "Inception-v4": (12_253_974_624, 42_679_816, 12_284_251_296),
    "Inception-ResNet-v2": (13_155_794_016, 55_843_464, 13_182_930_592),
    "PolyNet": (34_699_493_472, 95_366_600, 34_832_537_312),
    "SENet": (42_212_171_776, 115_088_984, 42_370_072_576),
    "NASNet-A": (23_783_414_658, 88_753_150, 23_886_348_558),
    "PNASNet": (24_937_395_792, 86_057_668, 25_044_134_676),
    "AmoebaNet-C": (41_129_488_875, 155_272_667, 41_270_173_107),
    "GPipe": (298_794_036_064, 557_277_864, 299_292_668_128),
    "MnasNet-small": (68_339_184, 2_030_264, 72_709_984),
}
LIBRARIES = {
    "timm": {"Xception", "Inception-v4", "Inception-ResNet-v2", "SENet", "NASNet-A", "PNASNet",
             "MnasNet-small"},
    "pytorchcv": {"PolyNet"},
}  # fmt: skip


def check(name: str, golden: tuple[int, int, int]) -> None:
    for library, networks in LIBRARIES.items():
        if name in networks:
            pytest.importorskip(library)
    assert tuple(measure(name)) == golden


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    check(name, GOLDEN[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN_SLOW)
def test_golden_of_the_others(name: str) -> None:
    check(name, GOLDEN_SLOW[name])


@pytest.mark.slow
def test_the_largest_published_amoebanet() -> None:
    """Real et al. 2019, Table 1: AmoebaNet-A (6, 448) has 469M parameters and 104B FLOPs."""
    found = count_on_meta(lambda: AmoebaNet("A", 18, 448), 331)
    assert found.params == pytest.approx(469e6, rel=0.003)
    at_299 = count_on_meta(lambda: AmoebaNet("A", 18, 448), 299)
    assert at_299.macs == pytest.approx(104e9, rel=0.003)


@pytest.mark.parametrize("genotype", GENOTYPES)
def test_amoebanet_runs_and_every_weight_learns(genotype: str) -> None:
    torch.manual_seed(0)
    network = AmoebaNet(genotype, 3, 16, 5).train()
    logits = network(torch.randn(2, 3, 97, 97))
    assert logits.shape == (2, 5)
    logits.logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    with pytest.raises(ValueError, match="choose one of A, B, C"):
        AmoebaNet("D")
    with pytest.raises(ValueError, match="16 or more"):
        AmoebaNet(genotype, filters=12)


def test_small_classics_run() -> None:
    assert lenet()(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    assert alexnet()(torch.zeros(1, 3, 227, 227)).shape == (1, 1000)


def test_every_published_network_has_exactly_one_way_to_be_measured() -> None:
    assert set(SPECS) | set(CONSTRUCTORS) == set(PUBLISHED)
    assert not set(SPECS) & set(CONSTRUCTORS)
    assert len(RESULTS_TABLE) == 24
    assert {row.name for row in RESULTS_TABLE} <= set(PUBLISHED)
    assert len(set(HISTORY)) == len(HISTORY)
    families = {PUBLISHED[name].family for name in HISTORY}
    assert {"LeNet", "AlexNet", "VGG", "GoogLeNet", "ResNet", "ResNeXt", "Xception", "MobileNetV1",
            "DenseNet", "EfficientNet", "ConvNeXt", "ReXNet", "MobileNetV2",
            "MnasNet"} == families  # fmt: skip
    assert sum(PUBLISHED[name].family == "MobileNetV1" for name in HISTORY) == 16
    with pytest.raises(ValueError, match="no network"):
        measure("ResNet-51")


# Deviations of FLOPs or parameters above this are explained by a note.
UNEXPLAINED = 0.05


def test_large_deviations_are_explained() -> None:
    for name in SPECS:
        found, published = measure(name), PUBLISHED[name]
        for measured, printed in ((found.params, published.params), (found.macs, published.flops)):
            assert printed is None or abs(measured / printed - 1) < UNEXPLAINED or published.note


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("PNASNet", "slip for 25B"),
        ("SENet", "115.1M"),
        ("Inception-v4", "42.7M"),
        ("PolyNet", "95.4M"),
        ("EfficientNet-B4", "unexplained"),
        ("MobileNetV1 0.25-192", "34M does not match"),
        ("MobileNetV1 0.75-224", "325M"),
        ("ReXNet x2.2", "ReXNet_2.0"),
    ],
)
def test_slips_are_named(name: str, said: str) -> None:
    assert said in PUBLISHED[name].note


def test_ratios_agree_with_the_columns_but_for_the_slip() -> None:
    """Each printed ratio is that of the printed columns, to rounding; PNASNet's is not."""
    for row in RESULTS_TABLE:
        one, base = PUBLISHED[row.name], PUBLISHED[row.group]
        assert one.params / base.params == pytest.approx(row.params_ratio, rel=0.03)
        if row.flops_ratio is not None:
            assert one.flops is not None
            assert base.flops is not None
            ratio = one.flops / base.flops
            agrees = ratio == pytest.approx(row.flops_ratio, rel=0.055)
            assert agrees is (row.name != "PNASNet"), row.name


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, library in (("Xception", "timm"), ("PolyNet", "pytorchcv.model_provider")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(Missing, match=r"evenscale\[reference\]"):
            measure(name)


ALIAS = {
    "Inception-ResNet-v2": "Inception-resnet-v2",
    "AlexNet": "AlexNet (2012, grouped)",
    "AlexNet, one GPU": "AlexNet",
}
# Whose squeeze or head is a plain mean in the library that the table was measured on.
MEAN = {"MnasNet-A1", "MnasNet-B1"}


@needs_shared(REFERENCE)
@pytest.mark.parametrize(
    "names", [sorted(SPECS), pytest.param(sorted(CONSTRUCTORS), marks=pytest.mark.slow)]
)
def test_the_measured_table(names: list[str]) -> None:
    with REFERENCE.open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    for name in names:
        row = rows[f"{name} [official]" if name.startswith("ReXNet") else ALIAS.get(name, name)]
        found, published = measure(name), PUBLISHED[name]
        assert found.params == int(row["params_measured"]), name
        assert found.macs == int(row["macs_measured"]), name
        assert name in MEAN or found.fvcore == int(row["flops_measured"]), name
        row = rows[ALIAS.get(name, name)]
        for printed, column in (
            (published.params, "params_published"),
            (published.flops, "flops_published"),
            (published.top1, "top1_published"),
            (published.top5, "top5_published"),
            (published.resolution, "resolution"),
        ):
            assert printed == (float(row[column]) if row[column] else None), (name, column)


@pytest.mark.parametrize("phi", [-4, -2, -1, -0.5])
def test_below_the_baseline(phi: float) -> None:
    """A smaller network is cheaper; the minimums of one layer and eight channels hold."""
    base = family("efficientnet-b0")
    small = scale(base, 1.2**phi, 1.1**phi, 1.15**phi)
    assert all(stage.layers >= 1 and min(stage.widths) >= 8 for stage in small.stages)
    assert cost(small).macs < cost(base).macs
    assert small.resolution < base.resolution


@pytest.mark.parametrize("alpha", [1.0, 0.75, 0.5, 0.25])
@pytest.mark.parametrize("side", [224, 192, 160, 128])
def test_mobilenets_multipliers_reach_the_published_grid(alpha: float, side: int) -> None:
    """Scaling MobileNetV1 by α and ρ gives the network that carries them in its name."""
    scaled = scale(family("mobilenet-v1"), width=alpha, resolution=side / 224)
    assert scaled.key == family(f"mobilenet-v1-{alpha}-{side}").key
