"""Squeeze-and-excitation inherited, added or taken away."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from models.inherit import rules
from models.inherit.maps import Map, choose, column_norms
from models.inherit.tensors import Tensors
from models.inherit.units import Named, Unit
from models.plan import Act, Conv, Excite, Layer, Norm


class Excitation(NamedTuple):
    """``place``: weighted layers before it; ``act``: the activation right before it, if any;
    ``body``: its two convolutions, and the norm between them where there is one."""

    name: str
    place: int
    act: str
    body: list[Named]


def excitation_of(unit: Unit) -> Excitation | None:
    before: tuple[str, Layer | None] = ("", None)
    place = 0
    for name, layer in unit.body:
        if isinstance(layer, Excite):
            body: list[Named] = [
                (f"{name}.body.{i}", inner)
                for i, inner in enumerate(layer.body)
                if isinstance(inner, Conv | Norm)
            ]
            act = before[0] if isinstance(before[1], Act) else ""
            return Excitation(name, place, act, body)
        place += (name, layer) in unit.weighted
        before = (name, layer)
    return None


def excite(tensors: Tensors, unit: Unit, donor: Unit, maps: list[Map], counted: bool) -> None:
    """The unit's excitation from its donor's, where both have one. Added, it starts open; taken
    away, its mean gate stays; either is folded into the layers beside it. ``maps``: of the unit's
    spaces."""
    mine, theirs = excitation_of(unit), excitation_of(donor)
    if mine and theirs:
        _carry(tensors, mine, theirs, maps[_space(unit, mine)], counted)
    elif mine:
        start_open(tensors, mine)
        _fold(tensors, unit, mine, torch.tensor([1 / rules.OPEN]))
    elif theirs and (out := maps[_space(donor, theirs)]) is not None:
        gate = _mean_gate(tensors, donor, theirs)
        known = (out >= 0) & (out < len(gate))
        factor = torch.where(known, gate[out.clamp(0, len(gate) - 1)], torch.ones(1))
        _fold(tensors, unit, theirs, factor)


def start_open(tensors: Tensors, excitation: Excitation) -> None:
    """The gate at ``OPEN`` whatever comes in."""
    name, _ = excitation.body[-1]
    tensors.fill(f"{name}.weight", 0)
    tensors.fill(f"{name}.bias", rules.OPEN_BIAS)


def _carry(tensors: Tensors, mine: Excitation, theirs: Excitation, out: Map, counted: bool) -> None:
    """Another width inside keeps the channels of the greatest rows times columns."""
    own, given = mine.body, theirs.body
    first, second = (tensors.theirs[f"{name}.weight"] for name, _ in (given[0], given[-1]))
    score = first.flatten(1).norm(dim=1) * column_norms(second)
    inner = choose(score, len(tensors.mine[f"{own[0][0]}.bias"]))
    tensors.carry(own[0], given[0], out, inner, counted)
    if len(own) == len(given) == 3:
        tensors.carry(own[1], given[1], inner, inner, counted)
    tensors.carry(own[-1], given[-1], inner, out, counted)


def _space(unit: Unit, excitation: Excitation) -> int:
    """The space of the unit on which its excitation acts."""
    layer = unit.weighted[excitation.place - 1]
    return next(i for i, layers in enumerate(unit.spaces) if layer in layers)


def _mean_gate(tensors: Tensors, donor: Unit, excitation: Excitation) -> torch.Tensor:
    norm, _ = donor.weighted[excitation.place - 1]
    network = tensors.donor
    act = network.get_submodule(excitation.act) if excitation.act else nn.Identity()
    gamma, beta = (tensors.theirs[f"{norm}.{leaf}"] for leaf in ("weight", "bias"))
    with torch.no_grad():
        body = network.get_submodule(f"{excitation.name}.body")
        return rules.mean_gate(body, act, gamma, beta)


def _fold(tensors: Tensors, unit: Unit, excitation: Excitation, factor: torch.Tensor) -> None:
    """Let the norm right before the excitation, else what reads after it, do what it would."""
    if not excitation.act:
        name, _ = unit.weighted[excitation.place - 1]
        for leaf in ("weight", "bias"):
            tensors.multiply(f"{name}.{leaf}", factor)
    else:
        name, _ = unit.weighted[excitation.place]
        tensors.multiply(f"{name}.weight", factor.view(-1, 1, 1))
