"""A child's weights from a parent's: what each change preserves, and that none fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import models.families
from models.build import build
from models.inherit import Inheritance, effects, inherit, inheritance, rebase
from models.inherit.excitation import excitation_of
from models.inherit.maps import choose, extend, split
from models.inherit.units import units
from models.scale import scale
from models.spec import ArchSpec, StageSpec, Stem
from nas.space import space
from tests.support.docs import example
from tests.support.inheritance import SIDE, network, outputs, pictures
from tests.support.strategies import specs


def family(block: str, channels: tuple[int, ...] = (8, 16), **settings: Any) -> ArchSpec:
    """Two stages of two blocks, the second stage halving the map."""
    whole = {key: settings.pop(key) for key in ("activation", "norm", "head") if key in settings}
    stages = tuple(
        StageSpec(block, 2, width, stride=1 + place, **settings)
        for place, width in enumerate(channels)
    )
    return ArchSpec("tiny", Stem(8), stages, classes=5, divisor=8, resolution=SIDE, **whole)


FAMILIES = {
    "mbconv": family("mbconv", expansion=3, activation="silu", head=24),
    "mbconv with excitation": family("mbconv", expansion=3, se=0.25, activation="silu", head=24),
    "expansion 1": family("mbconv", activation="relu6"),
    "resnet": family("basic"),
    "bottleneck": family("bottleneck", (16, 32), expansion=0.5),
    "resnext": family("bottleneck", (16, 32), expansion=0.5, groups=4),
    "rexnet": replace(
        family("rexnet", expansion=2, se=0.25, skip="partial", activation="silu", head=24),
        stages=(
            StageSpec("rexnet", 2, (10, 14), 3, 1, 1, skip="partial"),
            StageSpec("rexnet", 3, (17, 22, 28), 3, 2, 2, se=0.25, skip="partial"),
        ),
        divisor=1,
    ),
    "convnext": family("convnext", expansion=2, norm="layer", activation="gelu"),
    "mobilenet v1": family("dsconv", skip="none"),
    "mnasnet's convolutions": family("conv", activation="relu6"),
}


def with_stages(spec: ArchSpec, change: Callable[[StageSpec], StageSpec]) -> ArchSpec:
    return replace(spec, stages=tuple(change(stage) for stage in spec.stages))


def deeper(spec: ArchSpec, by: int = 1) -> ArchSpec:
    """More blocks a stage, of the last one's width."""
    return with_stages(
        spec,
        lambda stage: replace(
            stage,
            layers=stage.layers + by,
            channels=stage.channels
            if isinstance(stage.channels, int)
            else (*stage.channels, *(stage.channels[-1],) * by),
        ),
    )


def expanded(spec: ArchSpec, factor: float) -> ArchSpec:
    return with_stages(spec, lambda stage: replace(stage, expansion=stage.expansion * factor))


def kernels(spec: ArchSpec, by: int) -> ArchSpec:
    return with_stages(spec, lambda stage: replace(stage, kernel=stage.kernel + by))


def excited(spec: ArchSpec) -> ArchSpec:
    return with_stages(spec, lambda stage: replace(stage, se=stage.se or 0.25))


def child_of(spec: ArchSpec, found: dict[str, Tensor]) -> nn.Module:
    child = build(spec).eval()
    child.load_state_dict(found, strict=True)
    return child


def grown(parent: ArchSpec, child: ArchSpec, seed: int = 0) -> Inheritance:
    """The inheritance, after checking that the child computes what the parent does."""
    donor = network(parent, seed)
    found = inheritance(parent, donor.state_dict(), child, seed=seed)
    x = pictures(parent.in_channels)
    torch.testing.assert_close(
        outputs(child_of(child, found.weights), x), outputs(donor, x), rtol=1e-4, atol=1e-4
    )
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_the_parent_itself_is_inherited_to_the_bit(name: str) -> None:
    spec = FAMILIES[name]
    state = network(spec).state_dict()
    found = inheritance(spec, state, spec)
    assert list(found.weights) == list(state)
    for key, tensor in state.items():
        assert torch.equal(found.weights[key], tensor), key
        assert found.weights[key].data_ptr() != tensor.data_ptr(), key
    assert found.distance == 0
    assert set(found.shares.values()) == {1}
    assert set(found.shares) == {"stem", "stages.0", "stages.1", "head"}
    assert set(found.changes.values()) == {0}


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_larger_children_keep_the_function(name: str, data: st.DataObject) -> None:
    parent = child = FAMILIES[name]
    whole = name == "convnext"  # layer norm: every channel equally often
    if data.draw(st.booleans(), "wider"):
        width = data.draw(st.sampled_from([2, 3] if whole else [1.2, 1.5, 2, 2.4]), "width")
        child = scale(child, width=width)
    if name != "mobilenet v1" and data.draw(st.booleans(), "deeper"):
        child = deeper(child)
    if data.draw(st.booleans(), "larger kernels"):
        child = kernels(child, 2)
    if data.draw(st.booleans(), "excitation"):
        child = excited(child)
    if parent.stages[-1].expansion != 1 and data.draw(st.booleans(), "expansion"):
        child = with_stages(
            child, lambda s: replace(s, expansion=s.expansion * (1 if s.expansion == 1 else 2))
        )
    grown(parent, child, data.draw(st.integers(0, 3), "seed"))


