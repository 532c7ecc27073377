"""Where in a picture a network finds a class: class activation maps.

CAM (Zhou et al. 2016, arXiv:1512.04150) of a network that ends in the mean over pixels and one
linear layer: M(x, y) = Σ_k w_k·f_k(x, y), f the maps that are averaged, w the class's weights; the
mean of M over the pixels is the class's logit, but for the bias.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) of any layer's maps A of Z pixels:
ReLU(Σ_k a_k·A_k), a_k = 1/Z·Σ_xy ∂logit/∂A_k(x, y). On the maps that are averaged a = w/Z: the same
map up to a factor, without what speaks against the class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

CAM, GRAD_CAM = "CAM", "Grad-CAM"
_BATCH = 8  # pictures at once: a gradient keeps every layer's maps


class Place(NamedTuple):
    """The i-th pixel of a map looks at the surroundings of the picture's pixel start + i·stride."""

    start: float
    stride: int


class Maps(NamedTuple):
    """Of N pictures, on the CPU.

    of      int64 (N,), the class that each map is of
    shares  float32 (N,), that class's probability
    values  float32 (N, h, w), row by row from the top left as the pictures are
    place   where in a picture they lie
    """

    of: Tensor
    shares: Tensor
    values: Tensor
    place: Place


def last_maps(network: nn.Module) -> str:
    """The layer of a built network whose maps are averaged."""
    before, _ = _around_mean(network)
    stages = list(network.get_submodule("stages").children())
    return f"head.{len(before) - 1}" if before else f"stages.{len(stages) - 1}"


def method(network: nn.Module, layer: str | None = None) -> str:
    """``CAM`` where no layer is named and the mean over pixels goes to the linear layer as it is,
    else ``Grad-CAM``."""
    _, after = _around_mean(network)
    inert = nn.Flatten | nn.Dropout  # of a network that evaluates
    plain = all(isinstance(one, inert) for one in after[:-1]) and isinstance(after[-1], nn.Linear)
    return CAM if plain and layer is None else GRAD_CAM


def _around_mean(network: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """What of the head comes before the mean over pixels, and what after it."""
    own = list(network.get_submodule("head").children())
    at = next(i for i, one in enumerate(own) if isinstance(one, nn.AdaptiveAvgPool2d))
    return own[:at], own[at + 1 :]


def maps(
    network: nn.Module, pictures: Tensor, of: int | None = None, layer: str | None = None
) -> Maps:
    """The maps of class ``of``, or of each picture's likeliest one.

    network   as ``models.build`` builds it, in evaluation mode
    pictures  (N, C, side, side), normalised as the network expects
    layer     the module whose maps are weighted, by its name, such as ``stages.3``; default: the
              last ones

    Raises ValueError for a layer that is none or puts out no maps of several pixels.
    """
    name, how = last_maps(network) if layer is None else layer, method(network, layer)
    found = [_some(network, some, of, name, how) for some in torch.split(pictures, _BATCH)]
    chosen, shares, values = (torch.cat(each).cpu() for each in zip(*found, strict=True))
    return Maps(chosen, shares, values, place(network, name))


def _some(
    network: nn.Module, pictures: Tensor, of: int | None, name: str, how: str
) -> tuple[Tensor, Tensor, Tensor]:
    by_weights = how == CAM
    with torch.set_grad_enabled(not by_weights), _kept(network, name) as kept:
        logits = network(pictures).float()
    chosen = logits.argmax(1) if of is None else torch.full((len(logits),), of).to(logits.device)
    last = _checked(kept[0], network, name)
    if by_weights:
        weights = _around_mean(network)[1][-1].get_parameter("weight").detach()[chosen]
        values = torch.einsum("nk,nkhw->nhw", weights, last)
    else:
        (slopes,) = torch.autograd.grad(logits.gather(1, chosen[:, None]).sum(), last)
        values = (slopes.mean((2, 3), keepdim=True) * last.detach()).sum(1).relu()
    shares = logits.detach().softmax(1).gather(1, chosen[:, None])[:, 0]
    return chosen, shares, values.float()


@contextmanager
def _kept(network: nn.Module, name: str) -> Iterator[list[Any]]:
    """What the layer puts out, where differentiation begins."""
    modules = dict(network.named_modules())
    if name not in modules or not name:
        near = difflib.get_close_matches(name, modules, 1)
        meant = f"did you mean {near[0]}?" if near else "name a stage, such as stages.0"
        raise ValueError(f"the network has no layer {name!r:.80}: {meant}")
    found: list[Any] = []

    def hook(_module: nn.Module, _args: Any, out: Any) -> Any:
        if torch.is_grad_enabled():
            out = out.detach().requires_grad_()
        found.append(out)
        return out.clone()  # the next layer may write over what it is given

    handle = modules[name].register_forward_hook(hook)
    try:
        yield found
    finally:
        handle.remove()


def _checked(out: Tensor, network: nn.Module, name: str) -> Tensor:
    """``out`` where it is maps (N, C, h, w) of several pixels; else ValueError."""
    if out.dim() != 4 or _channels_last(network, name) or out.shape[2] * out.shape[3] < 2:
        raise ValueError(
            f"the layer {name!r:.80} puts out {tuple(out.shape)[1:]} of each picture and no maps "
            f"of several pixels: name one before it, such as {last_maps(network)} or a stage"
        )
    return out


def _channels_last(network: nn.Module, name: str) -> bool:
    """Whether a layer puts out (N, h, w, C), as those between ConvNeXt's permutations do."""
    above, _, own = name.rpartition(".")
    last = False
    for sibling, module in network.get_submodule(above).named_children():
        last = module.order == (0, 2, 3, 1) if hasattr(module, "order") else last
        if sibling == own:
            break
    return last


def place(network: nn.Module, name: str) -> Place:
    """Where the maps of a layer lie, by the kernels, strides and padding that lead to it.

    Kernels of odd size padded on both sides, as most are, look at the pixels 0, 2, 4 … of what they
    halve and not at 0.5, 2.5, 4.5 …: after five of them maps lie half a stride off where merely
    enlarging them would put them.
    """
    start, stride = 0.0, 1
    order = [one for one, _ in network.named_modules()]
    within = [one == name or one.startswith(f"{name}.") for one in order]
    last = max(i for i, inside in enumerate(within) if inside)
    for one in order[: last + 1]:
        module = network.get_submodule(one)
        # A shortcut leads to where its body does.
        if ".shortcut" in one or not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            continue
        kernel, step, padding = (
            value[0] if isinstance(value, tuple) else value
            for value in (module.kernel_size, module.stride, module.padding)
        )
        start += stride * ((int(kernel) - 1) / 2 - int(padding))
        stride *= int(step)
    return Place(start, stride)


def enlarged(found: Maps, side: int) -> Tensor:
    """Maps as they are laid on pictures: (N, side, side), bilinear, each from its least value, 0,
    to its greatest, 1; a map of one value alone is 0."""
    low, high = found.values.amin((1, 2), keepdim=True), found.values.amax((1, 2), keepdim=True)
    shares = (found.values - low) / torch.where(high > low, high - low, 1)
    down, across = (_spread(count, found.place, side) for count in shares.shape[1:])
    return (down @ shares @ across.T).clamp(0, 1)


def _spread(count: int, place: Place, side: int) -> Tensor:
    """(side, count): how much of each of a map's pixels is in each of a picture's."""
    at = ((torch.arange(side) - place.start) / place.stride).clamp(0, count - 1)
    return (1 - (at[:, None] - torch.arange(count)).abs()).clamp(min=0)
