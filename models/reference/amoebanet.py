"""AmoebaNet-A, -B and -C from their genotypes, which no model library has.

Sources: Real et al. 2019 (arXiv:1802.01548), Cubuk et al. 2019 (1805.09501, C), Huang et al. 2018
(GPipe, 1811.06965, B with 18 cells and 512 filters); the genotypes and the layout are those of the
released code (tensorflow/tpu, models/official/amoeba_net). Paddings are symmetric; parameters and
sizes are the released ones, weights of the released networks are not claimed to fit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

_EPS = 1e-3


class Cell(NamedTuple):
    """Five sums of two operations each, and what each operation reads.

    States 0 and 1 are the current and the previous input, state 2 + i is the i-th sum; a state
    that is not ``used`` becomes part of the output.
    """

    ops: tuple[str, ...]
    inputs: tuple[int, ...]
    used: tuple[bool, ...]


def _cell(ops: str, inputs: str, used: str) -> Cell:
    states = tuple(digit == "1" for digit in used)
    return Cell(tuple(ops.split()), tuple(int(digit) for digit in inputs), states)


# Normal and reduction cell.
GENOTYPES = {
    "A": (
        _cell("avg3 max3 sep3 none none avg3 sep3 sep5 avg3 sep3", "0011010250", "1010010"),
        _cell("sep3 avg3 max3 sep7 max3 max3 sep3 1x7-7x1 avg3 sep7", "1002104010", "1100000"),
    ),
    "B": (
        _cell("1x1 max3 none sep3 1x1 sep3 1x1 none avg3 1x1", "1110102215", "0110010"),
        _cell("max2 max3 none 3x3 dil5 max3 none sep3 avg3 1x1", "0021223143", "1111100"),
    ),
    "C": (
        _cell("avg3 sep3 none sep3 avg3 sep3 none sep3 avg3 sep3", "0000210130", "1001000"),
        _cell("max3 max3 sep7 sep3 sep7 max3 sep5 sep5 max3 sep3", "0020014411", "0100000"),
    ),
}


class AmoebaNet(nn.Module):
    """The ImageNet network of ``num_cells`` normal cells with ``filters`` channels in the first.

    A 3×3/2 stem of 32 channels, two reduction cells at a quarter and half of the width, then a
    reduction cell, with the width doubled, before a third and two thirds of the normal cells.

    Raises ValueError for a genotype other than A, B and C, or fewer than 16 filters.
    """

    def __init__(
        self, genotype: str, num_cells: int = 18, filters: int = 190, classes: int = 1000
    ) -> None:
        super().__init__()
        if genotype not in GENOTYPES:
            known = ", ".join(GENOTYPES)
            raise ValueError(f"AmoebaNet-{genotype} is unknown: choose one of {known}")
        if filters < 16:
            raise ValueError(
                f"{filters} filters leave none in the first bottleneck: give 16 or more"
            )
        normal, reduction = GENOTYPES[genotype]
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, bias=False), _norm(32))
        layout = [(reduction, filters // 4), (reduction, filters // 2)]
        width = filters
        for index in range(num_cells):
            if index in (num_cells // 3, num_cells * 2 // 3):
                width *= 2
                layout.append((reduction, width))
            layout.append((normal, width))
        self.cells = nn.ModuleList()
        previous = current = (32, 1)  # channels, how often halved since the stem
        for cell, width in layout:
            made = _Cell(cell, previous, current, width, 2 if cell is reduction else 1)
            self.cells.append(made)
            previous, current = current, (made.channels, current[1] * made.stride)
        self.classifier = nn.Linear(current[0], classes)

    def forward(self, x: Tensor) -> Tensor:
        previous = current = self.stem(x)
        for cell in self.cells:
            previous, current = current, cell(previous, current)
        out: Tensor = self.classifier(current.relu().mean((2, 3)))
        return out


class _Cell(nn.Module):
    def __init__(
        self,
        cell: Cell,
        previous: tuple[int, int],
        current: tuple[int, int],
        width: int,
        stride: int,
    ) -> None:
        super().__init__()
        self.cell, self.stride = cell, stride
        self.now = _conv(current[0], width)
        self.before: nn.Module = nn.Identity()
        before = previous[0]
        if previous[1] != current[1]:
            self.before, before = _FactorizedReduction(previous[0], width, relu=True), width
        elif previous is not current and previous[0] != width:
            self.before, before = _conv(previous[0], width), width
        channels = [width, before]  # of each state
        self.ops = nn.ModuleList()
        for name, read in zip(cell.ops, cell.inputs, strict=True):
            self.ops.append(_operation(name, channels[read], width, stride if read < 2 else 1))
            if len(self.ops) % 2 == 0:
                channels.append(width)
        self.fit = nn.ModuleDict()
        for state in (0, 1):
            if not cell.used[state] and (stride == 2 or channels[state] != width):
                self.fit[str(state)] = (
                    _FactorizedReduction(channels[state], width, relu=False)
                    if stride == 2
                    else _conv(channels[state], width, relu=False)
                )
        self.channels = width * cell.used.count(False)

    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        states = [self.now(current), self.before(previous)]
        for left in range(0, len(self.ops), 2):
            a, b = self.cell.inputs[left : left + 2]
            states.append(self.ops[left](states[a]) + self.ops[left + 1](states[b]))
        for state, module in self.fit.items():
            states[int(state)] = module(states[int(state)])
        free = [x for x, used in zip(states, self.cell.used, strict=True) if not used]
        return torch.cat(free, 1)


class _FactorizedReduction(nn.Module):
    """Every second pixel, and those one off the diagonal, through a 1×1 convolution each."""

    def __init__(self, cin: int, cout: int, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.here = nn.Conv2d(cin, cout // 2, 1, bias=False)
        self.shifted = nn.Conv2d(cin, cout - cout // 2, 1, bias=False)
        self.norm = _norm(cout)

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu() if self.relu else x
        shifted = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = (self.here(x[:, :, ::2, ::2]), self.shifted(shifted[:, :, ::2, ::2]))
        out: Tensor = self.norm(torch.cat(halves, 1))
        return out


def _operation(name: str, cin: int, cout: int, stride: int) -> nn.Module:
    """One operation of a genotype; pools are followed by a 1×1 where the width changes."""
    if name == "none":
        return nn.Identity() if stride == 1 and cin == cout else _conv(cin, cout, stride=stride)
    if name == "1x1":
        return _conv(cin, cout, stride=stride)
    if name[:3] in ("avg", "max"):
        fit = nn.Identity() if cin == cout else _conv(cin, cout, relu=False)
        return nn.Sequential(_pool(name, stride), fit)
    if name[:3] in ("sep", "dil"):
        kernel, dilation = int(name[3]), 2 if name[:3] == "dil" else 1
        return nn.Sequential(
            _separable(cin, cout, kernel, stride, dilation),
            _separable(cout, cout, kernel, 1, dilation),
        )
    inside = cout // 4
    kernels = [(3, 3)] if name == "3x3" else [(1, 7), (7, 1)]
    first = (stride, stride) if name == "3x3" else (1, stride)
    layers = [_conv(cin, inside), _conv(inside, inside, kernels[0], first)]
    if name != "3x3":
        layers.append(_conv(inside, inside, kernels[1], (stride, 1)))
    return nn.Sequential(*layers, _conv(inside, cout))


def _pool(name: str, stride: int) -> nn.Module:
    if name == "avg3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    return nn.MaxPool2d(3, stride, 1) if name == "max3" else nn.MaxPool2d(2, stride, ceil_mode=True)


def _separable(cin: int, cout: int, kernel: int, stride: int, dilation: int) -> nn.Module:
    pad = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(cin, cin, kernel, stride, pad, dilation, groups=cin, bias=False),
        nn.Conv2d(cin, cout, 1, bias=False),
        _norm(cout),
    )


def _conv(
    cin: int,
    cout: int,
    kernel: tuple[int, int] = (1, 1),
    stride: int | tuple[int, int] = 1,
    *,
    relu: bool = True,
) -> nn.Module:
    pad = (kernel[0] // 2, kernel[1] // 2)
    layers = [nn.Conv2d(cin, cout, kernel, stride, pad, bias=False), _norm(cout)]
    return nn.Sequential(nn.ReLU(), *layers) if relu else nn.Sequential(*layers)


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=_EPS)
