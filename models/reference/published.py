"""What papers and repositories say of their networks, each figure with its source.

Only quotations live here; what the networks measure is computed by ``models.reference``. Sizes
are as printed (5.3e6 is "5.3M"), top-1 and top-5 are per cent on ImageNet's validation images,
None is "not given".
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A network's published figures.

    family      networks of one paper, which a figure joins by a line
    resolution  side of the input in pixels; where a table gives none, the size at which the
                network's multiply-adds agree with it
    params, flops, top1, top5    as printed; flops are multiply-adds
    note        where the figures do not match the network that can be built, and why
    """

    name: str
    family: str
    year: int
    resolution: int
    params: float
    flops: float | None
    top1: float | None
    top5: float | None
    source: str
    note: str = ""


class TableRow(NamedTuple):
    """A row of the results table: its group's EfficientNet, and the two ratios as printed."""

    name: str
    group: str
    params_ratio: float
    flops_ratio: float | None


_TABLE = "EfficientNet, arXiv:1905.11946 v5, Table 2"
_TORCHVISION = "torchvision's weights metadata (IMAGENET1K_V1)"
_SLIM_V1 = "tensorflow/models, slim/nets/mobilenet_v1.md"
_SLIM_V2 = "tensorflow/models, slim/nets/mobilenet/README.md"
_CONVNEXT = "facebookresearch/ConvNeXt README (ImageNet-1K, 224 pixels)"
_REXNET = "clovaai/rexnet README"
_MNASNET = "tensorflow/tpu, mnasnet/README.md"
_ITSELF = "the figures are torchvision's own: their agreement says nothing of the paper"

_EFFICIENTNET = "the released code's multipliers give this network in three implementations"

_RESULTS = [
    Published("EfficientNet-B0", "EfficientNet", 2019, 224, 5.3e6, 0.39e9, 77.1, 93.3, _TABLE),
    Published("ResNet-50", "ResNet", 2015, 224, 26e6, 4.1e9, 76.0, 93.0, _TABLE),
    Published("DenseNet-169", "DenseNet", 2016, 224, 14e6, 3.5e9, 76.2, 93.2, _TABLE),
    Published("EfficientNet-B1", "EfficientNet", 2019, 240, 7.8e6, 0.70e9, 79.1, 94.4, _TABLE),
    Published("ResNet-152", "ResNet", 2015, 224, 60e6, 11e9, 77.8, 93.8, _TABLE),
    Published("DenseNet-264", "DenseNet", 2016, 224, 34e6, 6.0e9, 77.9, 93.9, _TABLE),
    Published("Inception-v3", "Inception", 2015, 299, 24e6, 5.7e9, 78.8, 94.4, _TABLE,
              "without the head that only training uses (27.2M with it)"),
    Published("Xception", "Xception", 2016, 299, 23e6, 8.4e9, 79.0, 94.5, _TABLE),
    Published("EfficientNet-B2", "EfficientNet", 2019, 260, 9.2e6, 1.0e9, 80.1, 94.9, _TABLE),
    Published("Inception-v4", "Inception", 2016, 299, 48e6, 13e9, 80.0, 95.0, _TABLE,
              "no network with 48M is found: timm's and pytorchcv's have 42.7M, and the same "
              "paper's Table 5 lists 41M, which is that without its classifier"),
    Published("Inception-ResNet-v2", "Inception", 2016, 299, 56e6, 13e9, 80.1, 95.1, _TABLE),
    Published("EfficientNet-B3", "EfficientNet", 2019, 300, 12e6, 1.8e9, 81.6, 95.7, _TABLE),
    Published("ResNeXt-101", "ResNeXt", 2016, 320, 84e6, 32e9, 80.9, 95.6, _TABLE,
              "64x4d; at 224 pixels it has 15.5G"),
    Published("PolyNet", "PolyNet", 2016, 331, 92e6, 35e9, 81.3, 95.8, _TABLE,
              "no network with 92M is found: pytorchcv's has 95.4M at the published FLOPs"),
    Published("EfficientNet-B4", "EfficientNet", 2019, 380, 19e6, 4.2e9, 82.9, 96.4, _TABLE,
              f"4.2B is below the count, unexplained: {_EFFICIENTNET}"),
    Published("SENet", "SENet", 2017, 320, 146e6, 42e9, 82.7, 96.2, _TABLE,
              "no network with 146M is found: SENet-154 has 115.1M in three implementations, at "
              "the published FLOPs"),
    Published("NASNet-A", "NASNet", 2017, 331, 89e6, 24e9, 82.7, 96.2, _TABLE, "6 @ 4032"),
    Published("AmoebaNet-A", "AmoebaNet", 2018, 331, 87e6, 23e9, 82.8, 96.1, _TABLE,
              "18 normal cells, 190 filters"),
    Published("PNASNet", "PNASNet", 2017, 331, 86e6, 23e9, 82.9, 96.2, _TABLE,
              "23B is a slip for 25B: the row's own ratio of 6.0x times 4.2B is 25B, and "
              "arXiv:1802.01548 prints 25.0B"),
    Published("EfficientNet-B5", "EfficientNet", 2019, 456, 30e6, 9.9e9, 83.6, 96.7, _TABLE,
              f"9.9B is below the count, unexplained: {_EFFICIENTNET}"),
    Published("AmoebaNet-C", "AmoebaNet", 2018, 331, 155e6, 41e9, 83.5, 96.5, _TABLE,
              "18 normal cells, 228 filters"),
    Published("EfficientNet-B6", "EfficientNet", 2019, 528, 43e6, 19e9, 84.0, 96.8, _TABLE),
    Published("EfficientNet-B7", "EfficientNet", 2019, 600, 66e6, 37e9, 84.3, 97.0, _TABLE,
              f"37B is below the count, unexplained: {_EFFICIENTNET}"),
    Published("GPipe", "AmoebaNet", 2018, 480, 557e6, None, 84.3, 97.0, _TABLE,
              "AmoebaNet-B, 18 normal cells, 512 filters; the table leaves its FLOPs out"),
]  # fmt: skip

