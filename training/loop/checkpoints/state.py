"""All that a training carries from step to step, as tensors and JSON, and back.

    network.NAME           weights and running statistics
    averaged.NAME          their average, where the recipe has one
    optimizer.N.NAME       what the optimiser knows of its N-th weight
    random.order           the generator's state when the epoch began (order, augmentation)
    random.torch.RANK      torch's own (dropout, stochastic depth), and ``random.cuda.RANK`` a GPU's
    total                  the sum of the losses of the epoch's steps that are done

The facts beside them: ``step``, ``done`` in the epoch, the ``losses`` of the epochs before, the
``curve`` that was measured on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from training.loop.processes import Processes
from training.loop.together.sharded import full, like


class Run(Protocol):
    """A training that can be kept: ``training.loop.trainer.Trainer`` says what each of these is."""

    network: nn.Module
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    among: Processes
    began: Tensor
    total: Tensor
    step: int
    steps: int
    done: int
    losses: list[float]
    curve: list[tuple[float, float]]
    between: Callable[[], None]

    @property
    def device(self) -> torch.device:
        """Where its network is."""


class State(NamedTuple):
    """A training between two of its steps; the facts are JSON."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def state_of(run: Run) -> State:
    """What ``restore`` needs, on the CPU; ``run`` is between two steps. Of several processes every
    one must ask."""
    found = {f"network.{name}": one for name, one in run.network.state_dict().items()}
    if run.averaged is not run.network:
        found |= {f"averaged.{name}": one for name, one in run.averaged.state_dict().items()}
    first, step = _numbers(run)
    for number, entry in run.optimizer.state_dict()["state"].items():
        tensors = {name: one for name, one in entry.items() if isinstance(one, Tensor)}
        place = first + step * number
        found |= {f"optimizer.{place}.{name}": one for name, one in tensors.items()}
    tensors = {}
    for name, one in found.items():
        whole = full(one.detach())  # asked for by every process, kept by those that need it
        if run.among.is_first or run.among.pipeline:
            # A copy: what is on the CPU already would change while it is written.
            tensors[name] = whole.cpu().clone(memory_format=torch.contiguous_format)
    if run.among.pipeline:
        tensors = run.among.united(tensors)
    tensors |= {f"random.{name}": one.clone() for name, one in _random(run).items()}
    tensors["total"] = run.among.summed(run.total).cpu().clone()
    names = ("step", "done", "losses", "curve")
    return State(tensors, {name: getattr(run, name) for name in names})


def restore(run: Run, state: State) -> None:
    """Put a fresh training where the one was that ``state`` is of.

    Raises ValueError where that was another network's or optimiser's.
    """
    tensors = state.tensors
    try:
        _load(run.network, _below("network.", tensors), run)
        if run.averaged is not run.network:
            _load(run.averaged, _below("averaged.", tensors), run)
        _restore_optimizer(run.optimizer, _below("optimizer.", tensors), *_numbers(run))
        run.generator.set_state(tensors["random.order"])
        rank, device = run.among.rank, run.device
        torch.set_rng_state(tensors[f"random.torch.{rank}"])
        if device.type == "cuda" and f"random.cuda.{rank}" in tensors:
            torch.cuda.set_rng_state(tensors[f"random.cuda.{rank}"], device)
        run.total = (tensors["total"] if run.among.is_first else 0 * tensors["total"]).to(device)
        run.step, run.done = state.facts["step"], state.facts["done"]
        run.losses = list(state.facts["losses"])
        # Earlier versions measured nothing on the way.
        run.curve = [(share, accuracy) for share, accuracy in state.facts.get("curve", ())]
    except (KeyError, RuntimeError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"the checkpoint is of another training ({reason:.200})") from error


def _random(run: Run) -> dict[str, Tensor]:
    own, device = {"torch": torch.get_rng_state()}, run.device
    if device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(device)
    every = {name: run.among.gathered(state) for name, state in own.items()}
    each = {f"{name}.{rank}": one for name in own for rank, one in enumerate(every[name])}
    return {"order": run.began, **each}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)
    }


def _numbers(run: Run) -> tuple[int, int]:
    """How the optimiser's weights are numbered in the file: the first, and the step to the next.

    Each process of a pipeline has an optimiser, of its own weights: they take turns.
    """
    return (run.among.rank, run.among.count) if run.among.pipeline else (0, 1)


def _load(network: nn.Module, tensors: dict[str, Tensor], run: Run) -> None:
    own = network.state_dict()
    if run.among.pipeline:  # others have the rest
        tensors = {name: tensors[name] for name in own}
    if run.among.sharded:
        tensors = {name: like(one, own[name]) for name, one in tensors.items()}
    network.load_state_dict(tensors)


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], first: int, step: int
) -> None:
    entries: dict[int, dict[str, Tensor]] = {}
    for key, one in tensors.items():
        place, _, name = key.partition(".")
        number, other = divmod(int(place) - first, step)
        if not other:
            entries.setdefault(number, {})[name] = one
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    for weight, entry in optimizer.state.items():
        for name, one in entry.items():
            if isinstance(weight, nn.Parameter) and one.shape == weight.shape and one.ndim:
                # Fused steps walk weights and momenta side by side in memory: in one order.
                entry[name] = torch.empty_like(weight).copy_(like(one, weight)).detach()