def test_fewer_layers_a_block_that_adds_nothing_is_missed_by_nobody() -> None:
    child = FAMILIES["mbconv"]
    parent = deeper(child)
    donor = network(parent)
    for stage in (0, 1):
        last = donor.get_submodule(f"stages.{stage}.2.0.body.7")
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    found = inheritance(parent, donor.state_dict(), child)
    x = pictures()
    torch.testing.assert_close(outputs(child_of(child, found.weights), x), outputs(donor, x))
    assert found.changes == {"added": 0, "dropped": 2, "kernels": 0, "fresh": 0}
    assert set(found.shares.values()) == {1}
    assert 0 < found.distance < 1


def test_a_smaller_kernel_is_the_centre() -> None:
    child = FAMILIES["mbconv"]
    parent = kernels(child, 2)
    donor = network(parent)
    state = donor.state_dict()
    found = inheritance(parent, state, child)
    cut = "stages.1.1.0.body.3.weight"
    assert torch.equal(found.weights[cut], state[cut][..., 1:-1, 1:-1])
    assert found.changes["kernels"] == 4
    for name, tensor in state.items():
        if tensor.dim() == 4 and tensor.shape[-1] == 5 and "stages" in name:
            ring = torch.ones_like(tensor)
            ring[..., 1:-1, 1:-1] = 0
            tensor[ring.bool()] = 0
    x = pictures()
    torch.testing.assert_close(
        outputs(child_of(child, inherit(parent, state, child)), x), outputs(donor, x)
    )


@pytest.mark.parametrize(
    "name", ["mbconv", "mbconv with excitation", "bottleneck", "resnext", "rexnet"]
)
def test_fewer_hidden_channels_those_that_nobody_hears_go(name: str) -> None:
    """Half of the hidden channels, of every group, are read with weights of 0, at random places."""
    parent = FAMILIES[name]
    if name == "rexnet":  # its excitation inside is of the hidden width
        parent = with_stages(parent, lambda stage: replace(stage, se=0, expansion=4))
    child = with_stages(parent, lambda s: replace(s, expansion=s.expansion / 2))
    donor = network(parent)
    state, groups = donor.state_dict(), parent.stages[0].groups
    for unit in units(parent)[1 : -2 if parent.head else -1]:
        for layers in unit.spaces[2:]:
            halve(state[f"{layers[0][0]}.weight"], groups)
        if excitation := excitation_of(unit):  # it hears what the projection hears
            heard = state[f"{unit.spaces[2][0][0]}.weight"].abs().sum(dim=0, keepdim=True) > 0
            state[f"{excitation.body[0][0]}.weight"] *= heard
    found = inheritance(parent, state, child)
    x = pictures()
    torch.testing.assert_close(
        outputs(child_of(child, found.weights), x), outputs(donor, x), rtol=1e-4, atol=1e-4
    )
    assert set(found.changes.values()) == {0}
    assert found.distance > 0.1


