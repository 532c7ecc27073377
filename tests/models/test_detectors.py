"""torchvision's heads on networks of this project's: shapes, weights, cost, and that they learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.ops import box_iou

from models.build import build
from models.cost import parts
from models.deploy.detectors import deeplab, faster_rcnn, lraspp, mask_rcnn, ssdlite
from models.deploy.preprocessing import Preprocessing
from models.families import family
from models.spec import ArchSpec
from tests.support.docs import example

SIDE = 96
TINY = replace(family("mobilenet-v1-0.25-128"), resolution=SIDE, classes=3)
B0 = replace(family("efficientnet-b0"), resolution=SIDE, classes=3)
Made = Callable[..., nn.Module]
# Their defaults are for photographs of a thousand pixels and two thousand boxes.
SMALL = {
    "min_size": SIDE, "max_size": SIDE, "rpn_pre_nms_top_n_train": 100,
    "rpn_post_nms_top_n_train": 50,
}  # fmt: skip
DETECTORS: dict[str, tuple[Made, dict[str, Any]]] = {
    "faster_rcnn": (faster_rcnn, {"channels": 32, **SMALL}),
    "mask_rcnn": (mask_rcnn, {"channels": 32, **SMALL}),
    "ssdlite": (ssdlite, {"side": SIDE}),
}


def drawn() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Three pictures of squares: red ones are class 1, blue ones class 2."""
    generator = torch.Generator().manual_seed(0)
    pictures, targets = [], []
    for places in ([(8, 12, 30, 1)], [(50, 40, 36, 2)], [(4, 56, 32, 2), (52, 6, 34, 1)]):
        picture = 0.5 + 0.02 * torch.rand(3, SIDE, SIDE, generator=generator)
        for left, top, side, label in places:
            square = torch.tensor([1.0, 0, 0] if label == 1 else [0, 0, 1.0])
            picture[:, top : top + side, left : left + side] = square[:, None, None]
        boxes = [[left, top, left + side, top + side] for left, top, side, _ in places]
        masks = torch.zeros(len(places), SIDE, SIDE, dtype=torch.uint8)
        for mask, (left, top, side, _) in zip(masks, places, strict=True):
            mask[top : top + side, left : left + side] = 1
        pictures.append(picture)
        targets.append({
            "boxes": torch.tensor(boxes, dtype=torch.float32),
            "labels": torch.tensor([label for *_, label in places]),
            "masks": masks,
        })  # fmt: skip
    return pictures, targets


@pytest.mark.parametrize("spec", [TINY, B0], ids=["mobilenet-v1", "efficientnet-b0"])
@pytest.mark.parametrize("name", DETECTORS)
def test_losses_reach_the_first_weights_and_boxes_come_out(name: str, spec: ArchSpec) -> None:
    torch.manual_seed(0)
    make, options = DETECTORS[name]
    model, (pictures, targets) = make(spec, 3, **options), drawn()
    losses = model.train()(pictures, targets)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    first = next(model.backbone.body.parameters())  # type: ignore[union-attr]
    assert first.grad is not None
    assert first.grad.abs().max() > 0
    with torch.no_grad():
        found = model.eval()(pictures)
    assert len(found) == 3
    for one in found:
        assert one["boxes"].shape == (len(one["scores"]), 4)
        assert set(one["labels"].tolist()) <= {1, 2}
        assert ((one["boxes"] >= 0) & (one["boxes"] <= SIDE)).all()
        assert ("masks" in one) is (name == "mask_rcnn")
        if "masks" in one:
            assert one["masks"].shape == (len(one["scores"]), 1, SIDE, SIDE)


def test_anchors_are_torchvisions_where_strides_are() -> None:
    from torchvision.models.detection.faster_rcnn import _default_anchorgen

    usual, own = _default_anchorgen(), faster_rcnn(B0, 3).rpn.anchor_generator
    assert own.sizes == usual.sizes
    assert own.aspect_ratios == usual.aspect_ratios


