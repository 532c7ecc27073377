"""Other people's search methods, by their own packages, as methods of this project's searches."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import NamedTuple

from benchmarks.rivals.base import Rival

__all__ = ["BLIND", "RIVALS", "missing", "rival_of"]

BLIND = "-blind"  # of a rival's name: it does not know the exact cost


class Package(NamedTuple):
    """Where a rival's class is, the modules that it needs, what it names the network by."""

    module: str
    name: str
    needs: tuple[str, ...]
    names_by: str


RIVALS = {
    "tpe": Package("of_optuna", "Tpe", (), "best seen"),
    "gp": Package("of_optuna", "Gp", (), "posterior mean"),
    "botorch": Package("of_botorch", "SingleTask", ("botorch",), "posterior mean"),
    "saas": Package("of_botorch", "WarpedSaas", ("botorch", "numpyro"), "posterior mean"),
    "map-saas": Package("of_botorch", "MapSaas", ("botorch",), "posterior mean"),
    "smac": Package("of_smac", "Smac", ("smac",), "mean of the forest"),
}


def missing(name: str) -> list[str]:
    """The modules that the rival of that name lacks."""
    needs = RIVALS[name.removesuffix(BLIND)].needs
    return [module for module in needs if find_spec(module) is None]


def rival_of(name: str) -> type[Rival]:
    """The class of that name. Raises ModuleNotFoundError where its package is ``missing``."""
    package = RIVALS[name.removesuffix(BLIND)]
    module = importlib.import_module(f"benchmarks.rivals.{package.module}")
    found: type[Rival] = getattr(module, package.name)
    return found
