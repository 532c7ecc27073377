"""ReXNet's question: how should channels grow from block to block?

    from nas.channels import channel_space
    found = search(channel_space(family("rexnet-1.0")), evaluate, 400e6, limits=[("params", 5e6)])

Han et al. 2021 (arXiv:2007.00992, section 4): maximise accuracy over c_1 ≤ … ≤ c_d under limits of
parameters and FLOPs, all else fixed. From the command line: ``python -m nas.channels``.
"""

from __future__ import annotations

from nas.channels.conventions import linear, stagewise
from nas.channels.space import CHANNELS, ChannelSpace, channel_space, stretched

__all__ = ["CHANNELS", "ChannelSpace", "channel_space", "linear", "stagewise", "stretched"]