def halve(weight: Tensor, groups: int) -> None:
    """Half of the input channels get weights of 0 in place, of each part of them or of each
    group's rows."""
    if weight.shape[1] % groups or weight.shape[1] < 2 * groups:  # a grouped convolution's own
        for rows in weight.chunk(groups):
            rows[:, torch.randperm(rows.shape[1])[: rows.shape[1] // 2]] = 0
        return
    for part in weight.chunk(groups, dim=1):
        part[:, torch.randperm(part.shape[1])[: part.shape[1] // 2]] = 0


def test_of_the_stream_the_channels_that_matter_stay() -> None:
    parent = FAMILIES["mbconv"]
    child = replace(
        parent, stages=(parent.stages[0], replace(parent.stages[1], channels=8)), name="half"
    )
    donor = network(parent)
    state = donor.state_dict()
    kept = torch.tensor([1, 2, 3, 5, 8, 11, 13, 14])
    readers = ("stages.1.1.0.body.0.weight", "head.0.weight")
    for name in readers:
        quiet = torch.ones(16, dtype=torch.bool)
        quiet[kept] = False
        state[name][:, quiet] *= 1e-6
    found = inherit(parent, state, child)
    for name in readers:
        assert torch.equal(found[name], state[name][found_rows(found, state, name)][:, kept])


def found_rows(found: dict[str, Tensor], state: dict[str, Tensor], name: str) -> Tensor:
    """A hidden space's rows by the norm after it, whose values are all different."""
    norm = name.replace("0.weight", "1.running_mean")
    return (found[norm][:, None] == state[norm]).nonzero()[:, 1]


def test_measured_importance_takes_the_place_of_gamma() -> None:
    parent, reader = FAMILIES["mbconv"], "stages.1.1.0.body.6"
    child = expanded(parent, 0.5)
    state = network(parent).state_dict()
    kept = torch.arange(48).flip(0)[::2].flip(0)
    value = torch.zeros(48)
    value[kept] = 1
    found = inherit(parent, state, child, importance={reader: value})
    assert torch.equal(found[f"{reader}.weight"], state[f"{reader}.weight"][:, kept])
    assert not torch.equal(inherit(parent, state, child)[f"{reader}.weight"],
                           found[f"{reader}.weight"])  # fmt: skip


def test_effects_are_what_a_channel_adds() -> None:
    parent = FAMILIES["mbconv"]
    donor = network(parent)
    x = pictures(count=8)
    found = effects(donor, x.split(4))
    seen: list[Tensor] = []
    reader = donor.get_submodule("stages.1.1.0.body.6")
    reader.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
    outputs(donor, x)
    added = seen[0][:, 3, None] * reader.weight.detach()[None, :, 3]
    spread = added.var(dim=(0, 2, 3)).sum().sqrt()
    torch.testing.assert_close(found["stages.1.1.0.body.6"][3], spread)
    assert set(found) == {
        name for name, m in donor.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    }
    inherit(parent, donor.state_dict(), scale(parent, width=0.5), importance=found)


def test_excitation_that_goes_leaves_its_mean_gate() -> None:
    """A gate that does not depend on the picture is kept exactly."""
    for name in ("mbconv with excitation", "rexnet"):
        parent = FAMILIES[name]
        child = with_stages(parent, lambda stage: replace(stage, se=0))
        donor = network(parent)
        for module in donor.modules():
            if type(module).__name__ == "_Excite":
                nn.init.zeros_(module.body[-2].weight)
        found = inherit(parent, donor.state_dict(), child)
        x = pictures()
        torch.testing.assert_close(
            outputs(child_of(child, found), x), outputs(donor, x), rtol=1e-4, atol=1e-4
        )


def test_excitation_that_goes_is_near_its_mean() -> None:
    """The gate of a picture in which channels are as the norm says: closer than one half or 1."""
    parent = FAMILIES["mbconv with excitation"]
    child = with_stages(parent, lambda stage: replace(stage, se=0))
    donor = network(parent)
    x = pictures(count=64)
    gates: list[Tensor] = []
    rebase(donor, [x])
    excite = donor.get_submodule("stages.0.0.0.body.6")
    excite.body.register_forward_hook(lambda *args: gates.append(args[2].detach()))
    outputs(donor, x)
    state = donor.state_dict()
    found = inherit(parent, state, child)
    gate = found["stages.0.0.0.body.6.weight"] / state["stages.0.0.0.body.7.weight"]
    mean = gates[0].mean(dim=0).flatten()
    assert (gate[0, :, 0, 0] - mean).abs().max() < 0.02
    assert (mean - 0.5).abs().max() > 0.05


def test_widths_that_no_copy_balances_are_not_exact_in_layer_norm() -> None:
    """What the documentation says of ConvNeXt: whole multiples are exact, others are not."""
    parent = FAMILIES["convnext"]
    grown(parent, scale(parent, width=2))
    donor = network(parent)
    child = scale(parent, width=1.5)
    x = pictures()
    other = outputs(child_of(child, inherit(parent, donor.state_dict(), child)), x)
    assert (other - outputs(donor, x)).abs().max() > 1e-3
    grown(parent, deeper(kernels(expanded(parent, 1.5), 2)))


def test_an_identity_becomes_a_projection_that_does_the_same() -> None:
    """ResNet's first stage has no projection of its own where the stem is as wide."""
    parent = replace(FAMILIES["resnet"], stem=Stem(8))
    child = replace(parent, stem=Stem(16))
    assert "stages.0.0.0.shortcut.0.weight" in grown(parent, child).weights


def test_an_epsilon_of_its_own() -> None:
    parent = FAMILIES["mbconv"]
    grown(parent, replace(parent, norm_eps=1e-3))


@pytest.mark.parametrize(("theirs", "mine"), [(3, 1), (1, 3)])
def test_grey_and_coloured(theirs: int, mine: int) -> None:
    parent = replace(FAMILIES["mbconv"], in_channels=theirs)
    child = replace(parent, in_channels=mine)
    donor = network(parent)
    grey = pictures(1)
    torch.testing.assert_close(
        outputs(child_of(child, inherit(parent, donor.state_dict(), child)),
                grey.expand(-1, mine, -1, -1)),
        outputs(donor, grey.expand(-1, theirs, -1, -1)),
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"4: give the network \d channels"):
        inherit(parent, donor.state_dict(), replace(parent, in_channels=4))


def test_other_classes_get_a_fresh_classifier_alone() -> None:
    parent = FAMILIES["mbconv"]
    state = network(parent).state_dict()
    found = inheritance(parent, state, replace(parent, classes=3))
    assert [name for name in state if not torch.equal(found.weights[name], state[name])
            ] == list(state)[-2:]  # fmt: skip
    assert found.distance == 0
    assert found.shares["head"] < 1


def test_wrong_weights_are_refused() -> None:
    parent = FAMILIES["mbconv"]
    with pytest.raises(ValueError, match="different networks"):
        inherit(parent, network(FAMILIES["resnet"]).state_dict(), parent)
    with pytest.raises(ValueError, match="width and classes"):
        inherit(parent, network(replace(parent, classes=9)).state_dict(), parent)


def test_a_seed_is_a_start() -> None:
    parent = FAMILIES["mbconv with excitation"]
    child = deeper(scale(replace(parent, classes=3), width=1.5))
    state = network(parent).state_dict()
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    one, two, other = (inherit(parent, state, child, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), drawn)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["head.6.weight"], other["head.6.weight"])
    copies = "stages.0.1.0.body.0.weight"  # readers of a widened stream: the copies' shares
    assert not torch.equal(one[copies], other[copies])


def test_copies_learn_apart() -> None:
    """Two channels that copy one are read differently, so that their gradients differ."""
    parent = FAMILIES["mbconv"]
    child = scale(parent, width=2)
    made = child_of(child, inherit(parent, network(parent).state_dict(), child))
    made(pictures()).square().sum().backward()
    gradient = made.get_parameter("stem.0.weight").grad
    assert gradient is not None
    half = len(gradient) // 2
    assert len({tuple(row.flatten().tolist()) for row in gradient}) == 2 * half


def test_a_kind_without_a_donor_starts_as_its_shortcut() -> None:
    parent = FAMILIES["mbconv"]
    child = replace(parent, stages=(parent.stages[0], replace(parent.stages[1], expansion=1)))
    found = inheritance(parent, network(parent).state_dict(), child)
    assert found.shares["stages.1"] == 0
    assert found.shares["stages.0"] == found.shares["stem"] == found.shares["head"] == 1
    assert found.changes["fresh"] == 2
    assert not found.weights["stages.1.1.0.body.4.weight"].any()
    assert found.weights["stages.1.0.4.weight"].all()  # no shortcut: not closed


def test_stages_that_divide_otherwise_align_by_stride() -> None:
    """One stage cut in two, at the same strides: the same network, inherited whole."""
    parent = replace(FAMILIES["mbconv"], stages=(StageSpec("mbconv", 4, 8, stride=2, expansion=3),))
    first = replace(parent.stages[0], layers=1)
    child = replace(parent, stages=(first, replace(first, layers=3, stride=1)))
    found = grown(parent, child)
    assert found.distance == 0


@settings(max_examples=50, deadline=None)
@given(parent=specs(), child=specs(), seed=st.integers(0, 3))
def test_any_two_networks_inherit(parent: ArchSpec, child: ArchSpec, seed: int) -> None:
    found = inheritance(parent, network(parent).state_dict(), child, seed=seed)
    child_of(child, found.weights)
    assert all(tensor.isfinite().all() for tensor in found.weights.values())
    assert all(0 <= share <= 1 for share in found.shares.values())
    assert 0 <= found.distance <= 1
    assert min(found.changes.values()) >= 0


@pytest.mark.parametrize("name", ["mnasnet", "mbconv"])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_networks_of_a_space_inherit_from_one_another(name: str, seed: int) -> None:
    searched, rng = space(name), np.random.default_rng(seed)
    parent, child = (
        scale(searched.spec(searched.sample(rng)), width=0.15, name="thin") for _ in range(2)
    )
    state = build(parent).state_dict()
    found = inheritance(parent, state, child, seed=seed)
    child_of(child, found.weights)
    assert found.shares["stem"] == 1


def test_excitation_grows_inside() -> None:
    for name in ("mbconv with excitation", "rexnet"):
        parent = FAMILIES[name]
        grown(parent, with_stages(parent, lambda stage: replace(stage, se=2 * stage.se)))


def test_a_stream_grows_where_the_parents_does_not() -> None:
    """Channels that come in the middle of a course are nobody's: nobody listens to them yet."""
    parent = replace(
        FAMILIES["rexnet"], stages=(StageSpec("rexnet", 2, (10, 10), 3, 2, 2, skip="partial"),)
    )
    child = replace(parent, stages=(replace(parent.stages[0], channels=(12, 17)),))
    found = grown(parent, child)
    assert not found.weights["head.0.weight"][:, 12:].any()


def test_weights_that_others_saved_are_taken() -> None:
    parent = FAMILIES["mbconv"]
    state = network(parent).state_dict()
    others = {
        f"module.{name}": tensor.double()
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    found = inherit(parent, others, parent)
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_importance_of_another_network_is_refused() -> None:
    parent = FAMILIES["mbconv"]
    state = network(parent).state_dict()
    with pytest.raises(ValueError, match="which the parent does not have: measure"):
        inherit(parent, state, parent, importance={"stages.7": torch.ones(3)})
    with pytest.raises(ValueError, match="for 3 channels of the 48 that it reads"):
        inherit(parent, state, expanded(parent, 0.5),
                importance={"stages.1.1.0.body.6": torch.ones(3)})  # fmt: skip


def test_maps() -> None:
    score = torch.tensor([3.0, 1.0, 2.0])
    assert choose(score, 2).tolist() == [0, 2]
    assert choose(score, 3).tolist() == [0, 1, 2]
    assert choose(score, 5).tolist() == [0, 1, 2, 0, 2]
    assert choose(score, 8).tolist() == [0, 1, 2, 0, 2, 1, 0, 2]
    assert sorted(choose(score, 9).tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert choose(torch.tensor([1.0, 2, 4, 3]), 2, parts=2).tolist() == [1, 2]
    assert extend(torch.tensor([0, 2]), torch.ones(4), 3, 3).tolist() == [0, 2, 3]
    assert extend(torch.tensor([0, 2]), torch.ones(3), 3, 3).tolist() == [0, 2, -1]
    assert extend(torch.tensor([0, 2]), torch.ones(2), 3, 2).tolist() == [0, -1]


@pytest.mark.parametrize("groups", [1, 2])
def test_copies_give_what_their_original_gave(groups: int) -> None:
    original = torch.randn(4, 3)
    inn = torch.tensor([0, 1, 2, 1, 1, 0] * groups)
    weight = original[:, inn[:6]].clone()
    split(weight, inn, groups, torch.Generator().manual_seed(0))
    for channel in range(3):
        together = weight[:, inn[:6] == channel].sum(dim=1)
        torch.testing.assert_close(together, original[:, channel])
    assert torch.equal(weight[:, 2], original[:, 2])
    assert not torch.allclose(weight[:, 0], weight[:, 5])


def test_the_example_of_the_documentation() -> None:
    weights = build(models.families.family("mobilenet-v2")).state_dict()
    names: dict[str, Any] = {"weights": weights, "pictures": pictures(count=4, side=32)}
    exec(example("inherit.md", "Use"), names)
    assert outputs(names["network"], pictures(side=32)).shape == (4, 1000)
