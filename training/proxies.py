"""Every way to score a candidate, from microseconds to minutes, behind one call.

    score = proxy("snip")(spec, data, seed=0)      # Score(value, seconds)

More is better for each, and values of one proxy compare with that proxy's only. ``capacity``,
``params`` and ``macs`` are known from the spec; the zero-cost scores look at the untrained network
(``training.zero_cost``); ``short`` is the proxy training that a search uses. How well each agrees
with real accuracies: ``benchmarks/truth/proxy_fidelity.py``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch

from models.capacity import capacity
from models.cost import cost
from models.spec import ArchSpec
from training import zero_cost
from training.data import Data
from training.device import choose_device
from training.evaluator import proxy_recipe
from training.loop.train import train
from training.options.flags import ZERO_COST as ZERO_COST  # of the untrained network


class Score(NamedTuple):
    """A network's score, more being better, and the seconds that it took."""

    value: float
    seconds: float


class Proxy(Protocol):
    """(spec, data, seed) → Score."""

    def __call__(self, spec: ArchSpec, data: Data, seed: int) -> Score: ...


def proxy(name: str, device: str = "auto") -> Proxy:
    """The proxy of that name; ``auto`` is the one to choose where seconds count.

    Raises ValueError for an unknown name.
    """
    chosen = AUTO if name == "auto" else name
    if chosen not in _VALUES:
        known = ", ".join(("auto", *_VALUES))
        raise ValueError(f"proxy {name!r:.60} is unknown: choose one of {known}")
    value = _VALUES[chosen]

    def timed(spec: ArchSpec, data: Data, seed: int) -> Score:
        start = time.perf_counter()
        found = value(spec, data, seed, choose_device(device))
        return Score(found, time.perf_counter() - start)

    return timed


def score_all(
    names: Sequence[str], data: Data, device: str = "cpu"
) -> Callable[[Sequence[ArchSpec]], list[dict[str, float]]]:
    """Networks → the scores ``names`` of each; by one seed, so that a network has one score.

    NaN where an untrained network has none: where it is too deep for its numbers to stay finite, or
    too small for its activations to differ. Raises ValueError for a name that is none of
    ``ZERO_COST``.
    """
    for name in names:
        if name not in ZERO_COST:
            known = ", ".join(ZERO_COST)
            raise ValueError(f"score {name!r:.60} is unknown: choose of {known}, or none")
    proxies = {name: proxy(name, device) for name in names}

    def scores(specs: Sequence[ArchSpec]) -> list[dict[str, float]]:
        return [{name: _number(one, spec, data) for name, one in proxies.items()} for spec in specs]

    return scores


def _number(score: Proxy, spec: ArchSpec, data: Data) -> float:
    try:
        return score(spec, data, 0).value
    except (ValueError, OverflowError):  # the logarithm of 0, of a negative or infinite sum
        return math.nan


def _capacity(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Parameters and their evenness over the stages (``models.capacity``)."""
    return capacity(spec)


def _params(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Logarithm of the parameters: the score that any other has to beat."""
    return math.log(cost(spec).params)


def _macs(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Logarithm of the multiply-adds."""
    return math.log(cost(spec).macs)


def _short(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Validation accuracy after the search's own short training."""
    recipe = proxy_recipe(data.native_size, str(device))
    return train(spec, recipe, data, seed, device).accuracy


Value = Callable[[ArchSpec, Data, int, torch.device], float]
_VALUES: dict[str, Value] = {
    "capacity": _capacity,
    "params": _params,
    "macs": _macs,
    "snip": zero_cost.snip,
    "gradient-norm": zero_cost.gradient_norm,
    "zico": zero_cost.zico,
    "naswot": zero_cost.naswot,
    "synflow": zero_cost.synflow,
    "short": _short,
}
NAMES = tuple(_VALUES)
KNOWN = ("capacity", "params", "macs")  # from the spec, without its network
AUTO = "capacity"
