"""Every way to score a candidate, from microseconds to minutes, behind one call.

    score = proxy("snip")(spec, data, seed=0)      # Score(value, seconds)

More is better for each, and values of one proxy compare with that proxy's only. The zero-cost
scores look at the network once, untrained, on a few pictures; ``short`` is the proxy training that
a search uses. How well each agrees with real accuracies: ``benchmarks/proxy_fidelity.py``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.build import build
from models.cost import cost
from models.spec import ArchSpec
from training.augment import to_float
from training.data import Data
from training.evaluator import proxy_recipe
from training.train import choose_device, first, train

PICTURES = 16  # that a zero-cost score looks at
SIDE = 64  # pixels they are resized to: a network of stride 32 keeps 2 in its last maps


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


def _params(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Logarithm of the parameters: the score that any other has to beat."""
    return math.log(cost(spec).params)


def _macs(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Logarithm of the multiply-adds."""
    return math.log(cost(spec).macs)


def _snip(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """log Σ |w · ∂L/∂w| over convolution and linear weights (Lee et al. 2019, arXiv:1810.02340).

    As a score of whole networks: Abdelfattah et al. 2021 (arXiv:2101.08134), section 3.2.
    """
    weights = _after_backward(spec, data, seed, device)
    return math.log(sum(float((w.detach() * _grad(w)).abs().sum()) for w in weights))


def _gradient_norm(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """log Σ ‖∂L/∂w‖ over layers (Abdelfattah et al. 2021, section 3.2)."""
    weights = _after_backward(spec, data, seed, device)
    return math.log(sum(float(_grad(w).norm()) for w in weights))


def _synflow(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """log Σ w · ∂R/∂w of the network of absolute weights on a picture of ones, no norms.

    Tanaka et al. 2020 (arXiv:2006.05467). In double precision: R is a product over all layers.
    With ReLU throughout, which lets positive sums pass as they are; a ReLU6 would cap them.
    """
    network = _fresh(replace(spec, activation="relu"), data, seed, device).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.ReLU6):
            module.forward = _pass  # type: ignore[method-assign]
    for parameter in network.parameters():
        parameter.data.abs_()
    ones = torch.ones(1, data.channels, SIDE, SIDE, dtype=torch.double, device=device)
    network(ones).sum().backward()
    total = sum(float((w.detach() * _grad(w)).sum()) for w in _weights(network))
    return math.log(max(total, 1e-300))


def _short(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> float:
    """Validation accuracy after the search's own short training."""
    recipe = proxy_recipe(data.native_size, str(device))
    return train(spec, recipe, data, seed, device).accuracy


Value = Callable[[ArchSpec, Data, int, torch.device], float]
_VALUES: dict[str, Value] = {
    "params": _params,
    "macs": _macs,
    "snip": _snip,
    "gradient-norm": _gradient_norm,
    "synflow": _synflow,
    "short": _short,
}
AUTO = "snip"


def _fresh(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> nn.Module:
    torch.manual_seed(seed)
    changes = {"classes": len(data.classes), "in_channels": data.channels, "resolution": SIDE}
    plain = replace(spec, dropout=0.0, drop_path=0.0, **changes)  # type: ignore[arg-type]
    return build(plain).to(device)


def _after_backward(spec: ArchSpec, data: Data, seed: int, device: torch.device) -> list[Tensor]:
    """The weights of an untrained network, with the gradients that a few pictures give."""
    network = _fresh(spec, data, seed, device).train()
    few = first(data.train, PICTURES).to(device)
    moments = data.mean.to(device), data.std.to(device)
    loss = F.cross_entropy(network(to_float(few.images, SIDE, *moments)), few.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    return _weights(network)


def _weights(network: nn.Module) -> list[Tensor]:
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [layer.weight for layer in layers]


def _pass(input: Tensor) -> Tensor:
    return input


def _grad(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad
