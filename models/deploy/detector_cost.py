"""What a detector or a segmenter costs as a whole, in closed form: a network's maps and the head.

The convention is that of ``models.cost``, for one square picture in evaluation mode. Heads are
written down as layers and folded as networks are. Resizing of pictures, maps and answers is not
counted, which fvcore's total has beside these; pooling in boxes and what is done with boxes
afterwards neither counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from models.cost import ZERO, Cost, Part, Shape, fold, parts
from models.deploy.maps import last_maps, low_and_high
from models.plan import Conv, GlobalPool, Layer, Linear, Norm
from models.spec import ArchSpec

EXTRAS = (512, 256, 256, 128)  # channels of the maps that SSDLite adds, as torchvision's
BINS = 7  # of a box's pooled map, a side: torchvision's
MASK_BINS = 14  # and of one that Mask R-CNN draws from
PYRAMID, INSIDE = 256, 128  # channels of Faster R-CNN's pyramid, and inside LR-ASPP
TWO_STAGE = ("faster-rcnn", "mask-rcnn")  # which propose boxes, and classify what they pooled there
_BOXES = 1000  # that these classify at most: ``rpn_post_nms_top_n_test``
_OBJECTS = 100  # of which Mask R-CNN draws a mask at most: ``box_detections_per_img``
_PRIORS, _ANCHORS = 6, 3  # boxes a pixel of SSDLite's maps, and of Faster R-CNN's
_DENSE, _ASPP, _RATES = 1024, 256, 3  # Faster R-CNN's hidden layers; DeepLabV3's channels and rates
_DRAWING, _DRAWN = 4, 256  # Mask R-CNN's convolutions before it enlarges a mask, and their channels


class _Piece(NamedTuple):
    """Layers of a head, and the maps that they are applied to with the same weights."""

    layers: Sequence[Layer]
    shapes: list[Shape]
    times: int = 1  # to each of them
    biases: int = 0  # besides those of the layers

    def cost(self) -> Cost:
        """Of all the maps; weights are there once."""
        total = ZERO
        for shape in self.shapes:
            one, _ = fold(self.layers, shape)
            total = total.plus(one.times(self.times))
        return total._replace(params=one.params + self.biases)


_Maps = dict[int, Part]


def head_cost(
    kind: str,
    spec: ArchSpec,
    classes: int,
    side: int,
    boxes: int = _BOXES,
    objects: int = _OBJECTS,
) -> Cost:
    """Of ``models.deploy.heads.KINDS`` on ``spec``, for a picture of ``side`` × ``side`` pixels.

    ``classes`` counts the background. ``TWO_STAGE`` pad pictures to a multiple of 32, which is
    counted too, and classify ``boxes`` of their proposals, if there are so many; Mask R-CNN draws
    the masks of ``objects`` that it finds.

    Raises ValueError where the side or the network has no maps for it.
    """
    if kind in TWO_STAGE:
        side = -(-side // 32) * 32
    *body, _head = parts(replace(spec, resolution=side))
    maps = {stride: body[number] for stride, number in last_maps(spec).items()}
    pieces: Iterator[_Piece]
    if kind == "mask-rcnn":
        pieces = chain(_faster_rcnn(maps, classes, boxes), _masks(classes, objects))
    elif kind == "faster-rcnn":
        pieces = _faster_rcnn(maps, classes, boxes)
    elif kind == "ssdlite":
        pieces = _ssdlite(spec, maps, classes)
    elif kind == "lraspp":
        pieces = _lraspp(spec, maps, classes)
    else:
        pieces = _deeplab(maps, classes)
    total = ZERO
    for one in (*(part.cost for part in body), *(piece.cost() for piece in pieces)):
        total = total.plus(one)
    return total


def _lraspp(spec: ArchSpec, maps: _Maps, classes: int) -> Iterator[_Piece]:
    low, high = (maps[stride] for stride in low_and_high(spec))
    yield _Piece([Conv(high.channels, INSIDE, 1), _norm(INSIDE)], [_shape(high)])
    yield _Piece([GlobalPool(), Conv(high.channels, INSIDE, 1)], [_shape(high)])
    yield _Piece([Conv(low.channels, classes, 1, bias=True)], [_shape(low)])
    # torchvision enlarges the map before it classifies its pixels.
    yield _Piece([Conv(INSIDE, classes, 1, bias=True)], [(INSIDE, low.side)])


def _deeplab(maps: _Maps, classes: int) -> Iterator[_Piece]:
    shape = channels, side = _shape(list(maps.values())[-1])
    # Dilation changes no count: each output still has nine inputs.
    for kernel in (1, *(3,) * _RATES):  # the pixel's own, and one of each rate
        yield _Piece([_conv(channels, _ASPP, kernel), _norm(_ASPP)], [shape])
    yield _Piece([GlobalPool(), Conv(channels, _ASPP, 1), _norm(_ASPP)], [shape])
    together = (_RATES + 2) * _ASPP
    yield _Piece(
        [
            Conv(together, _ASPP, 1), _norm(_ASPP), _conv(_ASPP, _ASPP, 3), _norm(_ASPP),
            Conv(_ASPP, classes, 1, bias=True),
        ],
        [(together, side)],
    )  # fmt: skip


def _ssdlite(spec: ArchSpec, maps: _Maps, classes: int) -> Iterator[_Piece]:
    shapes = [_shape(maps[stride]) for stride in last_maps(spec, 16)]
    for out in EXTRAS:
        halving = _halving(shapes[-1][0], out)
        yield _Piece(halving, [shapes[-1]])
        shapes.append(fold(halving, shapes[-1])[1])
    for channels, side in shapes:
        for outputs in (classes, 4):
            layers: list[Layer] = [
                _conv(channels, channels, 3, channels), _norm(channels),
                Conv(channels, _PRIORS * outputs, 1, bias=True),
            ]  # fmt: skip
            yield _Piece(layers, [(channels, side)])


def _halving(channels: int, out: int) -> list[Conv | Norm]:
    inside = out // 2
    return [
        Conv(channels, inside, 1), _norm(inside), Conv(inside, inside, 3, 2, inside, 1),
        _norm(inside), Conv(inside, out, 1), _norm(out),
    ]  # fmt: skip


def _faster_rcnn(maps: _Maps, classes: int, boxes: int) -> Iterator[_Piece]:
    for one in maps.values():
        into = [Conv(one.channels, PYRAMID, 1, bias=True), _conv(PYRAMID, PYRAMID, 3, bias=True)]
        yield _Piece(into, [_shape(one)])
    sides = [one.side for one in maps.values()]
    on = [(PYRAMID, side) for side in (*sides, -(-sides[-1] // 2))]
    yield _Piece([_conv(PYRAMID, PYRAMID, 3, bias=True)], on)
    for outputs in (1, 4):
        yield _Piece([Conv(PYRAMID, _ANCHORS * outputs, 1, bias=True)], on)
    pooled = PYRAMID * BINS**2
    for outputs in (classes, 4 * classes):
        yield _Piece([Linear(_DENSE, outputs)], [(_DENSE, 1)], boxes)
    yield _Piece([Linear(pooled, _DENSE), Linear(_DENSE, _DENSE)], [(pooled, 1)], boxes)


def _masks(classes: int, objects: int) -> Iterator[_Piece]:
    """Of each object that was found; pooled maps have ``PYRAMID`` channels as ``_DRAWN``."""
    layers = [_conv(_DRAWN, _DRAWN, 3, bias=True)] * _DRAWING
    yield _Piece(layers, [(_DRAWN, MASK_BINS)], objects)
    # Transposed, 2 × 2 with stride 2: a pixel becomes four, with a kernel and no bias of its own.
    yield _Piece([Conv(_DRAWN, 4 * _DRAWN, 1)], [(_DRAWN, MASK_BINS)], objects, biases=_DRAWN)
    yield _Piece([Conv(_DRAWN, classes, 1, bias=True)], [(_DRAWN, 2 * MASK_BINS)], objects)


def _shape(part: Part) -> Shape:
    return part.channels, part.side


def _conv(cin: int, cout: int, kernel: int, groups: int = 1, bias: bool = False) -> Conv:
    """Which keeps the side of its map."""
    return Conv(cin, cout, kernel, 1, groups, kernel // 2, bias)


def _norm(channels: int) -> Norm:
    return Norm("batch", channels, 1e-5, 0.1)
