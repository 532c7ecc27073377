"""What is measured, in which order, in how much time, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from training.evaluator import proxy_recipe
from training.recipe import Recipe


class Step(NamedTuple):
    """A step's share of the time, and the seconds that are always enough."""

    share: float
    most: float


# The most valuable first: the whole may be cut off at any time.
STEPS = {
    "prepare": Step(0.10, 120),
    "proxies": Step(0.20, 240),
    "beginnings": Step(0.10, 150),
    "fidelity": Step(0.40, 400),
    "searches": Step(0.24, 400),
    "tests": Step(0.06, 120),
    "memory": Step(0.05, 60),
    "latency": Step(0.06, 90),
    "oom": Step(0.04, 60),
    "demo": Step(0.0, 240),  # with what is left
}


def allowances(names: Sequence[str], left: float, taken: dict[str, float]) -> Iterator[float]:
    """Seconds for each step in turn, from ``left`` and from what the earlier ones really took.

    ``taken`` is the caller's to fill in before it asks for the next. A step gets its share of what
    is left among those to come, and never more than is always enough.
    """
    for i, name in enumerate(names):
        over = left - sum(taken.values())
        shares = sum(STEPS[other].share for other in names[i:])
        part = STEPS[name].share / shares if shares else 1 / len(names[i:])
        yield max(0.0, min(STEPS[name].most, part * over))


@dataclass(frozen=True)
class Scale:
    """How much each step does.

    device        where everything runs
    candidates    networks of space ``mnasnet`` whose trainings are timed
    recipe        of those trainings: pictures that are resident, at the search's own resolution
    at_once       how many trainings share the device, in turn
    loaders       processes of the plain loop's DataLoader
    profiled      steps whose kernels are listed
    matrix        side of the matrices whose product is the ceiling of arithmetic
    copied        bytes of the copy that is the ceiling of memory
    compiler      torch.compile's backend
    compiled      the network that it takes over; None: the first of the candidates
    macro         networks of NAS-Bench-Macro, each trained by every one of ``macro_recipes``
    accel         networks of Accel-NASBench, trained by ``accel_recipe``
    budgets       options of both searches, beside pictures, device and minutes
    halved        the batch that cannot fit: images, pixels
    processes     fresh ones in which latencies are measured
    batches       of those latencies
    memory        networks whose training memory is measured: name, batch, pixels (None: own)
    """

    device: str
    candidates: int
    recipe: Recipe
    at_once: tuple[int, ...]
    loaders: int
    profiled: int
    matrix: int
    copied: int
    compiler: str
    compiled: str | None
    macro: int
    macro_recipes: tuple[Recipe, ...]
    accel: int
    accel_recipe: Recipe
    budgets: tuple[str, ...]
    halved: tuple[int, int]
    processes: int
    batches: tuple[int, ...]
    latencies: tuple[str, ...]
    memory: tuple[tuple[str, int, int | None], ...]


def _macro(epochs: int, **changes: int) -> Recipe:
    """At CIFAR-10's own 32 pixels, for which these networks were made."""
    made = Recipe(reference=32, resolution=32, epochs=epochs, batch=256, regularise=False)
    return replace(made, **changes)  # type: ignore[arg-type]


def _proxy(**changes: int) -> Recipe:
    return replace(proxy_recipe(32, "cuda"), **changes)  # type: ignore[arg-type]


FULL = Scale(
    device="cuda", candidates=2, recipe=_proxy(epochs=1), at_once=(1, 4), loaders=8,
    profiled=10, matrix=8192, copied=1 << 31, compiler="inductor", compiled=None,
    macro=24, macro_recipes=(_macro(9), _macro(3)), accel=24, accel_recipe=_proxy(),
    budgets=("--trials", "300"), halved=(256, 96), processes=4, batches=(1, 64),
    latencies=("efficientnet-b0", "mobilenet-v2", "resnet-50"),
    memory=(
        ("efficientnet-b0", 32, None), ("efficientnet-b1", 32, None),
        ("efficientnet-b2", 32, None), ("efficientnet-b3", 32, None),
        ("efficientnet-b4", 16, None), ("efficientnet-b5", 16, None),
        ("efficientnet-b6", 8, None), ("efficientnet-b7", 8, None),
    ),
)  # fmt: skip

_FEW = {"images": 32, "held_out": 16, "batch": 16}
REHEARSAL = Scale(
    device="cpu", candidates=1, recipe=_proxy(epochs=1, **_FEW), at_once=(1, 2), loaders=0,
    profiled=1, matrix=256, copied=1 << 20, compiler="eager", compiled="mobilenet-v1-0.25-128",
    macro=4, macro_recipes=(_macro(1, images=32, held_out=16),), accel=4,
    accel_recipe=_proxy(epochs=1, **_FEW),
    # From scratch, as where the bundle brings no weights.
    budgets=("--trials", "4", "--workers", "1", "--proxy-images", "20", "--proxy-epochs", "1",
             "--init", "scratch"),
    halved=(16, 32), processes=2, batches=(1,), latencies=("mobilenet-v2",),
    memory=(("efficientnet-b0", 2, 64),),
)  # fmt: skip
