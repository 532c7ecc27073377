"""Search spaces: members, batches, costs equal to the closed form one by one."""

from __future__ import annotations

import csv
import gzip
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.build import build
from models.cost import cost
from models.families import family
from models.spec import ArchSpec, StageSpec
from nas.rerank.__main__ import main as rerank
from nas.samplers import NAMES as SAMPLERS
from nas.search import search
from nas.space import Space, StageChoices, space
from reports.__main__ import main as report
from tests.support.command import assert_refused, in_process
from tests.support.docs import example
from tests.support.paths import ACCEL_NASBENCH, needs_shared
from tests.support.strategies import spaces

NAMES = ("mnasnet", "mbconv")


def own_space() -> Space:
    """A user's space, with strides among its choices and widths that differ by layer."""

    def stage(k: int, s: int, c: int) -> StageSpec:
        return StageSpec("rexnet", 2, (c, c + 3), k, s, 6, se=1 / 12, skip="partial")

    menus = {"k": (3, 5), "s": (1, 2)}
    first = StageChoices({**menus, "c": (16, 20)}, stage)
    others = (StageChoices(menus, partial(stage, c=c)) for c in (24, 33))
    return Space("own", replace(family("rexnet-1.0"), resolution=65), (first, *others))


@pytest.mark.parametrize("name", NAMES)
def test_costs_equal_the_closed_form(name: str) -> None:
    searched = space(name)
    check_costs(searched, searched.random(200, np.random.default_rng(0)))


def test_costs_of_a_users_own_space() -> None:
    searched = own_space()
    everything = np.array(list(np.ndindex(*searched.sizes)))
    assert len(everything) == searched.size == 128
    check_costs(searched, everything)


@settings(deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_costs_of_any_space(searched: Space, seed: int) -> None:
    batch = np.unique(searched.random(16, np.random.default_rng(seed)), axis=0)
    check_costs(searched, batch)
    for row in batch:
        spec = searched.spec_of(row)
        again = searched.choices_of(spec)
        assert again is not None
        assert searched.spec(again).key == spec.key
        assert ArchSpec.from_json(spec.to_json()) == spec


def check_costs(searched: Space, batch: np.ndarray) -> None:
    found = searched.costs(batch)
    for n, row in enumerate(batch):
        expected = cost(searched.spec_of(row))
        assert tuple(int(column[n]) for column in found) == tuple(expected)


def test_mnasnet_holds_efficientnet_b0() -> None:
    b0 = family("efficientnet-b0")
    searched = space("mnasnet")
    choices = searched.choices_of(b0)
    assert choices is not None
    assert searched.spec(choices).key == b0.key
    assert not searched.contains(family("efficientnet-b1"))
    assert not searched.contains(family("mobilenet-v2"))


def test_mnasnet_holds_the_stages_of_mnasnet_a1_and_b1() -> None:
    """Under the space's own activation; everything else of A1 and B1 is in the menus."""
    searched = space("mnasnet")
    for name in ("mnasnet-a1", "mnasnet-b1"):
        assert searched.contains(replace(searched.template, stages=family(name).stages))


def test_sizes() -> None:
    assert space("mbconv").size == 36**6 * 48  # 1.04e11, as published
    per_stage = 4 * 2 * 2 * 3
    widths, layers = (2, 2, 3, 3, 3, 3, 3), (2, 3, 3, 3, 3, 3, 2)
    assert space("mnasnet").size == per_stage**7 * np.prod(widths) * np.prod(layers)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_candidate_is_a_member(name: str, seed: int) -> None:
    searched, rng = space(name), np.random.default_rng(seed)
    choices = searched.sample(rng)
    spec = searched.spec(choices)
    assert isinstance(spec, ArchSpec)
    assert searched.choices_of(spec) == choices
    moved = searched.mutate(choices, rng)
    assert sum(moved[key] != choices[key] for key in choices) == 1
    assert searched.contains(searched.spec(moved))
    row = searched.indices([choices])[0]
    assert searched.values(row) == choices
    near = searched.neighbours(row)
    assert len(near) == sum(searched.sizes - 1) == len(np.unique(near, axis=0))
    assert ((near != row).sum(1) == 1).all()


def test_encoding_is_ordinal() -> None:
    searched = space("mbconv")
    code = searched.encode(
        searched.indices(
            [
                dict.fromkeys(searched.names, 1)
                | {name: values[-1] for name, values in searched.choices.items()}
            ]
        )
    )
    assert (code == 1).all()


def test_clear_errors() -> None:
    searched = space("mbconv")
    good = searched.sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match="block0_e=5"):
        searched.spec({**good, "block0_e": 5})
    with pytest.raises(ValueError, match="block9_e"):
        searched.spec({**good, "block9_e": 6})
    beyond = searched.indices([good])
    beyond[0, 1] = 2
    with pytest.raises(ValueError, match="block0_k has no value at position 2"):
        searched.costs(beyond)
    with pytest.raises(ValueError, match="mnasnet, mbconv, macro"):
        space("nasnet")


