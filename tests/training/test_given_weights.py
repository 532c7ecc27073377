"""Weights that lie beside a network's description are taken."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.training.test_transfer import TINY, drawn
from training.commands import go
from training.transfer.parent import Moments, keep


def test_a_family_members_weights_go_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = drawn(TINY, Moments((0.5,) * 3, (0.5,) * 3))
    path = tmp_path / "phi-1.json"
    path.write_text(TINY.to_json())
    args = argparse.Namespace(spec=str(path), init=None)
    assert go._parent(args, TINY) is None
    keep(parent, path.with_suffix(".safetensors"))
    found = go._parent(args, TINY)
    assert found is not None
    assert found.digest == parent.digest
    assert "phi-1.safetensors; --init random for none" in capsys.readouterr().err
    assert go._parent(argparse.Namespace(spec=str(path), init="random"), TINY) is None
