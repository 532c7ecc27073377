"""Exported files, read back and run, against the module."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.build import build
from models.deploy.export import export
from models.families import family
from models.spec import ArchSpec, StageSpec, Stem

TINY = ArchSpec(
    "tiny",
    Stem(8),
    (
        StageSpec("dsconv", 1, 8),
        StageSpec("mbconv", 2, 8, 5, 2, 2, se=0.25),
        StageSpec("rexnet", 2, (9, 13), expansion=2, se=1 / 12, skip="partial"),
        StageSpec("basic", 1, 16, stride=2),
        StageSpec("conv", 1, 16, skip="pool"),
    ),
    head=24,
    classes=5,
    resolution=32,
    activation="silu",
)


def awake(spec: ArchSpec) -> nn.Module:
    """A built network whose norms have statistics, so that no branch is nearly silent."""
    torch.manual_seed(0)
    module = build(spec).train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(4, spec.in_channels, spec.resolution, spec.resolution))
    return module.eval()


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return torch.allclose(found, expected, atol=1e-4 * expected.abs().max().item())


def check_pt2(spec: ArchSpec, path: Path) -> None:
    module = awake(spec)
    export(spec, path, "pt2", module)
    again = torch.export.load(path).module()
    for batch in (1, 3):
        x = torch.randn(batch, spec.in_channels, spec.resolution, spec.resolution)
        assert same(again(x), module(x))


def check_onnx(spec: ArchSpec, path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    module = awake(spec)
    export(spec, path, "onnx", module)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [tensor.name for tensor in session.get_inputs()] == ["images"]
    assert session.get_inputs()[0].shape[1:] == [spec.in_channels, spec.resolution, spec.resolution]
    for batch in (1, 3):
        x = torch.randn(batch, spec.in_channels, spec.resolution, spec.resolution)
        (logits,) = session.run(["logits"], {"images": x.numpy()})
        assert same(torch.from_numpy(np.asarray(logits)), module(x))


def test_onnx(tmp_path: Path) -> None:
    check_onnx(TINY, tmp_path / "deeper" / "tiny.onnx")


def test_pt2(tmp_path: Path) -> None:
    check_pt2(TINY, tmp_path / "tiny.pt2")


FAMILIES = ["mobilenet-v1-0.25-128", "mobilenet-v2-0.35", "mnasnet-a1", "resnet-18", "resnext-50",
            "rexnet-1.0", "convnext-t", "efficientnet-b0"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_onnx_of_families(name: str, tmp_path: Path) -> None:
    check_onnx(replace(family(name), resolution=64), tmp_path / "x.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_pt2_of_families(name: str, tmp_path: Path) -> None:
    check_pt2(replace(family(name), resolution=64), tmp_path / "x.pt2")


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    export(TINY, path, "json")
    assert ArchSpec.from_json(path.read_text()) == TINY


def test_the_mode_is_left_as_it_was_and_bad_formats_are_named(tmp_path: Path) -> None:
    module = build(TINY).train()
    export(TINY, tmp_path / "x.pt2", "pt2", module)
    assert module.training
    with pytest.raises(ValueError, match="onnx, pt2, json"):
        export(TINY, tmp_path / "x", "tflite")


def test_missing_onnx_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.deploy.export.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"evenscale\[onnx\]"):
        export(TINY, tmp_path / "x.onnx", "onnx")


def test_json_needs_no_torch(tmp_path: Path) -> None:
    """The command line is quick where nothing is built."""
    program = (
        "import sys; from models.__main__ import main; "
        f"main(['export', 'mnasnet-a1', '--to', 'json', '--out', {str(tmp_path / 'm.json')!r}]); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
