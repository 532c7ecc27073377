"""Options that the scaling search's command lines share."""

from __future__ import annotations

import argparse

from common.command import place


def add_baseline(group: argparse._ActionsContainer) -> None:
    """What is scaled, and how layers are rounded."""
    group.add_argument(
        "--baseline",
        type=place,
        default="efficientnet-b0",
        help="a run, a spec file, a family's member or name",
    )
    add_depth_rounding(group)


def add_depth_rounding(group: argparse._ActionsContainer) -> None:
    """How layers are rounded."""
    group.add_argument(
        "--depth-rounding",
        default="ceil",
        choices=("ceil", "nearest"),
        help="of layers; ceil is the paper's",
    )
