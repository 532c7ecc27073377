"""A network is cut where the dearest stage costs least."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.build import build
from models.cost import ZERO, cost
from models.families import family
from models.spec import ArchSpec
from tests.support.strategies import specs
from training.loop.together.split import balanced, of_run, split, units


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.data())
def test_the_dearest_run_costs_the_least_there_is(costs: list[int], data: st.DataObject) -> None:
    """Against every way to cut."""
    count = data.draw(st.integers(1, len(costs)))
    runs = balanced(costs, count)
    assert [place for run in runs for place in range(len(costs))[run]] == list(range(len(costs)))
    assert len(runs) == count
    assert all(run.start < run.stop for run in runs)
    ways = combinations(range(1, len(costs)), count - 1)
    least = min(
        max(sum(costs[a:b]) for a, b in zip((0, *way), (*way, len(costs)), strict=True))
        for way in ways
    )
    assert max(sum(costs[run]) for run in runs) == least


@given(specs())
def test_units_are_the_network(spec: ArchSpec) -> None:
    """They cost what it costs, and are the modules that are built."""
    found, total = units(spec), ZERO
    for one in found:
        total = total.plus(one.cost)
    assert total == cost(spec)
    assert of_run(found, slice(None)) == total


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet-18", "convnext-t", "rexnet-1.0"])
def test_units_put_out_what_the_modules_do(name: str) -> None:
    spec = family(name)
    with torch.device("meta"):
        network = build(spec)
        x = torch.empty(2, 3, 64, 64)
    parts = [network.stem, *(one for stage in network.stages for one in stage), network.head]  # type: ignore[union-attr]
    found = units(spec, 64)
    assert len(parts) == len(found)
    for module, unit in zip(parts, found, strict=True):
        assert isinstance(module, nn.Module)
        assert sum(one.numel() for one in module.parameters()) == unit.cost.params
        x = module(x)
        assert x.shape[1:] == ((unit.channels, unit.side, unit.side) if x.ndim > 2 else (1000,))


def test_b0_is_cut_evenly() -> None:
    spec = family("efficientnet-b0")
    found = units(spec)
    for count in (2, 4):
        each = [of_run(found, run).macs for run in split(spec, count)]
        assert sum(each) == cost(spec).macs
        assert max(each) < 1.15 * cost(spec).macs / count
    with pytest.raises(ValueError, match="has 18 parts that cannot be divided, too few for 19"):
        split(spec, 19)
