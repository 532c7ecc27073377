"""timm's weights: the same function in this project's networks, however a file lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.families import family
from models.pretrained import at_hand, initialised, pretrained_state
from models.reference.providers import PROVIDERS, Hub

timm = pytest.importorskip("timm", reason="timm is not installed")

SAME = {
    "tf_efficientnet_lite0": "efficientnet-lite0",
    "tf_efficientnet_lite3": "efficientnet-lite3",
    "efficientnet_b0": "efficientnet-b0",
    "mobilenetv2_140": "mobilenet-v2-1.4",
    "mnasnet_100": "mnasnet-b1",
    "rexnet_100": "rexnet-1.0",
    "rexnet_130": "rexnet-1.3",
    "resnet18": "resnet-18",
}


def drawn(model: str) -> nn.Module:
    """timm's network with norms that are no identities."""
    torch.manual_seed(0)
    made: nn.Module = timm.create_model(model).eval()
    for norm in made.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for one, low in ((norm.weight, 0.5), (norm.running_var, 0.5), (norm.bias, -0.1),
                             (norm.running_mean, -0.1)):  # fmt: skip
                one.data.copy_(low + 0.5 * torch.rand(one.shape))
    return made


@pytest.mark.parametrize(("model", "name"), SAME.items())
@torch.no_grad()
def test_the_function_is_timms(model: str, name: str) -> None:
    """At 65 pixels, where TensorFlow's padding is this project's; files list by the alphabet."""
    theirs = drawn(model)
    spec, ours = initialised(family(name), dict(sorted(theirs.state_dict().items())))
    assert spec.classes == 1000
    x = torch.randn(2, 3, 65, 65)
    expected = theirs(x)
    torch.testing.assert_close(
        ours.eval()(x), expected, rtol=0, atol=1e-4 * float(expected.abs().max())
    )


def test_another_network_is_refused() -> None:
    state = timm.create_model("mobilenetv2_100").state_dict()
    with pytest.raises(ValueError, match=r"different networks|give the spec"):
        initialised(family("efficientnet-b0"), state)


def test_every_hub_provider_is_a_family_of_timms_weights() -> None:
    found = {name: one for name, one in PROVIDERS.items() if isinstance(one, Hub)}
    assert len(found) == 7
    for name, provider in found.items():
        told = timm.get_pretrained_cfg(provider.model)
        assert told.hf_hub_id.startswith("timm/")
        assert (told.mean, told.std) == provider.moments
        assert family(name).classes == told.num_classes


def test_what_the_hubs_cache_holds_is_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache as the Hub's library lays it out; with no network only that can be had."""
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    assert not at_hand("rexnet-1.0")
    with pytest.raises(ValueError, match=r"could not be fetched .* huggingface.co"):
        pretrained_state("rexnet-1.0")
    place = tmp_path / "models--timm--rexnet_100.nav_in1k"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40, "utf-8")
    (place / "snapshots" / ("0" * 40)).mkdir(parents=True)
    state = drawn("rexnet_100").state_dict()
    save_file(state, place / "snapshots" / ("0" * 40) / "model.safetensors")
    assert at_hand("rexnet-1.0")
    found = pretrained_state("rexnet-1.0")
    assert set(found) == set(state)
    assert all(torch.equal(found[name], one) for name, one in state.items())
