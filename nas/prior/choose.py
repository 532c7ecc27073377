"""Which prior a command means: the one given, that of the run it goes on with, or a default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nas.prior.distilled import Distilled, Foretold, imagenet
from nas.prior.table import Prior, load_prior
from nas.space import Batch, Space

NONE, IMAGENET = "none", "imagenet"
FAR = 1.0  # standard deviations outside of the table: the prior is not asked unless told to be


class Choice(NamedTuple):
    """A prior, or None, and a line about it for people; no line where nobody need be told."""

    prior: Prior | Distilled | None
    said: str = ""


def given_prior(text: str, space: Space) -> Prior | Distilled | None:
    """What ``--prior`` names: ``none``, ``imagenet``, or a run or table (``load_prior``)."""
    if text == NONE:
        return None
    return imagenet() if text == IMAGENET else load_prior(Path(text), space)


def recorded_prior(settings: Mapping[str, Any]) -> str | None:
    """What to give for a run that says nothing else: None where only its user knows."""
    label = settings.get("prior")
    if label is None:
        return NONE
    return IMAGENET if str(label).startswith(f"{imagenet().name} (") else None


def default_prior(space: Space, window: Batch, natural: bool) -> Choice:
    """ImageNet's for ``natural`` pictures, where networks (N, D) of the ``window`` are not far from
    those that it was learned from; else none."""
    if not natural:
        return Choice(None)
    out, trait = Foretold(imagenet(), space).beyond(window)
    if out > FAR:
        return Choice(
            None,
            f"prior: none; in {trait} this space's networks lie {out:.1f} standard deviations "
            "outside of those whose ImageNet accuracies are known (--prior imagenet asks them all "
            "the same)",
        )
    return Choice(
        imagenet(),
        f"prior: imagenet, what {imagenet().networks:,} networks reached there; it counts as far "
        "as this run's trainings bear it out (--prior none turns it off)",
    )
