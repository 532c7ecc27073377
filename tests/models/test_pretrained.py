"""Published and own weights: fetched, mapped, given a new classifier."""

from __future__ import annotations

import urllib.error
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from models.build import build
from models.families import family, names
from models.pretrained import (
    initialised,
    load_torchvision_state_dict,
    load_weights,
    pretrained_state,
    read_weights,
)
from models.reference.providers import PROVIDERS, Torchvision
from models.spec import ArchSpec, StageSpec, Stem
from training.__main__ import main as train

TINY = ArchSpec("tiny", Stem(8), (StageSpec("mbconv", 1, 8, expansion=2),), classes=7)


PUBLISHED = {
    name: provider.model
    for name, provider in PROVIDERS.items()
    if isinstance(provider, Torchvision)
}
QUICK = {"efficientnet-b7", "mobilenet-v2", "resnext-50", "convnext-s"}


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PUBLISHED],
)
def test_every_published_network_fits_torchvisions_names_and_shapes(name: str) -> None:
    """Strictly, on the meta device: names, number and shapes."""
    with torch.device("meta"):
        module = build(family(name))
        theirs = getattr(torchvision.models, PUBLISHED[name])()
        load_torchvision_state_dict(module, theirs.state_dict())
    assert name in names()
    assert torchvision.models.get_model_weights(PUBLISHED[name])["IMAGENET1K_V1"].url


def test_the_published_weights_are_fetched_checked_and_not_unpickled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin = torchvision.models.mobilenet_v2()
    asked: dict[str, Any] = {}

    def fetch(url: str, **settings: Any) -> dict[str, torch.Tensor]:
        asked.update(settings, url=url)
        return dict(twin.state_dict())

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    state = read_weights("pretrained", "mobilenet-v2")
    assert asked["weights_only"] is asked["check_hash"] is True
    assert "mobilenet_v2" in asked["url"]
    network = initialised(family("mobilenet-v2"), state)[1].eval()
    x = torch.randn(2, 3, 64, 64)
    assert torch.allclose(network(x), twin.eval()(x), atol=1e-6)


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no network"), RuntimeError("invalid hash value")]
)
def test_no_network_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:  # fmt: skip
    def fetch(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    with pytest.raises(ValueError, match=r"(no network|invalid hash).*save_file"):
        pretrained_state("resnet-18")
    with pytest.raises(ValueError, match="give a safetensors file, or one of efficientnet-b0"):
        pretrained_state("rexnet-0.9")


def weights_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_weights_say_their_classes_and_channels() -> None:
    state = weights_of(build(replace(TINY, classes=7, in_channels=1)))
    own, network = initialised(TINY, state)
    assert own == replace(TINY, classes=7, in_channels=1)
    assert all(torch.equal(network.state_dict()[name], state[name]) for name in state)


def test_wrong_weights_are_refused() -> None:
    state = weights_of(build(TINY))
    with pytest.raises(ValueError, match="width and classes"):
        load_weights(build(replace(TINY, classes=9)), state)
    with pytest.raises(ValueError, match="different networks"):
        initialised(family("resnet-18"), state)
    for broken in ({}, {"x": torch.zeros(1)}):
        with pytest.raises(ValueError, match="no network"):
            initialised(TINY, broken)


def test_training_starts_from_a_file(tmp_path: Path) -> None:
    spec = replace(TINY, resolution=8, in_channels=1)
    (tmp_path / "spec.json").write_text(spec.to_json())
    save_file(weights_of(build(spec)), tmp_path / "start.safetensors")
    common = ["--spec", str(tmp_path / "spec.json"), "--data", "digits", "--epochs", "1",
              "--device", "cpu"]  # fmt: skip
    train([*common, "--out", str(tmp_path / "one"), "--init", str(tmp_path / "start.safetensors")])
    train([*common, "--out", str(tmp_path / "two"), "--init",
           str(tmp_path / "one" / "weights.safetensors")])  # fmt: skip
    assert (tmp_path / "two" / "weights.safetensors").exists()
    with pytest.raises(ValueError, match=r"absent\.safetensors"):
        train([*common, "--init", str(tmp_path / "absent.safetensors")])


def changed(state: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    """Weights as others save them."""
    if how == "wrapped":
        return {f"module.{name}": value for name, value in state.items()}
    if how == "uncounted":
        return {name: v for name, v in state.items() if not name.endswith("num_batches_tracked")}
    return {name: v.half() if v.is_floating_point() else v for name, v in state.items()}


@pytest.mark.parametrize("hows", [["wrapped"], ["uncounted"], ["half"],
                                  ["half", "uncounted", "wrapped"]])  # fmt: skip
@pytest.mark.parametrize("theirs", [False, True], ids=["own names", "torchvision's names"])
def test_weights_that_others_saved(theirs: bool, hows: list[str], tmp_path: Path) -> None:
    spec = replace(family("mobilenet-v2-0.35"), classes=5)
    donor = (
        torchvision.models.mobilenet_v2(width_mult=0.35, num_classes=5) if theirs else build(spec)
    )
    state = weights_of(donor)
    for how in hows:
        state = changed(state, how)
    save_file(state, tmp_path / "weights.safetensors")
    weights = read_weights(str(tmp_path / "weights.safetensors"), spec.name)
    module = initialised(replace(spec, classes=3), weights)[1]
    assert {value.dtype for value in module.state_dict().values()} == {torch.float32, torch.int64}
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close = 0.05 if "half" in hows else 1e-6
        assert torch.allclose(module.eval()(x), donor.eval()(x), atol=close, rtol=close)


def test_a_name_too_few_is_another_network() -> None:
    state = weights_of(build(TINY))
    mixed = {
        f"module.{name}" if i else name: value for i, (name, value) in enumerate(state.items())
    }
    without = dict(list(state.items())[:-3])
    for broken in (mixed, without):
        with pytest.raises(ValueError, match="different networks"):
            load_weights(build(TINY), broken)