@needs_shared(ACCEL_NASBENCH)
def test_accel_nasbench_rows_are_members() -> None:
    """Its macs are ours, 4 a batch-norm element, and the pools' inputs and outputs."""
    searched = space("mbconv")
    with gzip.open(ACCEL_NASBENCH, "rt") as file:
        rows = list(csv.DictReader(file))[::100]
    for row in rows:
        choices = {}
        for i, block in enumerate(row["architecture"].split("-")):
            e, k, layers, se = re.fullmatch(r"e(\d)k(\d)l(\d)se(\d)", block).groups()  # type: ignore[union-attr]
            own = {"e": int(e), "k": int(k), "l": int(layers), "se": int(se)}
            choices |= {f"block{i}_{name}": value for name, value in own.items()}
        spec = searched.spec(choices)
        found = cost(spec)
        assert found.params == round(float(row["params_million"]) * 1e6)
        pools, pooled, norms = pool_and_norm_elements(spec)
        assert found.fvcore == found.macs + 2 * norms + pools
        assert found.macs + 4 * norms + pools + pooled == round(float(row["macs_million"]) * 1e6)


def pool_and_norm_elements(spec: ArchSpec) -> tuple[int, int, int]:
    """Elements that enter and leave the adaptive pools, and that enter the batch norms."""
    entered = {torch.nn.AdaptiveAvgPool2d: 0, torch.nn.BatchNorm2d: 0}
    left = dict(entered)

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        entered[type(module)] += inputs[0].numel()  # type: ignore[index]
        left[type(module)] += output.numel()  # type: ignore[index]

    with torch.device("meta"):
        network = build(spec).eval()
        for module in network.modules():
            if type(module) in entered:
                module.register_forward_hook(count)
        network(torch.zeros(1, 3, spec.resolution, spec.resolution))
    pool = torch.nn.AdaptiveAvgPool2d
    return entered[pool], left[pool], entered[torch.nn.BatchNorm2d]


def grouped(k: int, groups: int) -> StageSpec:
    return StageSpec("bottleneck", 1, 24, k, 1, 0.5, groups=groups)


def test_group_counts_may_vary() -> None:
    searched = Space(
        "g", family("resnet-50"), (StageChoices({"k": (3, 5), "groups": (1, 4, 12)}, grouped),)
    )
    check_costs(searched, np.array(list(np.ndindex(*searched.sizes))))


def test_a_combination_that_is_no_stage_is_named() -> None:
    searched = Space(
        "g", family("resnet-50"), (StageChoices({"k": (3, 5), "groups": (1, 7)}, grouped),)
    )
    named = "in space g, block0_k=5, block0_groups=7 is no stage: 7 groups do not divide"
    with pytest.raises(ValueError, match=named):
        searched.spec({"block0_k": 5, "block0_groups": 7})
    with pytest.raises(ValueError, match=named):
        searched.costs([{"block0_k": 5, "block0_groups": 7}])
    with pytest.raises(ValueError, match=r"in space g, .* is no stage: 7 groups"):
        search(searched, lambda spec, seed: 0.5, 1e9, 3, low=0)
    spec = searched.spec({"block0_k": 5, "block0_groups": 1})
    assert cost(spec).macs == searched.costs([{"block0_k": 5, "block0_groups": 1}]).macs[0]