RESULTS_TABLE = [
    TableRow("EfficientNet-B0", "EfficientNet-B0", 1, 1),
    TableRow("ResNet-50", "EfficientNet-B0", 4.9, 11),
    TableRow("DenseNet-169", "EfficientNet-B0", 2.6, 8.9),
    TableRow("EfficientNet-B1", "EfficientNet-B1", 1, 1),
    TableRow("ResNet-152", "EfficientNet-B1", 7.6, 16),
    TableRow("DenseNet-264", "EfficientNet-B1", 4.3, 8.6),
    TableRow("Inception-v3", "EfficientNet-B1", 3.0, 8.1),
    TableRow("Xception", "EfficientNet-B1", 3.0, 12),
    TableRow("EfficientNet-B2", "EfficientNet-B2", 1, 1),
    TableRow("Inception-v4", "EfficientNet-B2", 5.2, 13),
    TableRow("Inception-ResNet-v2", "EfficientNet-B2", 6.1, 13),
    TableRow("EfficientNet-B3", "EfficientNet-B3", 1, 1),
    TableRow("ResNeXt-101", "EfficientNet-B3", 7.0, 18),
    TableRow("PolyNet", "EfficientNet-B3", 7.7, 19),
    TableRow("EfficientNet-B4", "EfficientNet-B4", 1, 1),
    TableRow("SENet", "EfficientNet-B4", 7.7, 10),
    TableRow("NASNet-A", "EfficientNet-B4", 4.7, 5.7),
    TableRow("AmoebaNet-A", "EfficientNet-B4", 4.6, 5.5),
    TableRow("PNASNet", "EfficientNet-B4", 4.5, 6.0),
    TableRow("EfficientNet-B5", "EfficientNet-B5", 1, 1),
    TableRow("AmoebaNet-C", "EfficientNet-B5", 5.2, 4.1),
    TableRow("EfficientNet-B6", "EfficientNet-B6", 1, 1),
    TableRow("EfficientNet-B7", "EfficientNet-B7", 1, 1),
    TableRow("GPipe", "EfficientNet-B7", 8.4, None),
]

