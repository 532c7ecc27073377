"""The measurement on a GPU, rehearsed: every step comes to its end on a CPU and writes results."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.plan import STEPS, allowances
from benchmarks.gpu.ways.at_once import as_they_end
from benchmarks.gpu.ways.ceilings import BACKWARD, FORWARD, JUDGED, Ceilings, Work, work
from benchmarks.gpu.ways.layers import WAYS, altered
from models.build import build
from models.cost import cost
from models.families import family
from models.spec import ArchSpec
from training.recipe import Recipe
from trials.record import Evaluation, Outcome, Rungs

# What a step must have measured; "tests" and "searches" tell in words.
TABLES = {
    "proxies": {
        "trainings of one pass over the pictures, bf16, channels last",
        "by kernel",
        "steps",
        "vectorised steps, random pictures",
    },
    "beginnings": {"first steps of networks in a process"},
    "fidelity": {"Kendall's τ with real accuracies (90 % bootstrap interval)"},
    "memory": {"peak of a training step"},
    "latency": {"latency in fresh processes"},
    "oom": {"trainings"},
}


@pytest.mark.slow
def test_every_step_comes_to_its_end(tmp_path: Path) -> None:
    """With far more time than it needs: no part fails, is left out or cut off."""
    main(["--rehearse", "--minutes", "60", "--out", str(tmp_path)])
    pages = json.loads((tmp_path / "results.json").read_text())
    assert list(pages) == list(STEPS)
    for name, page in pages.items():
        assert page["status"] == "done", f"{name}: {page}"
        assert page["facts"] or page["tables"] or page["words"], name
        assert set(page["tables"]) >= TABLES.get(name, set()), name
        ended = ("left out, ", "cut off after", "overran")
        assert not [word for word in page["words"] if any(text in word for text in ended)]
    known = {row["known"] for rows in pages["fidelity"]["tables"].values() for row in rows}
    assert len(known) == 2
    (ways,) = pages["beginnings"]["tables"].values()
    assert [row["way"] for row in ways] == [way for way in WAYS for _ in range(2)]
    sizes = [row["micro_batch"] for row in pages["oom"]["tables"]["trainings"]]
    assert sizes == [16, 8, 8]
    files = {path.name for path in tmp_path.iterdir()}
    assert files >= {"nas-report.html", "scaling-report.html", "kernels.txt", "tests.log"}
    assert len(files) <= 8


def test_allowances_share_what_is_left() -> None:
    """A step that ends early leaves its time to the others; none has more than is enough."""
    names, taken = list(STEPS), {}
    for name, seconds in zip(names, allowances(names, 480.0, taken), strict=True):
        assert 0 <= seconds <= STEPS[name].most
        taken[name] = seconds / 2
    assert sum(taken.values()) <= 480


class Workers:
    """Two workers that end what they were given first."""

    workers = 2

    def __init__(self) -> None:
        self.given: deque[tuple[int, int]] = deque()
        self.most = 0

    def submit(self, number: int, spec: ArchSpec, seed: int, bars: Rungs = ()) -> None:
        self.given.append((number, seed))
        self.most = max(self.most, len(self.given))

    def next(self) -> tuple[int, Outcome]:
        number, seed = self.given.popleft()
        return number, Evaluation(0.5, seed=seed, seconds=1.0)

    def close(self) -> None:
        self.given.clear()


def test_what_was_cut_off_is_not_taken_for_what_follows() -> None:
    """Trainings of one table that still run when the next one's begin."""
    workers, spec = Workers(), family("mobilenet-v2")

    def seeds(jobs: Sequence[int], most: int) -> list[tuple[int, int]]:
        found = []
        for number, outcome in as_they_end(workers, [(spec, seed) for seed in jobs], 2):
            assert isinstance(outcome, Evaluation)
            found.append((number, outcome.seed))
            if len(found) == most:
                break
        return found

    assert seeds([10, 11, 12], 1) == [(0, 10)]
    assert workers.given  # 11 is under way
    assert seeds([20, 21, 22], 9) == [(0, 20), (1, 21), (2, 22)]
    assert workers.most <= 3


def test_the_roofline_of_a_training() -> None:
    """Whole batches only, each epoch; the slower of arithmetic and memory."""
    spec, recipe = family("mobilenet-v2"), Recipe(resolution=32, epochs=3, batch=16)
    price = cost(recipe.network(spec, 10, 3))
    found = work(spec, recipe, 10, trained=40, judged=7)
    assert found.operations == 2 * price.macs * (3 * 3 * 32 + 7)
    passes = (FORWARD + BACKWARD) * 3 * 32 + JUDGED * 7
    assert found.bytes == 2 * price.activations * passes
    assert Work(6, 10).seconds(Ceilings(3, 10)) == 2
    assert Work(6, 10).binding(Ceilings(3, 10)) == "arithmetic"
    assert Work(6, 10).binding(Ceilings(9, 1)) == "memory"


@pytest.mark.parametrize("way", WAYS)
def test_layers_computed_in_another_way_are_the_same(way: str) -> None:
    """Outputs and gradients, to rounding; and as many layers are another's as are meant."""
    torch.manual_seed(0)
    spec = replace(family("mobilenet-v2"), resolution=32, classes=3, dropout=0.0)
    network, x = build(spec).double().train(), torch.randn(4, 3, 32, 32).double()

    def found() -> list[torch.Tensor]:
        network.zero_grad()
        y = network(x)
        y.square().mean().backward()
        return [y.detach(), *(p.grad.clone() for p in network.parameters())]  # type: ignore[union-attr]

    before = found()
    altered(network, way)
    convolutions = [one for one in network.modules() if isinstance(one, nn.Conv2d)]
    others = [one for one in convolutions if "forward" in vars(one)]
    pointwise = sum(one.kernel_size == (1, 1) for one in convolutions)
    every = len(convolutions)
    expected = {WAYS[1]: every, WAYS[3]: every, WAYS[4]: pointwise, WAYS[5]: every - 1}  # no stem
    assert len(others) == expected.get(way, 0)
    for one, other in zip(before, found(), strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-9)
