"""Layer-wise spaces: NAS-Bench-Macro's, and whatever a user makes of layers."""

from __future__ import annotations

import csv
import gzip
import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.build import build
from models.cost import cost
from models.describe import stages as described
from models.plan import plan
from models.scale import scale
from models.spec import ArchSpec, StageSpec, Stem
from nas.objective import Objective
from nas.samplers import NAMES
from nas.search import search
from nas.space import LayerChoices, Space, StageChoices, layerwise, space
from tests.support.paths import NAS_BENCH_MACRO, needs_shared


def choices(digits: str) -> dict[str, int]:
    """A network as NAS-Bench-Macro writes it."""
    return {f"layer{i}": int(digit) for i, digit in enumerate(digits)}


@needs_shared(NAS_BENCH_MACRO)
def test_nas_bench_macros_parameters_and_flops() -> None:
    """All rows, integer for integer: its FLOPs are multiply-adds of convolution and linear."""
    with gzip.open(NAS_BENCH_MACRO, "rt") as file:
        table = list(csv.DictReader(file))
    searched = space("macro")
    batch = searched.indices([choices(row["architecture"]) for row in table])
    found = searched.costs(batch)
    assert len(table) == 3308
    assert found.params.tolist() == [int(row["params"]) for row in table]
    assert found.macs.tolist() == [int(row["macs"]) for row in table]
    for row, candidate in list(zip(table, batch, strict=True))[::50]:
        assert cost(searched.spec_of(candidate)).params == int(row["params"])


# (macs, params) from the published table.
@pytest.mark.parametrize(
    ("digits", "golden"),
    [
        ("00000000", (7_713_280, 387_882)),
        ("00000121", (31_562_240, 1_742_762)),
        ("00001002", (27_423_232, 1_322_922)),
        ("00000222", (43_328_000, 2_335_274)),
    ],
)
def test_golden(digits: str, golden: tuple[int, int]) -> None:
    spec = space("macro").spec(choices(digits))
    found = cost(spec)
    assert (found.macs, found.params) == golden
    built = build(spec)
    assert sum(p.numel() for p in built.parameters()) == found.params
    assert ArchSpec.from_json(spec.to_json()).key == spec.key