def test_what_is_no_space() -> None:
    template = family("resnet-50")
    for menus, named in (
        ({"k": ()}, "menu of k is empty"),
        ({"k": (3, 3.0)}, "menu of k, .* holds a value twice"),
        ({"kernel": (3,)}, "make must take the choices .'kernel'."),
    ):
        with pytest.raises(ValueError, match=named):
            StageChoices(menus, partial(grouped, groups=1))
    with pytest.raises(ValueError, match="no layers"):
        Space("empty", template, ())
    wrong = Space("w", template, (StageChoices({"k": (3,)}, lambda k: k),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="block0_k=3 is no stage: 3 was made: return a StageSpec"):
        wrong.costs([{"block0_k": 3}])
    other = Space(
        "w", template, (StageChoices({"k": (3,)}, lambda k: StageSpec("convnext", 1, 8)),)
    )
    with pytest.raises(ValueError, match="block0_k=3 is no stage: block convnext with norm batch"):
        other.costs([{"block0_k": 3}])


def test_a_space_of_one_network() -> None:
    """A stage without choices, and one whose menus have one value each."""
    fixed = StageChoices({}, partial(grouped, k=3, groups=1))
    searched = Space(
        "one", family("resnet-50"), (fixed, StageChoices({"k": (3,)}, partial(grouped, groups=2)))
    )
    assert searched.size == 1
    check_costs(searched, np.array([[0]]))
    assert searched.neighbours(np.array([0])).shape == (0, 1)
    with pytest.raises(ValueError, match="a single candidate"):
        searched.mutate({"block1_k": 3}, np.random.default_rng(0))
    assert len(searched.costs(np.empty((0, 1), dtype=np.int64)).macs) == 0
    for sampler in SAMPLERS:
        with pytest.raises(ValueError, match="a single network"):
            search(searched, lambda spec, seed: 0.5, 2e9, 3, sampler, low=0)


def test_numpys_numbers_are_numbers() -> None:
    """In menus, which then hold Python's own; in candidates; in what make returns."""
    menus = {"k": tuple(np.array([3, 5])), "groups": np.arange(1, 3)}
    searched = Space("n", family("resnet-50"), (StageChoices(menus, grouped),))  # type: ignore[arg-type]
    assert {type(value) for menu in searched.choices.values() for value in menu} == {int}
    spec = searched.spec({"block0_k": np.int64(5), "block0_groups": np.int32(2)})
    assert spec.key == searched.spec({"block0_k": 5, "block0_groups": 2}).key
    assert ArchSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("heading", "run", "first"),
    [("A space of stages", "mine", "block0_k"), ("A space of layers", "layers", "layer0")],
)
def test_the_documented_examples(
    heading: str, run: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """They run as printed; their runs are reported, resumed and ranked again."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(example("own-networks.md", heading), names)
    found, mine, run_dir = names["found"], names["mine"], tmp_path / "runs" / run
    assert len(found.trials) == 12
    assert mine.names[0] == first
    assert all(60e6 <= cost(record.spec).macs <= 120e6 for record in found.trials)
    assert mine.contains(found.best.spec)
    report([str(run_dir)])
    page = (run_dir / "report.html").read_text("utf-8")
    assert "in space mine" in page
    assert found.best.spec.name in page
    assert f",{first}," in (run_dir / "trials.csv").read_text("utf-8").splitlines()[0]
    again = search(mine, names["evaluate"], 120e6, 14, run_dir=run_dir, resume=True)
    assert [r.spec for r in again.trials[:12]] == [r.spec for r in found.trials]
    assert_refused(in_process(rerank, [run_dir], capsys), "--by measured")
    ranked = in_process(rerank, [run_dir, "--by", "measured", "--w", "-0.2"], capsys)
    assert ranked.returncode == 0, ranked.stderr
