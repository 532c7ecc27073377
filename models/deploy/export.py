"""A network written for other programs: ONNX, torch.export's archive, or the spec itself."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.deploy.preprocessing import Preprocessing
from models.spec import ArchSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMATS = ("onnx", "pt2", "json")
_VERIFIED = (1, 4)  # images at once with which an ONNX file is run beside the module
_TOLERANCE = 1e-3  # of the largest output


def export(
    spec: ArchSpec,
    path: Path,
    to: str,
    module: nn.Module | None = None,
    *,
    expects: Preprocessing | None = None,
    inside: bool = False,
) -> None:
    """Write ``spec``, as the built ``module`` in evaluation mode or with fresh weights.

    onnx  one file, weights inside; input ``images`` (batch, in_channels, side, side) float32,
          output ``logits`` (batch, classes); needs the extra ``onnx``. Where ONNX Runtime is
          installed, its outputs are compared with the module's before the file takes its place
    pt2   what ``torch.export.load`` reads; the same input and output
    json  the spec alone, without weights

    ``expects`` goes into an ONNX file's metadata, each field as JSON. ``inside`` puts its
    normalisation, and a softmax, into the graph: input ``pixels`` uint8 of the same shape, output
    ``probabilities``. The batch stays free, the side is the spec's resolution.

    Raises ValueError for another format, where the onnx packages are missing, where ``expects`` is
    of another network, or lacking with ``inside``, and where ONNX Runtime computes otherwise.
    """
    if to not in FORMATS:
        raise ValueError(f"format {to!r:.60} is unknown: choose one of {', '.join(FORMATS)}")
    if expects is not None:
        expects.check(spec)
    elif inside:
        raise ValueError("what the network expects is not known: give a run of training")
    path.parent.mkdir(parents=True, exist_ok=True)
    if to == "json":
        path.write_text(spec.to_json() + "\n", encoding="utf-8")
        return
    import torch

    from models.build import build

    module = build(spec) if module is None else module
    training = module.training
    # Two images: a batch of one would be taken for a constant.
    images = torch.rand(2, spec.in_channels, spec.resolution, spec.resolution)
    whole, names = module, ("images", "logits")
    if inside and expects is not None:
        from models.deploy.classifier import Classifier

        whole, names = Classifier(module, expects), ("pixels", "probabilities")
        images = (255 * images).to(torch.uint8)
    try:
        whole.eval()
        if to == "onnx":
            _onnx(whole, images, path, names, expects)
        else:
            _pt2(whole, images, path)
    finally:
        module.train(training)


def _pt2(module: nn.Module, images: Tensor, path: Path) -> None:
    import torch

    batch = ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(module, (images,), dynamic_shapes=batch), path)


def _onnx(
    module: nn.Module,
    images: Tensor,
    path: Path,
    names: tuple[str, str],
    expects: Preprocessing | None,
) -> None:
    import torch

    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise ValueError(f"ONNX needs {package}: pip install 'evenscale[onnx]'")
    partial = path.with_name(f"{path.name}.part")
    try:
        torch.onnx.export(
            module,
            (images,),
            partial,
            input_names=[names[0]],
            output_names=[names[1]],
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            external_data=False,
            verbose=False,
        )
        if expects is not None:
            _describe(partial, expects)
        if find_spec("onnxruntime") is not None:
            for batch in _VERIFIED:
                _verify(module, images.repeat(batch, 1, 1, 1)[:batch], partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _describe(path: Path, expects: Preprocessing) -> None:
    import onnx

    model = onnx.load(path)
    for name, value in asdict(expects).items():
        model.metadata_props.add(key=name, value=json.dumps(value))  # a name need not be UTF-8
    onnx.save(model, path)


def _verify(module: nn.Module, images: Tensor, path: Path) -> None:
    """ValueError where the file, run by ONNX Runtime, says other things than the module."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.inference_mode():
        wanted = module(images)
    off = float((torch.from_numpy(found) - wanted).abs().max() / wanted.abs().max())
    if not off <= _TOLERANCE:
        raise ValueError(
            f"ONNX Runtime {onnxruntime.__version__} is off the network by {off:.2g} of its "
            f"largest output at batch {len(images)}, so the file was not kept: try another version "
            "of it or of onnx"
        )
