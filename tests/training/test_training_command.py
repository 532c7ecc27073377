"""``python -m training``: one network trained properly, on the test split, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.build import build
from models.pretrained import read_safetensors
from models.spec import ArchSpec
from tests.support.command import assert_refused, in_process
from training.__main__ import main
from training.data import load
from training.loop.train import evaluate


def test_trains_writes_and_can_be_loaded_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trained"
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 2, "--batch", 64,
             "--resolution", 24, "--device", "cpu", "--out", out)  # fmt: skip
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    spec = ArchSpec.from_json((out / "spec.json").read_text())
    assert (spec.classes, spec.in_channels, spec.resolution) == (10, 1, 24)
    found = json.loads((out / "evaluation.json").read_text())
    assert found["details"]["held_out"] == "test"
    network = build(spec)
    network.load_state_dict(read_safetensors(str(out / "weights.safetensors")))
    data = load("digits", size=24, progress=False)
    accuracy, _ = evaluate(network, data.test, 24, data)
    assert accuracy == pytest.approx(found["accuracy"])


def test_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(in_process(main, ("--spec", "nothing"), capsys), "did you mean")
    given = ("--spec", "resnet-18", "--epochs", "0")
    assert_refused(in_process(main, given, capsys), "at least 1")
