"""A network written for other programs: ONNX, torch.export's archive, or the spec itself."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.spec import ArchSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMATS = ("onnx", "pt2", "json")


def export(spec: ArchSpec, path: Path, to: str, module: nn.Module | None = None) -> None:
    """Write ``spec``, as the built ``module`` in evaluation mode or with fresh weights.

    onnx  one file, weights inside; input ``images`` (batch, in_channels, side, side) float32,
          output ``logits`` (batch, classes); needs the extra ``onnx``
    pt2   what ``torch.export.load`` reads; the same input and output
    json  the spec alone, without weights

    The batch stays free, the side is the spec's resolution. Raises ValueError for another format,
    or where the onnx packages are missing.
    """
    if to not in FORMATS:
        raise ValueError(f"format {to!r:.60} is unknown: choose one of {', '.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if to == "json":
        path.write_text(spec.to_json() + "\n", encoding="utf-8")
        return
    import torch

    from models.build import build

    module = build(spec) if module is None else module
    # Two images: a batch of one would be taken for a constant.
    images = torch.zeros(2, spec.in_channels, spec.resolution, spec.resolution)
    training = module.training
    try:
        (_onnx if to == "onnx" else _pt2)(module.eval(), images, path)
    finally:
        module.train(training)


def _pt2(module: nn.Module, images: Tensor, path: Path) -> None:
    import torch

    batch = ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(module, (images,), dynamic_shapes=batch), path)


def _onnx(module: nn.Module, images: Tensor, path: Path) -> None:
    import torch

    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise ValueError(f"ONNX needs {package}: pip install 'evenscale[onnx]'")
    torch.onnx.export(
        module, (images,), path, input_names=["images"], output_names=["logits"], dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), external_data=False,
        verbose=False,
    )  # fmt: skip
