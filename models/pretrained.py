"""Published and own weights loaded into a built network, strictly.

Others' names, torchvision's, timm's and EfficientNet-PyTorch's, are mapped by order: both sides are
listed in the order in which the image meets them (``models.reference.order``), the k-th of one is
the k-th of the other, and every leaf's name and shape must then agree.
``models.reference.providers`` says who has weights.

Three things do not make weights another network's: the prefix that ``DataParallel`` gives every
name, batch norm's counters missing, as in files from before PyTorch 0.4.1, and another precision;
they are copied in the network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.build import build
from models.reference.order import in_forward_order
from models.reference.providers import PROVIDERS, Moments
from models.spec import ArchSpec

_PREFIX = "module."
_COUNTER = "num_batches_tracked"


def load_torchvision_state_dict(module: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copy ``state_dict``, with torchvision's names in any order, into ``module`` in place.

    ``module`` is what ``build`` returned for a family that torchvision also has: EfficientNet,
    MobileNetV2, MnasNet, ResNet, ResNeXt, ConvNeXt. EfficientNet-PyTorch's names for
    EfficientNet-Lite are taken likewise, and timm's for EfficientNet, MobileNetV2, MnasNet, ReXNet.

    Raises ValueError, and changes nothing, where the two are not the same network.
    """
    own = module.state_dict()
    theirs, mine = _by_module(_unwrapped(state_dict)), _by_module(own)
    if len(theirs) != len(mine):
        raise ValueError(
            f"the weights hold {len(theirs)} modules and the network {len(mine)}: "
            "they are of different networks"
        )
    renamed: dict[str, Tensor] = {}
    for source, target in zip(in_forward_order(theirs), mine, strict=True):
        if {*theirs[source]} | ({_COUNTER} & {*mine[target]}) != {*mine[target]}:
            raise ValueError(
                f"{source} holds {sorted(theirs[source])} where the network's {target} holds "
                f"{sorted(mine[target])}: they are of different networks"
            )
        for leaf, tensor in theirs[source].items():
            renamed[f"{target}.{leaf}"] = tensor
            _check_shape(f"{source}.{leaf}", tensor, own[f"{target}.{leaf}"])
    module.load_state_dict(own | renamed)


def _unwrapped(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Without the prefix that ``DataParallel`` gives all names."""
    if not all(name.startswith(_PREFIX) for name in state):
        return state
    return {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}


def _check_shape(name: str, tensor: Tensor, own: Tensor) -> None:
    if tensor.shape != own.shape:
        raise ValueError(
            f"{name} is {tuple(tensor.shape)} where the network has {tuple(own.shape)}: give the "
            "spec the weights' width and classes"
        )


def _by_module(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Module name → leaf name → tensor; a bare parameter counts as a module's weight."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        prefix, _, leaf = name.rpartition(".")
        if leaf == "layer_scale":
            prefix, leaf = name, "weight"
        modules.setdefault(prefix, {})[leaf] = tensor
    return modules


def read_safetensors(path: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file; nothing is unpickled.

    Raises ValueError where the file is missing or not safetensors.
    """
    return read_described(path)[0]


def read_described(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """``read_safetensors``, and what the file says of itself."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: torch.as_tensor(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{path} cannot be read as safetensors ({error}): convert the weights with "
            "safetensors.torch.save_file"
        ) from None


def pretrained_state(name: str) -> dict[str, Tensor]:
    """The published ImageNet weights of a family, with their publisher's names.

    They are checked against their hash and read without unpickling code.

    Raises ValueError where none are known under ``name`` or they cannot be had.
    """
    if name not in PROVIDERS:
        raise ValueError(
            f"{name!r:.80} has no published weights that are known here: give a safetensors file, "
            f"or one of {', '.join(PROVIDERS)}"
        )
    return PROVIDERS[name].state()


def published_moments(name: str) -> Moments:
    """How pictures are normalised for the weights that ``pretrained_state`` has of ``name``."""
    return PROVIDERS[name].moments


def at_hand(name: str) -> bool:
    """Whether ``pretrained_state`` has that family's weights with no network right now."""
    return name in PROVIDERS and PROVIDERS[name].at_hand()


def read_weights(source: str, name: str) -> dict[str, Tensor]:
    """``pretrained``: the published weights of the family ``name``; else a safetensors file."""
    return pretrained_state(name) if source == "pretrained" else read_safetensors(source)


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copy weights, with this project's names or others', into ``module`` in place.

    Raises ValueError, and changes nothing, where they are of another network.
    """
    own, given = module.state_dict(), _unwrapped(state_dict)
    counters = {name for name in own if name.endswith(_COUNTER)}
    if set(own) != set(given) | counters:
        load_torchvision_state_dict(module, given)
        return
    for name, tensor in given.items():
        _check_shape(name, tensor, own[name])
    module.load_state_dict(own | dict(given))


def initialised(spec: ArchSpec, state_dict: Mapping[str, Tensor]) -> tuple[ArchSpec, nn.Module]:
    """``spec`` with the classes and channels that the weights are for, and built with them.

    Raises ValueError where they are of another network.
    """
    state_dict = _unwrapped(state_dict)
    first, last = _ends(state_dict)
    own = replace(
        spec,
        classes=len(state_dict[f"{last}.bias"]),
        in_channels=state_dict[f"{first}.weight"].shape[1],
    )
    network = build(own)
    load_weights(network, state_dict)
    return own, network


def _ends(state: Mapping[str, Tensor]) -> tuple[str, str]:
    """The modules that the image meets first and last, by this project's names or others'."""
    names = in_forward_order(_by_module(state))
    own = "stem.0" in names
    head = [name for name in names if own and name.startswith("head.")]
    first, last = ("stem.0", head[-1]) if head else (names[0], names[-1]) if names else ("", "")
    if f"{first}.weight" not in state or f"{last}.bias" not in state:
        raise ValueError("the weights are of no network that this project builds")
    return first, last