_EARLY = [
    Published("LeNet-5", "LeNet", 1998, 32, 60e3, None, None, None,
              "LeCun et al. 1998, Proc. IEEE 86(11)",
              "grey digits, 10 classes; the original connects C3 partly and trains its pools"),
    Published("AlexNet", "AlexNet", 2012, 227, 60e6, 720e6, 62.5, 83.0,
              "parameters and accuracy (ILSVRC-2010 test): Krizhevsky et al. 2012; FLOPs: "
              "MobileNet, arXiv:1704.04861, Table 9"),
    Published("AlexNet, one GPU", "AlexNet", 2014, 224, 61_100_840, 714e6, 56.522, 79.066,
              _TORCHVISION, f"no groups and no local response norm; {_ITSELF}"),
    Published("VGG-16", "VGG", 2014, 224, 138e6, 15.3e9, 71.5, None,
              "MobileNet, arXiv:1704.04861, Table 8"),
    Published("VGG-19", "VGG", 2014, 224, 143_667_240, 19.632e9, 72.376, 90.876, _TORCHVISION,
              _ITSELF),
    Published("GoogLeNet", "GoogLeNet", 2014, 224, 6.8e6, 1.55e9, 69.8, None,
              "MobileNet, arXiv:1704.04861, Table 8",
              "torchvision's has batch norm, and 3×3 where the paper has 5×5"),
    Published("ResNet-18", "ResNet", 2015, 224, 11_689_512, 1.814e9, 69.758, 89.078, _TORCHVISION,
              _ITSELF),
    Published("ResNet-101", "ResNet", 2015, 224, 44_549_160, 7.801e9, 77.374, 93.546,
              _TORCHVISION, _ITSELF),
    Published("ResNeXt-50 32x4d", "ResNeXt", 2016, 224, 25.0e6, 4.2e9, 77.8, None,
              "ResNeXt, arXiv:1611.05431, Tables 1 and 3"),
    Published("DenseNet-121", "DenseNet", 2016, 224, 7_978_856, 2.834e9, 74.434, 91.972,
              _TORCHVISION, _ITSELF),
    Published("DenseNet-201", "DenseNet", 2016, 224, 20_013_928, 4.291e9, 76.896, 93.37,
              _TORCHVISION, _ITSELF),
]  # fmt: skip

# α, parameters, then for 224, 192, 160 and 128 pixels: FLOPs in millions, top-1, top-5.
_V1_GRID: list[tuple[str, float, list[tuple[int, float, float]]]] = [
    ("1.0", 4.24e6, [(569, 70.9, 89.9), (418, 70.0, 89.2), (291, 68.0, 87.7), (186, 65.2, 85.8)]),
    ("0.75", 2.59e6, [(317, 68.4, 88.2), (233, 67.2, 87.3), (162, 65.3, 86.0), (104, 62.1, 83.9)]),
    ("0.5", 1.34e6, [(150, 63.3, 84.9), (110, 61.7, 83.6), (77, 59.1, 81.9), (49, 56.3, 79.4)]),
    ("0.25", 0.47e6, [(41, 49.8, 74.2), (34, 47.7, 72.3), (21, 45.5, 70.3), (14, 41.5, 66.3)]),
]
_V1_NOTES = {
    "0.75": "the README's FLOPs are below those of the network; the paper prints 325M at 224",
    "0.25-192": "34M does not match the network: 41M·(192/224)² is 30M",
}
_V2 = [
    ("1.4-224", 6.06e6, 582e6, 75.0, 92.5),
    ("1.0-224", 3.47e6, 300e6, 71.8, 91.0),
    ("0.75-224", 2.61e6, 209e6, 69.8, 89.6),
    ("0.5-224", 1.95e6, 97e6, 65.4, 86.4),
    ("0.35-224", 1.66e6, 59e6, 60.3, 82.9),
    ("1.0-192", 3.47e6, 221e6, 70.7, 90.1),
    ("1.0-160", 3.47e6, 154e6, 68.8, 89.0),
    ("1.0-128", 3.47e6, 99e6, 65.3, 86.9),
    ("1.0-96", 3.47e6, 56e6, 60.3, 83.2),
]


