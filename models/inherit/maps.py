"""Channel maps: for each channel of a child's space the parent's channel that it copies.

A map is a vector of whole numbers; -1 marks a channel without a donor, which starts fresh and to
which nobody listens yet. A map of None is of a space that the parent does not have.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.inherit.units import Unit, Weighted
from models.plan import Conv, LayerScale, Norm

Map = Tensor | None


def choose(score: Tensor, count: int, parts: int = 1) -> Tensor:
    """``count`` of the channels that ``score`` values, as many of each of ``parts`` equal parts.

    Fewer: the most important, in their own order (network slimming, arXiv:1708.06519; elastic
    width, 1908.09791). More: all, then the most important again (Net2Net, 1511.05641), once more
    all where even that is too few: multiples copy every channel equally often.
    """
    there, want = len(score) // parts, count // parts
    order = score.view(parts, there).argsort(dim=1, descending=True, stable=True)
    if want <= there:
        inside = order[:, :want].sort(dim=1).values
    else:
        again = order[:, torch.arange(want - there) % there]
        inside = torch.cat([torch.arange(there).expand(parts, -1), again], dim=1)
    return (inside + there * torch.arange(parts)[:, None]).flatten()


def extend(before: Tensor, score: Tensor, there: int, want: int) -> Tensor:
    """The map of a space of ``want`` channels whose first are those that ``before`` maps.

    ``score`` values the channels of the parent's space, of which the first ``there`` are those of
    the space before. Channels that come new are copies of those that come new in the parent.
    """
    kept = before[:want]
    kept = torch.where(kept < len(score), kept, -1)
    if want == len(kept):
        return kept
    if there >= len(score):
        return torch.cat([kept, torch.full((want - len(kept),), -1)])
    return torch.cat([kept, choose(score[there:], want - len(kept)) + there])


def split(weight: Tensor, inn: Tensor, groups: int, generator: torch.Generator | None) -> None:
    """Let copies of a channel share, in place, what their original gave to each output (Net2Net),
    up to noise that adds up to nothing, so that they learn apart.

    ``weight`` (out, in a group, …) reads the channels that ``inn`` maps.
    """
    grouped = inn.view(groups, -1)
    alone = -1 - torch.arange(inn.numel()).view(grouped.shape)
    key = torch.where(grouped < 0, alone, grouped) + torch.arange(groups)[:, None] * 2 * _MANY
    _, place, number = torch.unique(key, return_inverse=True, return_counts=True)
    some = (number[place] > 1).any(dim=0).nonzero().flatten()
    if not len(some):
        return
    rows = len(weight)
    place = place[torch.arange(rows) // (rows // groups)][:, some]
    count = number[place].float()
    noise = NOISE * torch.randn(place.shape, generator=generator)
    noise *= count > 1
    total = torch.zeros(rows, len(number)).scatter_add_(1, place, noise)
    share = (1 + noise - total.gather(1, place) / count) / count
    weight[:, some] *= share.view(*share.shape, *(1,) * (weight.dim() - 2))


NOISE = 0.1  # of a copy's share
_MANY = 1 << 20  # more than there are channels


def column_norms(weight: Tensor, groups: int = 1) -> Tensor:
    """Of each input channel, the norm of all weights that read it."""
    split = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    norms: Tensor = split.norm(dim=(1, 3)).flatten()
    return norms


class Importance:
    """How much a parent's channels matter: γ of the norm before a reader times the norm of the
    weights with which it reads, over all readers of the space.

    ``measured`` holds, by a reader's name, another valuation of its input channels; ValueError
    where the parent has no such layer.
    """

    def __init__(
        self, units: list[Unit], state: Mapping[str, Tensor], measured: Mapping[str, Tensor]
    ) -> None:
        for name in measured:
            if f"{name}.weight" not in state:
                raise ValueError(
                    f"importance of {name!r:.80}, which the parent does not have: measure it on "
                    "the parent itself"
                )
        self.units, self.state, self.measured = units, state, measured
        self.chain = [0]  # of each unit's output: equal where a shortcut joins them
        for unit in units[1:]:
            self.chain.append(self.chain[-1] + (not unit.linked))
        self._streams: dict[int, Tensor] = {}

    def hidden(self, unit: Unit, space: int) -> Tensor:
        """Of the channels between the layers of a unit's body."""
        layers, reader = unit.spaces[space], unit.spaces[space + 1][0]
        return self._read(reader, self._strength(layers))

    def stream(self, number: int) -> Tensor:
        """Of the channels that the unit of that number writes, over all that are joined to it."""
        chain = self.chain[number]
        if chain not in self._streams:
            self._streams[chain] = self._stream([i for i, c in enumerate(self.chain) if c == chain])
        return self._streams[chain][: self.units[number].cout]

    def _stream(self, writers: list[int]) -> Tensor:
        width = max(self.units[i].cout for i in writers)
        power, total = torch.zeros(width), torch.zeros(width)
        for i in writers:
            power[: self.units[i].cout] += self._strength(self.units[i].spaces[-1]).square()
        for i in writers:
            reader = self.units[i + 1]
            strength, first = power[: reader.cin].sqrt(), reader.spaces[0]
            for name, layer in reader.shortcut or ():
                if isinstance(layer, Conv):
                    total[: reader.cin] += self._read((name, layer), strength).square()
            if any(isinstance(x, Norm) and x.kind == "batch" for _, x in first):
                strength = self._strength(first)  # a depthwise convolution's norm comes between
            total[: reader.cin] += self._read(reader.spaces[1][0], strength).square()
        return total.sqrt()

    def _read(self, reader: tuple[str, Weighted], strength: Tensor) -> Tensor:
        name, layer = reader
        groups = layer.groups if isinstance(layer, Conv) else 1
        norms = column_norms(self.state[f"{name}.weight"], groups)
        found = self.measured.get(name, strength * norms)
        if len(found) != len(norms):
            raise ValueError(
                f"importance of {name} for {len(found)} channels of the {len(norms)} that it "
                "reads: measure it on the parent itself"
            )
        return found

    def _strength(self, layers: list[tuple[str, Weighted]]) -> Tensor:
        """|γ| of the last norm or layer scale, else the norm of the writer's rows."""
        last = [name for name, layer in layers if isinstance(layer, Norm | LayerScale)]
        if last:
            return self.state[f"{last[-1]}.weight"].flatten().abs()
        rows: Tensor = self.state[f"{layers[0][0]}.weight"].flatten(1).norm(dim=1)
        return rows
