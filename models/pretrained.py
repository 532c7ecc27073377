"""torchvision's published weights loaded into a built network, strictly.

Both sides list their modules in the order in which the image meets them; the k-th of one is the
k-th of the other, and every name and shape must then agree. torchvision itself is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

_LAST = ("classifier", "fc", "downsample", "layer_scale")


def load_torchvision_state_dict(module: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copy ``state_dict``, with torchvision's names in any order, into ``module`` in place.

    ``module`` is what ``build`` returned for a family that torchvision also has: EfficientNet,
    MobileNetV2, MnasNet, ResNet, ResNeXt, ConvNeXt.

    Raises ValueError, and changes nothing, where the two are not the same network.
    """
    theirs = _by_module(state_dict)
    mine = _by_module(module.state_dict())
    if len(theirs) != len(mine):
        raise ValueError(
            f"the weights hold {len(theirs)} modules and the network {len(mine)}: "
            "they are of different networks"
        )
    renamed: dict[str, Tensor] = {}
    for source, target in zip(_in_forward_order(theirs), mine, strict=True):
        if set(theirs[source]) != set(mine[target]):
            raise ValueError(
                f"{source} holds {sorted(theirs[source])} where the network's {target} holds "
                f"{sorted(mine[target])}: they are of different networks"
            )
        for leaf, tensor in theirs[source].items():
            own = mine[target][leaf]
            if own.shape != tensor.shape:
                raise ValueError(
                    f"{source}.{leaf} is {tuple(tensor.shape)} where the network has "
                    f"{tuple(own.shape)}: give the spec the weights' width and classes"
                )
            renamed[f"{target}.{leaf}"] = tensor
    module.load_state_dict(renamed)


def _by_module(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Module name → leaf name → tensor; a bare parameter counts as a module's weight."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        prefix, _, leaf = name.rpartition(".")
        if leaf == "layer_scale":
            prefix, leaf = name, "weight"
        modules.setdefault(prefix, {})[leaf] = tensor
    return modules


def _in_forward_order(names: Iterable[str]) -> list[str]:
    """Sorted as the image meets the modules: safetensors files list them by the alphabet."""
    return sorted(names, key=lambda name: [_place(part) for part in name.split(".")])


def _place(part: str) -> tuple[int, int, str]:
    if part in _LAST:
        return (1, 0, part)
    if match := re.fullmatch(r"(conv|bn)(\d+)", part):  # ResNet: conv1, bn1, conv2, bn2 …
        return (0, 2 * int(match[2]) + (match[1] == "bn"), "")
    if match := re.fullmatch(r"(\D*)(\d+)", part):  # after ResNet's conv1 and bn1
        return (0, 100 + int(match[2]), match[1])
    return (0, 0, part)


def read_safetensors(path: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file; nothing is unpickled.

    Raises ValueError where the file is missing or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: torch.as_tensor(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{path} cannot be read as safetensors ({error}): convert the weights with "
            "safetensors.torch.save_file"
        ) from None
