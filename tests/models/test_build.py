"""Built networks against torchvision's, weight for weight."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from safetensors.torch import save_file
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from models.build import build
from models.families import family
from models.pretrained import load_torchvision_state_dict, read_safetensors
from models.spec import BLOCKS, ArchSpec
from tests.support.strategies import specs

PAIRS = [
    ("efficientnet-b0", "efficientnet_b0", {}),
    ("efficientnet-b3", "efficientnet_b3", {}),
    ("efficientnet-b5", "efficientnet_b5", {}),
    ("mobilenet-v2", "mobilenet_v2", {}),
    ("mobilenet-v2-1.4", "mobilenet_v2", {"width_mult": 1.4}),
    ("mnasnet-b1", "mnasnet1_0", {}),
    ("resnet-18", "resnet18", {}),
    ("resnet-50", "resnet50", {}),
    ("resnext-50", "resnext50_32x4d", {}),
    ("convnext-t", "convnext_tiny", {}),
]


def torchvision_twin(name: str, **kwargs: float) -> nn.Module:
    """torchvision's network with every weight and statistic away from its initial value."""
    torch.manual_seed(0)
    twin: nn.Module = getattr(torchvision.models, name)(**kwargs).eval()
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    for parameter_name, parameter in twin.named_parameters():
        if parameter_name.endswith("layer_scale"):
            nn.init.normal_(parameter, 0, 0.5)
    return twin


@pytest.mark.parametrize(("name", "theirs", "kwargs"), PAIRS)
def test_same_outputs_as_torchvision(name: str, theirs: str, kwargs: dict[str, float]) -> None:
    twin, module = torchvision_twin(theirs, **kwargs), build(family(name)).eval()
    alphabetical = dict(sorted(twin.state_dict().items()))
    load_torchvision_state_dict(module, alphabetical)
    x = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        expected, found = twin(x), module(x)
    scale = expected.abs().max()
    assert torch.allclose(found / scale, expected / scale, atol=1e-5)


def test_other_networks_weights_are_refused_and_nothing_is_changed() -> None:
    module = build(family("efficientnet-b0"))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ValueError, match="different networks"):
        load_torchvision_state_dict(module, torchvision.models.resnet18().state_dict())
    with pytest.raises(ValueError, match="width and classes"):
        other = torchvision.models.efficientnet_b0(num_classes=10)
        load_torchvision_state_dict(module, other.state_dict())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_safetensors_read_and_nothing_else(tmp_path: Path) -> None:
    state = torchvision.models.resnet18().state_dict()
    save_file(
        {name: value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors"
    )
    module = build(family("resnet-18"))
    load_torchvision_state_dict(module, read_safetensors(str(tmp_path / "w.safetensors")))
    torch.save(state, tmp_path / "w.pth")
    for path in ("w.pth", "absent.safetensors"):
        with pytest.raises(ValueError, match="safetensors"):
            read_safetensors(str(tmp_path / path))


@pytest.mark.parametrize("skip", ["identity", "pool", "partial", "none"])
@pytest.mark.parametrize("block", [block for block in BLOCKS if block != "convnext"])
def test_every_block_trains(block: str, skip: str) -> None:
    """Gradients reach every parameter, on one grey image size that strides leave odd."""
    torch.manual_seed(0)
    base = family("efficientnet-b0")
    stages = tuple(replace(s, block=block, skip=skip, layers=2, se=0.25) for s in base.stages[:3])
    spec = replace(base, stages=stages, head=32, in_channels=1, classes=5, drop_path=0.0)
    module = build(spec).train()
    module(torch.randn(4, 1, 37, 37)).logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_partial_skip_adds_to_the_first_channels() -> None:
    """ReXNet's ``out[:, :c_in] += x``, seen by silencing the block's own body."""
    from models.spec import ArchSpec, StageSpec, Stem

    stage = StageSpec("rexnet", 1, 12, expansion=6, skip="partial")
    module = build(ArchSpec("x", Stem(8), (stage,), classes=2)).eval()
    block = module.stages[0]  # type: ignore[index]
    norm = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)][-1]
    nn.init.zeros_(norm.weight)
    x = torch.randn(1, 8, 5, 5)
    out = block(x)
    assert torch.equal(out[:, :8], x)
    assert not out[:, 8:].any()


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation() -> None:
    from models.build import _drop_path

    torch.manual_seed(0)
    x = torch.ones(20_000, 1, 1, 1)
    kept = _drop_path(x, 0.2, training=True)
    assert _drop_path(x, 0.2, training=False) is x
    # Each entry is 0 or 1.25: the mean of 20,000 has a standard error of 0.0035; six of them.
    assert kept.mean().item() == pytest.approx(1.0, abs=0.022)
    assert set(kept.unique().tolist()) == {0.0, 1.25}
    module = build(replace(family("efficientnet-b0"), drop_path=0.9)).eval()
    y = torch.randn(1, 3, 33, 33)
    assert torch.equal(module(y), module(y))


def test_building_is_deterministic() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(build(family("mobilenet-v1-0.25-128")).state_dict())
    for one, two in itertools.pairwise(states):
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "resnet-18", "rexnet-1.0", "convnext-t", "mobilenet-v1"]
)
def test_traced_by_fx_and_torchvisions_feature_extractor(name: str) -> None:
    """As torchvision's own networks are: in both modes, without a warning."""
    torch.manual_seed(0)
    spec = replace(family(name), drop_path=0.2)
    module = build(spec).eval()
    x = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        assert torch.equal(torch.fx.symbolic_trace(module)(x), module(x))
        extractor = create_feature_extractor(module, {"stages.1": "middle", "head": "logits"})
        found = extractor(x)
        assert torch.equal(found["middle"], module.stages[:2](module.stem(x)))  # type: ignore[index,operator]
        assert torch.equal(found["logits"], module(x))
    torch.fx.symbolic_trace(module.train())(x).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@given(specs())
@settings(deadline=None, max_examples=30)
def test_any_spec_is_traced(spec: ArchSpec) -> None:
    module = build(spec).eval()
    x = torch.randn(1, spec.in_channels, 48, 48)
    with torch.no_grad():
        assert torch.equal(torch.fx.symbolic_trace(module)(x), module(x))


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenet-v2", "rexnet-1.0"])
def test_no_class_is_preferred_at_the_beginning(name: str, classes: int) -> None:
    """Logits of few classes are as small as those of ImageNet's: the loss is near log(classes)."""
    torch.manual_seed(0)
    network = build(replace(family(name), resolution=64, classes=classes)).train()
    with torch.no_grad():
        logits = network(torch.randn(16, 3, 64, 64))
    labels = torch.randint(classes, (16,))
    assert F.cross_entropy(logits, labels).item() == pytest.approx(math.log(classes), abs=0.3)
