"""Inheritance with the user's pictures: statistics moved and measured, blocks fitted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from models.build import build
from models.inherit import inherit, rebase, recalibrate, refit
from models.inherit.units import units
from models.spec import ArchSpec, StageSpec, Stem
from tests.support.inheritance import SIDE, network, outputs, pictures
from tests.support.strategies import specs

MBCONV = ArchSpec(
    "tiny",
    Stem(8),
    (
        StageSpec("mbconv", 2, 8, expansion=3),
        StageSpec("mbconv", 3, 16, 5, 2, expansion=3),
    ),
    head=24,
    classes=5,
    activation="relu6",
    resolution=SIDE,
)


def stages(spec: ArchSpec, **changes: object) -> ArchSpec:
    return replace(spec, stages=tuple(replace(s, **changes) for s in spec.stages))


FAMILIES = {
    "mbconv": MBCONV,
    "excitation": stages(MBCONV, se=0.25),
    "rexnet": replace(
        MBCONV, stages=tuple(replace(s, block="rexnet", se=0.25) for s in MBCONV.stages)
    ),
    "resnet": replace(
        MBCONV, stages=(StageSpec("basic", 2, 8), StageSpec("basic", 2, 16, stride=2))
    ),
    "bottleneck": replace(
        MBCONV, stages=(StageSpec("bottleneck", 2, 16, expansion=0.5, groups=2),)
    ),
    "mobilenet v1": replace(
        MBCONV, stages=(StageSpec("dsconv", 2, 8, skip="none"), StageSpec("dsconv", 1, 16, 3, 2))
    ),
    "convolutions": replace(
        MBCONV, stages=(StageSpec("conv", 2, 8, skip="none"), StageSpec("conv", 2, 16, 3, 2))
    ),
    "convnext": replace(
        MBCONV,
        stages=(StageSpec("convnext", 2, 8, expansion=2), StageSpec("convnext", 2, 16, 3, 2, 2)),
        norm="layer",
        head=0,
        activation="gelu",
    ),
}
SMALLER = {
    "mbconv": stages(MBCONV, expansion=1.5, kernel=3),
    "excitation": stages(FAMILIES["excitation"], se=0, expansion=2),
    "rexnet": stages(FAMILIES["rexnet"], expansion=1.5),
    "resnet": replace(FAMILIES["resnet"], stages=(FAMILIES["resnet"].stages[0],
                      replace(FAMILIES["resnet"].stages[1], layers=1))),
    "bottleneck": stages(FAMILIES["bottleneck"], expansion=0.25),
    "mobilenet v1": stages(FAMILIES["mobilenet v1"], layers=1),
    "convolutions": stages(FAMILIES["convolutions"], layers=1),
    "convnext": stages(FAMILIES["convnext"], expansion=1),
}  # fmt: skip


def child_of(spec: ArchSpec, weights: dict[str, Tensor]) -> nn.Module:
    child = build(spec).eval()
    child.load_state_dict(weights)
    return child


def features(made: nn.Module, x: Tensor) -> Tensor:
    """What the last stage puts out."""
    with torch.no_grad():
        found: Tensor = made.stages(made.stem(x))
    return found


def error(child: nn.Module, parent: nn.Module, x: Tensor) -> float:
    return float((features(child, x) - features(parent, x)).square().mean())


@pytest.mark.parametrize("name", ["mbconv", "rexnet", "bottleneck", "convolutions"])
def test_rebased_statistics_keep_the_function(name: str) -> None:
    made = network(FAMILIES[name])
    x = 2 + 3 * pictures(count=32)
    before = outputs(made, x)
    rebase(made, x.split(9))
    torch.testing.assert_close(outputs(made, x), before, rtol=1e-3, atol=1e-3)
    # and on these pictures training mode is the same function: its statistics are the batch's
    running = {name: v.clone() for name, v in made.named_buffers() if "running" in name}
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.train()
    with torch.no_grad():
        trained = made(x)
    for key, tensor in made.named_buffers():
        if key in running:
            # The batch is normalised by its biased variance, what is kept is the unbiased one.
            torch.testing.assert_close(tensor, running[key], rtol=0.05, atol=0.05)
    torch.testing.assert_close(trained, before, rtol=0.1, atol=0.1)


def test_rebasing_leaves_modes_and_hooks_as_they_were() -> None:
    made = network(MBCONV).train()
    made.head.eval()
    rebase(made, [pictures()])
    recalibrate(made, [pictures()])
    assert made.training
    assert made.stages.training
    assert not made.head.training
    assert not any(m._forward_pre_hooks for m in made.modules())
    assert {m.momentum for m in made.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_one_value_is_no_variance() -> None:
    made = network(FAMILIES["rexnet"])
    with pytest.raises(ValueError, match="more pictures"):
        rebase(made, [pictures(count=1)])


def test_recalibration_measures_anew() -> None:
    made = network(MBCONV)
    x = 5 * pictures(count=16)
    recalibrate(made, [x])
    seen: list[Tensor] = []
    made.stem[1].register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    outputs(made, x)
    norm = made.stem[1]
    torch.testing.assert_close(norm.running_mean, seen[0].mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, seen[0].var(dim=(0, 2, 3)))
    once = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    recalibrate(made, [x])
    assert all(torch.equal(tensor, once[name]) for name, tensor in made.state_dict().items())


@pytest.mark.parametrize("name", FAMILIES)
def test_refitting_comes_nearer_to_the_parent(name: str) -> None:
    """Also on pictures that it was not fitted to."""
    parent, child = network(FAMILIES[name]), SMALLER[name]
    x = pictures(count=96)
    rebase(parent, x.split(32))
    made = child_of(child, inherit(FAMILIES[name], parent.state_dict(), child))
    others = pictures(count=32, seed=8)
    before = error(made, parent, x), error(made, parent, others)
    refit(parent, made, x)
    assert error(made, parent, x) < 0.9 * before[0]
    assert error(made, parent, others) < before[1]


@pytest.mark.parametrize("name", FAMILIES)
def test_refitting_changes_nothing_where_nothing_was_lost(name: str) -> None:
    parent = network(FAMILIES[name])
    made = child_of(FAMILIES[name], {k: v.clone() for k, v in parent.state_dict().items()})
    refit(parent, made, pictures(count=8))
    assert all(torch.equal(v, parent.state_dict()[k]) for k, v in made.state_dict().items())


@pytest.mark.parametrize("name", ["mbconv", "rexnet", "convnext"])
def test_refitting_is_exact_where_the_child_can_do_what_the_parent_does(name: str) -> None:
    """Half of the parent's hidden channels are copies of the other half: a projection of its own
    makes up for them, which slicing alone does not."""
    small = stages(FAMILIES[name], se=0)
    large = stages(small, expansion=2 * small.stages[0].expansion)
    parent = network(large)
    parent.load_state_dict(inherit(small, network(small).state_dict(), large))
    first_half = {
        layers[0][0]: (torch.arange(large_width) < large_width // 2).float()
        for unit in units(large)[1 : -2 if large.head else -1]
        for layers in unit.spaces[2:]
        for large_width in [layers[0][1].cin]
    }
    x = pictures(count=64)
    made = child_of(small, inherit(large, parent.state_dict(), small, importance=first_half))
    before = error(made, parent, x)
    refit(parent, made, x, ridge=1e-7, importance=first_half)
    assert before > 1e-3
    assert error(made, parent, x) < 1e-5 * before


def test_a_fit_is_drawn_to_what_was_inherited() -> None:
    """Under a ridge that leaves no freedom the weights stay, and a fresh block's go to nothing."""

    def acting(made: nn.Module, conv: str, norm: str) -> Tensor:
        scaling = made.get_submodule(norm)
        slope = scaling.weight / (scaling.running_var + scaling.eps).sqrt()
        return (made.get_submodule(conv).weight * slope[:, None, None, None]).detach().clone()

    parent, x = network(MBCONV), pictures(count=32)
    made = child_of(SMALLER["mbconv"], inherit(MBCONV, parent.state_dict(), SMALLER["mbconv"]))
    names = ("stages.1.1.0.body.6", "stages.1.1.0.body.7")
    before = acting(made, *names)
    refit(parent, made, x, ridge=1e9)
    torch.testing.assert_close(acting(made, *names), before, rtol=1e-4, atol=1e-5)
    fresh = stages(MBCONV, expansion=1)
    made = child_of(fresh, inherit(MBCONV, parent.state_dict(), fresh))
    refit(parent, made, x, ridge=1e9)
    assert acting(made, "stages.1.0.3", "stages.1.0.4").abs().max() < 1e-6


