"""torchvision's detectors and segmenters on any network, with the weights of a training or fresh.

    model = faster_rcnn(spec, classes=3, weights=weights, expects=expects)
    losses = model.train()(images, targets)  # as torchvision's reference says

Each function returns torchvision's own class, so that its losses, post-processing and documentation
hold. ``classes`` counts the background, class 0, as theirs does. Maps are those of
``models.deploy.backbone``: nothing is dilated, the last of them has the network's whole stride.
Batch norms are trained like any other layer; where batches are of a picture or two, keep their
statistics with ``model.backbone.body.eval()`` after ``model.train()``.

Sources: SSDLite (Sandler et al. 2018, arXiv:1801.04381, and torchvision's, which is MobileNetV3's),
Faster R-CNN with a feature pyramid (arXiv:1506.01497, 1612.03144), Mask R-CNN (He et al. 2017,
arXiv:1703.06870), LR-ASPP (Howard et al. 2019, arXiv:1905.02244), DeepLabV3 (arXiv:1706.05587).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead
from torchvision.models.segmentation import LRASPP, DeepLabV3
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import Conv2dNormActivation

from models.deploy.backbone import Backbone, backbone
from models.deploy.detector_cost import BINS, EXTRAS, INSIDE, MASK_BINS, PYRAMID
from models.deploy.maps import low_and_high
from models.deploy.preprocessing import Preprocessing
from models.reference.providers import IMAGENET
from models.spec import ArchSpec

Weights = Mapping[str, Tensor] | None
_ANCHOR = 8  # a square anchor's side, in pixels of its map: 32 at stride 4, as torchvision's
_NORM = partial(
    nn.BatchNorm2d, eps=0.001, momentum=0.03
)  # of SSDLite's own layers, as torchvision's
_SAMPLES = 2  # of a bin of a box's pooled map, a side: torchvision's


class _Pyramid(nn.Module):
    """The maps with ``out_channels`` each, and one at twice the last stride."""

    def __init__(self, body: Backbone, out_channels: int) -> None:
        super().__init__()
        self.body, self.out_channels = body, out_channels
        self.fpn = FeaturePyramidNetwork(
            list(body.channels.values()), out_channels, LastLevelMaxPool()
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.fpn(self.body(x))
        return found


class _Extended(nn.Module):
    """The maps and four more, each of half the side of the one before."""

    def __init__(self, body: Backbone) -> None:
        super().__init__()
        self.body = body
        before = (list(body.channels.values())[-1], *EXTRAS)
        self.extra = nn.ModuleList(map(_halved, before, EXTRAS))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.body(x)
        last = found[next(reversed(found))]
        for number, layers in enumerate(self.extra):
            last = found[f"extra {number}"] = layers(last)
        return found  # type: ignore[no-any-return]


def _halved(channels: int, out: int) -> nn.Sequential:
    """1×1, depthwise 3×3 of stride 2, 1×1."""
    make = partial(Conv2dNormActivation, norm_layer=_NORM, activation_layer=nn.ReLU6)
    inside = out // 2
    return nn.Sequential(
        make(channels, inside, kernel_size=1),
        make(inside, inside, kernel_size=3, stride=2, groups=inside),
        make(inside, out, kernel_size=1),
    )


class _Named(nn.Module):
    """Some of the maps, by the names that a segmenter knows them by."""

    def __init__(self, body: Backbone, names: Mapping[str, str]) -> None:
        super().__init__()
        self.body, self._names = body, dict(names)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found = self.body(x)
        return {name: found[stride] for name, stride in self._names.items()}


def faster_rcnn(
    spec: ArchSpec,
    classes: int,
    weights: Weights = None,
    *,
    expects: Preprocessing | None = None,
    channels: int = PYRAMID,
    **options: Any,
) -> FasterRCNN:
    """Faster R-CNN on a pyramid of the maps of stride 4 and more, of ``channels`` each.

    ``expects`` is what the weights were trained by: its moments normalise the pictures; None:
    ImageNet's. ``options`` are torchvision's ``FasterRCNN``'s, such as ``min_size``.

    Raises ValueError where the weights or ``expects`` are another network's.
    """
    body = backbone(spec, weights)
    own = _two_stage(body) | _moments(spec, expects) | options
    return FasterRCNN(_Pyramid(body, channels), classes, **own)


def mask_rcnn(
    spec: ArchSpec,
    classes: int,
    weights: Weights = None,
    *,
    expects: Preprocessing | None = None,
    channels: int = PYRAMID,
    **options: Any,
) -> MaskRCNN:
    """Mask R-CNN: ``faster_rcnn``, of the same arguments, which draws a mask in each box.

    Raises ValueError as it does.
    """
    body = backbone(spec, weights)
    pool = MultiScaleRoIAlign(list(body.channels), MASK_BINS, _SAMPLES)
    own = {"mask_roi_pool": pool} | _two_stage(body) | _moments(spec, expects) | options
    return MaskRCNN(_Pyramid(body, channels), classes, **own)


def _two_stage(body: Backbone) -> dict[str, Any]:
    """Anchors of each map of the pyramid, and what is pooled in a box of them."""
    strides = (*body.strides, 2 * body.strides[-1])
    return {
        "rpn_anchor_generator": AnchorGenerator(
            tuple((_ANCHOR * stride,) for stride in strides), ((0.5, 1.0, 2.0),) * len(strides)
        ),
        "box_roi_pool": MultiScaleRoIAlign(list(body.channels), BINS, _SAMPLES),
    }


def ssdlite(
    spec: ArchSpec,
    classes: int,
    weights: Weights = None,
    *,
    expects: Preprocessing | None = None,
    side: int = 320,
    **options: Any,
) -> SSD:
    """SSDLite on the maps of stride 16 and more and four added ones, for pictures resized to
    ``side`` × ``side`` pixels.

    ``expects`` as of ``faster_rcnn``; ``options`` are torchvision's ``SSD``'s. What is not said
    among these is as torchvision's ``ssdlite320_mobilenet_v3_large`` has it.

    Raises ValueError where the weights or ``expects`` are another network's, or it has no such map.
    """
    features = _Extended(backbone(spec, weights, least=16))
    channels = [*features.body.channels.values(), *EXTRAS]
    anchors = DefaultBoxGenerator([[2, 3]] * len(channels), min_ratio=0.2, max_ratio=0.95)
    own = {
        "head": SSDLiteHead(channels, anchors.num_anchors_per_location(), classes, _NORM),
        "score_thresh": 0.001,
        "nms_thresh": 0.55,
        "detections_per_img": 300,
        "topk_candidates": 300,
    }
    given = own | _moments(spec, expects) | options
    return SSD(features, anchors, (side, side), classes, **given)


def lraspp(
    spec: ArchSpec, classes: int, weights: Weights = None, *, inside: int = INSIDE
) -> LRASPP:
    """LR-ASPP on the maps of stride 8 and of the network's whole stride, ``inside`` channels.

    It takes pictures normalised as the weights were trained: torchvision's segmenters do not do it.

    Raises ValueError where the weights are another network's, or it has no map of stride 8 and none
    after it.
    """
    body = backbone(spec, weights)
    low, high = map(str, low_and_high(spec))
    features = _Named(body, {"low": low, "high": high})
    return LRASPP(features, body.channels[low], body.channels[high], classes, inside)


def deeplab(spec: ArchSpec, classes: int, weights: Weights = None) -> DeepLabV3:
    """DeepLabV3 on the map of the network's whole stride.

    The paper dilates the last stages to a stride of 8 or 16; here the map is coarser, 32 as a rule,
    and the head's rates of 12, 24 and 36 reach past the edges of small pictures. Pictures are
    normalised by the caller, as of ``lraspp``; a batch for training has more than one.

    Raises ValueError where the weights are another network's.
    """
    body = backbone(spec, weights)
    last = list(body.channels)[-1]
    return DeepLabV3(_Named(body, {"out": last}), DeepLabHead(body.channels[last], classes))


def _moments(spec: ArchSpec, expects: Preprocessing | None) -> dict[str, list[float]]:
    """How torchvision's detectors are told to normalise pictures in 0 to 1."""
    moments = IMAGENET
    if expects is not None:
        expects.check(spec)
        moments = expects.mean, expects.std
    mean, std = (list(one[: spec.in_channels]) for one in moments)
    return {"image_mean": mean, "image_std": std}
