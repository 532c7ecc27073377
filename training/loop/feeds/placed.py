"""Pictures on the device that trains, put there once for each process."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch

from training.data import Data

# By the object: others may share its digest and differ in a split. It goes with the original.
_PLACED: WeakKeyDictionary[Data, dict[torch.device, Data]] = WeakKeyDictionary()


def placed(data: Data, device: torch.device) -> Data:
    """``data`` on ``device``; the same copy, its mean and deviation known, at every call."""
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    if data.train.labels.device == device:
        return data
    copies = _PLACED.setdefault(data, {})
    if device not in copies:
        copies[device] = data.to(device)
    return copies[device]