def test_a_block_without_a_donor_learns_its_parents() -> None:
    """Expansion 1 from expansion 3: nothing is inherited, and the fit alone comes nearer than a
    block that is left out."""
    child = stages(MBCONV, expansion=1)
    parent = network(MBCONV)
    x = pictures(count=96)
    rebase(parent, x.split(32))
    made = child_of(child, inherit(MBCONV, parent.state_dict(), child))
    before = error(made, parent, x)
    refit(parent, made, x)
    assert error(made, parent, x) < 0.7 * before


def test_statistics_after_a_fit_are_the_childs() -> None:
    parent, child = network(MBCONV), SMALLER["mbconv"]
    x = pictures(count=64)
    rebase(parent, [x])
    made = child_of(child, inherit(MBCONV, parent.state_dict(), child))
    refit(parent, made, x)
    seen: list[Tensor] = []
    norm = made.stages[1][1][0].body[7]
    norm.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    outputs(made, x)
    torch.testing.assert_close(norm.running_mean, seen[0].mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(norm.running_var, seen[0].var(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_grey_pictures_for_a_child_of_a_coloured_parent() -> None:
    child = replace(SMALLER["mbconv"], in_channels=1)
    parent = network(MBCONV)
    x = pictures(1, count=64)
    made = child_of(child, inherit(MBCONV, parent.state_dict(), child))
    wide = x.expand(-1, 3, -1, -1)
    before = float((features(made, x) - features(parent, wide)).square().mean())
    refit(parent, made, x)
    assert float((features(made, x) - features(parent, wide)).square().mean()) < before


def test_too_few_pictures() -> None:
    made = network(MBCONV)
    with pytest.raises(ValueError, match="1 pictures to fit on: give a few hundred"):
        refit(made, made, pictures(count=1))


@settings(max_examples=25, deadline=None)
@given(parent=specs(), child=specs())
def test_any_two_networks_can_be_refitted(parent: ArchSpec, child: ArchSpec) -> None:
    donor = network(parent)
    made = child_of(child, inherit(parent, donor.state_dict(), child))
    refit(donor, made, pictures(child.in_channels, count=5, side=48))
    assert all(tensor.isfinite().all() for tensor in made.state_dict().values())


def test_a_picture_left_over_is_no_batch_of_its_own() -> None:
    """Inside ReXNet's excitation every picture is one value."""
    parent, child = network(FAMILIES["rexnet"]), stages(FAMILIES["rexnet"], kernel=1)
    made = child_of(child, inherit(FAMILIES["rexnet"], parent.state_dict(), child))
    refit(parent, made, pictures(count=33))


def test_maps_of_another_size_are_not_fitted() -> None:
    child = replace(SMALLER["mbconv"], stem=Stem(8, stride=1))
    parent = network(MBCONV)
    weights = inherit(MBCONV, parent.state_dict(), child)
    made = child_of(child, {name: tensor.clone() for name, tensor in weights.items()})
    refit(parent, made, pictures(count=8))
    kept = "stages.0.0.0.body.6.weight"
    assert torch.equal(made.state_dict()[kept], weights[kept])
