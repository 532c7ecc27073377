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
    for number, entry in run.optimizer.state_dict()["state"].items():
        tensors = {name: one for name, one in entry.items() if isinstance(one, Tensor)}
        found |= {f"optimizer.{number}.{name}": one for name, one in tensors.items()}
    found |= {f"random.{name}": one for name, one in _random(run).items()}
    found["total"] = run.among.summed(run.total)
    # A copy: what is on the CPU already would change while it is written.
    tensors = {name: one.detach().cpu().clone(memory_format=torch.contiguous_format)
               for name, one in found.items()}  # fmt: skip
    names = ("step", "done", "losses", "curve")
    return State(tensors, {name: getattr(run, name) for name in names})


def restore(run: Run, state: State) -> None:
    """Put a fresh training where the one was that ``state`` is of.

    Raises ValueError where that was another network's or optimiser's.
    """
    tensors = state.tensors
    try:
        run.network.load_state_dict(_below("network.", tensors))
        if run.averaged is not run.network:
            run.averaged.load_state_dict(_below("averaged.", tensors))
        _restore_optimizer(run.optimizer, _below("optimizer.", tensors))
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


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    entries: dict[int, dict[str, Tensor]] = {}
    for key, one in tensors.items():
        number, _, name = key.partition(".")
        entries.setdefault(int(number), {})[name] = one
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    for weight, entry in optimizer.state.items():
        for name, one in entry.items():
            if isinstance(weight, nn.Parameter) and one.shape == weight.shape and one.ndim:
                # Fused steps walk weights and momenta side by side in memory: in one order.
                entry[name] = torch.empty_like(weight).copy_(one).detach()
