"""Weights, gradients and the optimiser's state in pieces, one a process (FSDP, arXiv:2304.11277).

torch's ``fully_shard``: the stem, each stage and the head are put together when their turn comes
and taken apart after it. Pictures are shared out as they are without it, and so is the arithmetic:
only the memory differs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from training.loop.processes import Processes


def shard(network: nn.Module, device: torch.device, among: Processes) -> nn.Module:
    """Leave this process's pieces of ``network``'s weights on ``device``; in place. Its buffers
    stay whole."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (among.count,))
    for part in (network.stem, *network.stages, network.head, network):  # type: ignore[misc]
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    return network


def local(tensor: Tensor) -> Tensor:
    """This process's piece; of what is not in pieces all."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full(tensor: Tensor) -> Tensor:
    """The pieces together; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, one: Tensor) -> Tensor:
    """``tensor``, which every process has, in pieces as ``one`` is."""
    if not isinstance(one, DTensor):
        return tensor
    tensor = tensor.to(one.device)
    return distribute_tensor(tensor, one.device_mesh, one.placements, src_data_rank=None)