def test_the_identity_is_no_layer_or_a_linear_projection() -> None:
    spec = space("macro").spec(choices("00120000"))
    assert [(s.block, s.layers, s.channels, s.stride) for s in spec.stages] == [
        ("projection", 1, 64, 2), ("mbconv", 1, 128, 2), ("mbconv", 1, 128, 1),
        ("projection", 1, 256, 2),
    ]  # fmt: skip
    modules = [type(m).__name__ for m in build(spec).stages[0].modules()]  # type: ignore[index,union-attr]
    assert modules[-2:] == ["Conv2d", "BatchNorm2d"]
    assert "ReLU" not in modules
    assert described(spec)[1].operator == "Projection, k1×1, no skip, stride 2"
    assert build(spec).eval()(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_identities_leave_no_place_behind() -> None:
    """Two rows with the same layers are one network, which has a first row of its own."""
    searched = space("macro")
    one, other = (searched.spec(choices(digits)) for digits in ("00010200", "00010020"))
    assert one.key != other.key  # a stage's first layer changes shapes, whatever it is
    one, other = (searched.spec(choices(digits)) for digits in ("00012010", "00012001"))
    assert one.key == other.key
    assert one.name != other.name
    assert searched.choices_of(one) == searched.choices_of(other) == choices("00012001")


def test_networks_have_one_key_each() -> None:
    """3 · 3 of a stage of two layers, 3 · (1 + 2 + 4) of one of three, whose first always is one.

    Keys differ exactly where the layers do, wherever stages begin."""
    searched = space("macro")
    made = map(searched.spec_of, everything(searched))
    specs = {spec.key: spec for spec in made}
    assert searched.size == 3**8
    assert len(specs) == 9 * 21 * 21
    layers = [tuple(itertools.chain.from_iterable(plan(spec).stages)) for spec in specs.values()]
    assert len(set(layers)) == len(specs)


def everything(searched: Space) -> np.ndarray:
    return np.array(list(np.ndindex(*searched.sizes)))


def test_deeper_networks_repeat_no_projection() -> None:
    spec = space("macro").spec(choices("00111000"))
    deeper = scale(spec, depth=2.0)
    assert [stage.layers for stage in spec.stages] == [1, 3, 1]
    assert [stage.layers for stage in deeper.stages] == [1, 6, 1]


@pytest.mark.parametrize("sampler", NAMES)
def test_every_sampler_searches_it(sampler: str) -> None:
    found = search(space("macro"), layers_and_kernels, 40e6, 12, sampler, seed=1)
    assert len(found.trials) == 12
    assert len({plan(record.spec) for record in found.trials}) == 12
    assert all(20e6 <= cost(record.spec).macs <= 40e6 for record in found.trials)
    assert space("macro").contains(found.best.spec)


def layers_and_kernels(spec: ArchSpec, seed: int) -> float:
    return 0.5 + 0.01 * sum(stage.layers * stage.kernel for stage in spec.stages) / 5


@needs_shared(NAS_BENCH_MACRO)
def test_the_default_sampler_finds_the_best() -> None:
    """On real accuracies, at no more than 35M multiply-adds: half of the networks are in the table;
    others fail, as a training may."""
    with gzip.open(NAS_BENCH_MACRO, "rt") as file:
        known = {
            space("macro").spec(choices(row["architecture"])).key: row
            for row in csv.DictReader(file)
        }
    top1 = {key: float(row["cifar10_top1_percent"]) / 100 for key, row in known.items()}
    aim = Objective(35e6)
    inside = [key for key, row in known.items() if aim.admits(float(row["macs"]))]
    best = max(aim.reward(top1[key], float(known[key]["macs"])) for key in inside)
    found = search(space("macro"), lambda spec, seed: top1[spec.key], 35e6, 60, seed=0)
    assert found.best.reward == pytest.approx(best, abs=1e-3)


def mbconv(channels: int, stride: int, e: int) -> StageSpec:
    return StageSpec("mbconv", 1, channels, 3, stride, e)


def mixed() -> Space:
    """A stage of its own choices, then layers that may lengthen it, another stage, layers."""

    def stage(n: int, e: int) -> StageSpec:
        return StageSpec("mbconv", n, 16, 3, 2, e)

    operators = {"none": None, "e3": partial(mbconv, e=3), "e6": partial(mbconv, e=6)}
    layer = LayerChoices(16, 1, operators)
    template = ArchSpec("t", Stem(16), (StageSpec("conv", 1, 8),), resolution=33)
    first = StageChoices({"n": (1, 2), "e": (3, 6)}, stage)
    last = StageChoices({"e": (3, 6)}, partial(mbconv, 24, 1))
    return Space(
        "mixed", template, (layer, first, layer, layer, last, LayerChoices(24, 1, operators))
    )


def test_stages_and_layers_in_one_space() -> None:
    searched = mixed()
    assert searched.names == (
        "layer0", "block1_n", "block1_e", "layer2", "layer3", "block4_e", "layer5",
    )  # fmt: skip
    batch = everything(searched)
    found = searched.costs(batch)
    for n, row in enumerate(batch):
        spec = searched.spec_of(row)
        assert tuple(int(column[n]) for column in found) == tuple(cost(spec))
        again = searched.choices_of(spec)
        assert again is not None
        assert searched.spec(again).key == spec.key
    longest = searched.spec({
        "layer0": "none", "block1_n": 2, "block1_e": 3, "layer2": "e3", "layer3": "e3",
        "block4_e": 6, "layer5": "none",
    })  # fmt: skip
    assert [stage.layers for stage in longest.stages] == [4, 1]


def test_what_is_no_member() -> None:
    searched = space("macro")
    spec = searched.spec(choices("11121212"))
    assert not searched.contains(replace(spec, head=640))
    assert searched.contains(replace(spec, stages=spec.stages[:-1]))  # the identity in its place
    assert not searched.contains(replace(spec, stages=spec.stages[1:]))
    assert not searched.contains(replace(spec, stages=(*spec.stages, spec.stages[-1])))
    first = spec.stages[0]
    assert first.layers == 2
    halves = (replace(first, layers=1), replace(first, layers=1, stride=1))
    assert not searched.contains(replace(spec, stages=(*halves, *spec.stages[1:])))
    assert not searched.contains(replace(spec, stages=(replace(first, kernel=7), *spec.stages[1:])))


@given(st.integers(0, 2**32 - 1))
def test_every_candidate_is_a_member(seed: int) -> None:
    searched, rng = space("macro"), np.random.default_rng(seed)
    spec = searched.spec(searched.sample(rng))
    again = searched.choices_of(spec)
    assert again is not None
    assert searched.spec(again).key == spec.key


def test_the_identity_goes_by_the_template_in_force() -> None:
    """With a wider stem the first layer changes no shape any more, or does."""
    searched = layerwise(
        "s",
        ArchSpec("t", Stem(16), (StageSpec("conv", 1, 8),), resolution=32),
        [(16, 1), (24, 1)],
        {0: None, 1: partial(mbconv, e=3)},
    )
    none = {"layer0": 0, "layer1": 0}
    assert [s.channels for s in searched.spec(none).stages] == [24]
    wider = searched.with_template(stem=Stem(24))
    assert [s.channels for s in wider.spec(none).stages] == [16, 24]
    assert wider.costs([none]).macs[0] == cost(wider.spec(none)).macs


def test_clear_errors() -> None:
    template = space("macro").template
    with pytest.raises(ValueError, match="no layers"):
        layerwise("empty", template, [(32, 1), (32, 1)], {0: None, 1: partial(mbconv, e=3)})
    with pytest.raises(ValueError, match="no layers"):
        Space("empty", template, ())
    with pytest.raises(ValueError, match="menu of a layer is empty"):
        layerwise("s", template, [(32, 1)], {})
    wrong = layerwise("s", template, [(32, 1)], {1: partial(mbconv, e=-1)})
    with pytest.raises(ValueError, match=r"in space s, layer0=1 is no stage: expansion -1"):
        wrong.spec({"layer0": 1})
