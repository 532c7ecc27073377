"""Detectors and segmenters by name: what they cost in closed form, and read again as written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from safetensors.torch import save_file
from torch import Tensor, nn

from models.deploy.detector_cost import head_cost
from models.deploy.heads import DETECTORS, KINDS, Head, read_head
from models.families import family
from models.spec import ArchSpec
from nas.space import space

_B0, _MNASNET = family("efficientnet-b0"), space("mnasnet")
_CHANGED = {"block1_op": "mbconv3", "block2_k": 3, "block3_se": 0, "block4_l": 2}
SPECS = {
    "efficientnet": _B0,
    "rexnet": family("rexnet-1.0"),
    "resnet": family("resnet-18"),
    "found": _MNASNET.spec(dict(_MNASNET.choices_of(_B0) or {}) | _CHANGED),
}
MOMENTS: dict[str, Any] = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.3)}


def head(kind: str, side: int, names: tuple[str, ...] = ("background", "a", "b")) -> Head:
    return Head(kind, names, side=side, **MOMENTS)


class _Counted(nn.Module):
    """A detector as tracing takes it: tensors in, tensors out; how many boxes it classified, and
    how many objects it drew."""

    def __init__(self, model: nn.Module, kind: str) -> None:
        super().__init__()
        self.model, self.kind, self.seen = model, kind, {"boxes": 0, "objects": 0}
        for name, part in {"boxes": "box_head", "objects": "mask_head"}.items():
            if (head := getattr(getattr(model, "roi_heads", None), part, None)) is not None:
                head.register_forward_hook(partial(self._see, name))

    def _see(self, name: str, _: nn.Module, __: object, found: Tensor) -> None:
        self.seen[name] = len(found)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.kind in DETECTORS:
            (found,) = self.model(list(x))
            return tuple(found.values())
        return self.model(x)["out"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("name", "side"), [*((name, 150) for name in SPECS), ("rexnet", 96)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:To copy construct:UserWarning")
def test_costs_what_fvcore_counts(kind: str, name: str, side: int) -> None:
    torch.manual_seed(0)
    spec: ArchSpec = replace(SPECS[name], resolution=side)
    model = _Counted(head(kind, side).on(spec), kind).eval()
    counted = FlopCountAnalysis(model, torch.rand(1, 3, side, side))
    counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by = counted.by_operator()
    found = head_cost(kind, spec, 3, side, **model.seen)
    assert bool(model.seen["objects"]) is (kind == "mask-rcnn"), "else its head is not counted"
    assert by["conv"] + by["linear"] + by["addmm"] == found.macs
    norms = by["batch_norm"] + by["adaptive_avg_pool2d"]
    assert found.macs + norms == found.fvcore
    resized = sum(count for name, count in by.items() if name.startswith(("upsample", "roi")))
    assert counted.total() == found.fvcore + resized
    weights = model.model.parameters()
    assert sum(one.numel() for one in weights) == found.params


@pytest.mark.parametrize("kind", KINDS)
def test_is_read_as_it_was_written(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = replace(family("mobilenet-v1-0.25-128"), resolution=96)
    made = head(kind, 96)
    model = made.on(spec).eval()
    (tmp_path / "spec.json").write_text(spec.to_json())
    made.write(tmp_path)
    with pytest.raises(ValueError, match="holds no trained detector"):
        read_head(tmp_path)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    again, told = read_head(tmp_path)
    assert told == made
    pictures = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        mine, theirs = ([*_answers(one, kind, pictures)] for one in (model, again))
    assert all(map(torch.equal, mine, theirs))


def _answers(model: nn.Module, kind: str, pictures: Tensor) -> list[Tensor]:
    if kind in DETECTORS:
        return [tensor for found in model(list(pictures)) for tensor in found.values()]
    return [model(pictures)["out"]]


def test_segmenters_take_normalised_pictures() -> None:
    found = head("lraspp", 8).normalised(torch.full((2, 3, 8, 8), 0.6))
    assert torch.allclose(found[:, :, 0, 0], torch.tensor([1.0, 0.5, 0.0]).expand(2, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "yolo"}, "head 'yolo' is unknown: choose one of ssdlite"),
        ({"classes": ("a",)}, "a head of 1 classes"),
        ({"std": (0.0, 1.0, 1.0)}, "a deviation above 0"),
    ],
)
def test_what_is_no_head(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        replace(head("ssdlite", 96), **changes)
    (tmp_path / "head.json").write_text('{"kind": 1}')
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(ValueError, match="of another version, or damaged"):
        read_head(tmp_path)