def _mobilenets() -> list[Published]:
    rows = []
    for alpha, params, points in _V1_GRID:
        for side, (millions, top1, top5) in zip((224, 192, 160, 128), points, strict=True):
            point = f"{alpha}-{side}"
            note = _V1_NOTES.get(point) or _V1_NOTES.get(alpha, "")
            rows.append(
                Published(
                    f"MobileNetV1 {point}",
                    "MobileNetV1",
                    2017,
                    side,
                    params,
                    millions * 1e6,
                    top1,
                    top5,
                    _SLIM_V1,
                    note,
                )
            )
    for point, params, flops, top1, top5 in _V2:
        side = int(point.split("-")[1])
        rows.append(
            Published(
                f"MobileNetV2 {point}",
                "MobileNetV2",
                2018,
                side,
                params,
                flops,
                top1,
                top5,
                _SLIM_V2,
            )
        )
    return rows


_LATE = [
    Published("MnasNet-A1", "MnasNet", 2018, 224, 3.9e6, 312e6, 75.2, 92.5, _MNASNET),
    Published("MnasNet-B1", "MnasNet", 2018, 224, 4_383_312, 314e6, 73.456, 91.51, _TORCHVISION,
              _ITSELF),
    Published("MnasNet-small", "MnasNet", 2018, 224, 2.0e6, 68e6, 66, None, _MNASNET,
              "the README says about 66 %"),
    Published("ConvNeXt-T", "ConvNeXt", 2022, 224, 28e6, 4.5e9, 82.1, None, _CONVNEXT),
    Published("ConvNeXt-S", "ConvNeXt", 2022, 224, 50e6, 8.7e9, 83.1, None, _CONVNEXT),
    Published("ConvNeXt-B", "ConvNeXt", 2022, 224, 89e6, 15.4e9, 83.8, None, _CONVNEXT),
    Published("ConvNeXt-L", "ConvNeXt", 2022, 224, 198e6, 34.4e9, 84.3, None, _CONVNEXT),
    Published("ConvNeXt-XL", "ConvNeXt", 2022, 224, 350e6, 60.9e9, 87.0, None,
              "facebookresearch/ConvNeXt README (ImageNet-22K pretrained)",
              "pretrained on ImageNet-22K: its accuracy stands apart from the others'"),
    Published("ReXNet x0.9", "ReXNet", 2020, 224, 4.1e6, 0.35e9, 77.2, 93.5, _REXNET),
    Published("ReXNet x1.0", "ReXNet", 2020, 224, 4.8e6, 0.40e9, 77.9, 93.9, _REXNET),
    Published("ReXNet x1.3", "ReXNet", 2020, 224, 7.6e6, 0.66e9, 79.5, 94.7, _REXNET),
    Published("ReXNet x1.5", "ReXNet", 2020, 224, 9.7e6, 0.88e9, 80.3, 95.2, _REXNET),
    Published("ReXNet x2.0", "ReXNet", 2020, 224, 16e6, 1.5e9, 81.6, 95.7, _REXNET,
              "another table of the README gives it the sizes of x2.2"),
    Published("ReXNet x2.2", "ReXNet", 2020, 224, 19e6, 1.8e9, None, None, _REXNET,
              "the sizes stand there under the name ReXNet_2.0; no accuracy is given"),
    Published("ReXNet x3.0", "ReXNet", 2020, 224, 34e6, 3.4e9, 82.8, 96.2, _REXNET),
]  # fmt: skip

PUBLISHED = {row.name: row for row in (*_RESULTS, *_EARLY, *_mobilenets(), *_LATE)}

_ORDER = (
    "LeNet",
    "AlexNet",
    "VGG",
    "GoogLeNet",
    "ResNet",
    "ResNeXt",
    "Xception",
    "MobileNetV1",
    "DenseNet",
    "MobileNetV2",
    "MnasNet",
    "EfficientNet",
    "ReXNet",
    "ConvNeXt",
)
HISTORY = [
    row.name
    for family in _ORDER
    for row in sorted(PUBLISHED.values(), key=lambda row: row.params)
    if row.family == family
]