def test_the_maps_of_ssdlite_halve() -> None:
    model = ssdlite(B0, 3).eval()
    with torch.no_grad():
        found = model.backbone(torch.rand(1, 3, 320, 320))
    assert [tuple(one.shape[1:]) for one in found.values()] == [
        (112, 20, 20), (320, 10, 10), (512, 5, 5), (256, 3, 3), (256, 2, 2), (128, 1, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("make", [lraspp, deeplab])
def test_segments_have_the_pictures_size_and_reach_the_first_weights(make: Made) -> None:
    torch.manual_seed(0)
    model, masks = make(TINY, 4).train(), torch.randint(4, (2, 64, 96))
    found = model(torch.rand(2, 3, 64, 96))["out"]
    assert found.shape == (2, 4, 64, 96)
    nn.functional.cross_entropy(found, masks).backward()
    assert next(model.backbone.body.parameters()).grad.abs().max() > 0  # type: ignore[union-attr]


@pytest.mark.parametrize("make", [faster_rcnn, mask_rcnn, ssdlite, lraspp, deeplab])
def test_weights_are_the_trainings(make: Made) -> None:
    torch.manual_seed(0)
    network = build(TINY).eval()
    model = make(TINY, 3, network.state_dict()).eval()
    x = torch.rand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        last = list(model.backbone.body(x).values())[-1]  # type: ignore[union-attr,operator]
        assert torch.equal(network.head(last), network(x))  # type: ignore[operator]
    other = build(replace(TINY, classes=5)).state_dict()
    with pytest.raises(ValueError, match="classes"):
        make(TINY, 3, other)


@pytest.mark.parametrize("name", DETECTORS)
def test_pictures_are_normalised_as_in_the_training(name: str) -> None:
    make, options = DETECTORS[name]
    expects = Preprocessing(("a", "b", "c"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), SIDE)
    transform = make(TINY, 3, expects=expects, **options).transform
    assert (transform.image_mean, transform.image_std) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    grey = make(replace(TINY, in_channels=1), 3, **options).eval()
    with torch.no_grad():
        assert len(grey([torch.rand(1, SIDE, SIDE)])) == 1
    with pytest.raises(ValueError, match="preprocessing is of"):
        make(replace(TINY, classes=7), 3, expects=expects, **options)


def test_the_documented_program(tmp_path: Path) -> None:
    expects = Preprocessing(("a", "b", "c"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), SIDE)
    expects.write(tmp_path)
    (tmp_path / "spec.json").write_text(TINY.to_json())
    save_file(build(TINY).state_dict(), tmp_path / "weights.safetensors")
    names: dict[str, Any] = {"run": str(tmp_path)}
    exec(example("deploy.md", "Detectors and segmenters"), names)
    assert names["model"].transform.image_mean == [0.1, 0.2, 0.3]


def test_networks_without_the_maps_are_refused() -> None:
    shallow = replace(TINY, stages=TINY.stages[:1])
    with pytest.raises(ValueError, match="LR-ASPP takes 8"):
        lraspp(replace(TINY, stages=TINY.stages[:3]), 3)
    with pytest.raises(ValueError, match="no map of a stride of 16"):
        ssdlite(shallow, 3)


@pytest.mark.parametrize("side", [64, 96, 100])
def test_lraspp_costs_what_its_layers_say(side: int) -> None:
    """Multiply-adds in closed form against fvcore's of the built one, integer for integer."""
    spec, classes, inside = replace(B0, resolution=side), 5, 64
    *body, _ = parts(spec)
    last = body[-1]
    low = next(part for part in reversed(body) if part.side == -(-side // 8))
    wanted = sum(part.cost.macs for part in body)
    wanted += inside * last.channels * (last.side**2 + 1)  # of every pixel, and of their mean
    wanted += classes * (low.channels + inside) * low.side**2
    counted = FlopCountAnalysis(
        lraspp(spec, classes, inside=inside).eval(), torch.zeros(1, 3, side, side)
    )
    counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    found = counted.by_operator()
    assert found["conv"] == wanted
    assert "linear" not in found


# ---------------------------------------------------------------- learning


def trained(model: nn.Module, loss: Callable[[], Tensor], steps: int, rate: float) -> nn.Module:
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faster_rcnn", "ssdlite"])  # masks: tests/training/test_scenes.py
def test_a_detector_learns_three_pictures_by_heart(name: str) -> None:
    torch.manual_seed(0)
    make, options = DETECTORS[name]
    model, (pictures, targets) = make(TINY, 3, **options).train(), drawn()
    trained(model, lambda: sum(model(pictures, targets).values()), 150, 3e-3)
    with torch.no_grad():
        found = model(pictures)
    for one, target in zip(found, targets, strict=True):
        sure = one["scores"] > 0.5
        same = one["labels"][sure] == target["labels"][:, None]
        overlap = box_iou(target["boxes"], one["boxes"][sure]) * same
        assert overlap.max(1).values.min() > 0.6, "each is found, by its own class"
        assert overlap.max(0).values.min() > 0.3, "and nothing elsewhere"


@pytest.mark.slow
def test_a_segmenter_learns_three_pictures_by_heart() -> None:
    torch.manual_seed(0)
    drawings, targets = drawn()
    pictures = torch.stack(drawings)
    masks = torch.zeros(3, SIDE, SIDE, dtype=torch.long)
    for mask, target in zip(masks, targets, strict=True):
        for (left, top, right, bottom), label in zip(
            target["boxes"].int().tolist(), target["labels"].tolist(), strict=True
        ):
            mask[top:bottom, left:right] = label
    model = lraspp(TINY, 3).train()
    trained(model, lambda: nn.functional.cross_entropy(model(pictures)["out"], masks), 100, 3e-3)
    with torch.no_grad():
        found = model(pictures)["out"].argmax(1)
    for label in (1, 2):
        both = ((found == label) & (masks == label)).sum()
        either = ((found == label) | (masks == label)).sum()
        assert both / either > 0.6
