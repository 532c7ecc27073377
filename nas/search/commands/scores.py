"""The scores of untrained networks that the command's search learns from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.belief.scores import Asked

if TYPE_CHECKING:
    from training.data import Data


def scores_of(args: argparse.Namespace, data: Data, before: Mapping[str, Any]) -> Asked | None:
    """What is asked for; else what a run that goes on began with.

    Raises ValueError for an unknown score.
    """
    from training.proxies import score_all

    began = before.get("scores") or []
    names = began if args.scores is None else args.scores.split(",")
    return Asked(names, score_all(names, data)) if names and names != ["none"] else None
