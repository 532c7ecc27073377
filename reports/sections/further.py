"""How to go on from a run: commands with its own pictures, varied as it varied them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from reports.page import Page
from training.given import DEFAULT, next_command, source_of
from training.recipe import Recipe
from training.recipe.variation import as_options

Command = tuple[str, Sequence[object]]
"""A module that is run, and its arguments."""


def show_further(
    page: Page, run_dir: Path, settings: Mapping[str, Any], ways: Mapping[str, Command]
) -> None:
    """What can be done next, a command for each of the ``ways``, called by what it is for.

    Nothing for runs whose recipe is of an earlier version: these cannot be gone on with alike.
    """
    stored = settings.get("recipe") or {}
    with suppress(ValueError):
        recipe = Recipe.from_dict({name: value for name, value in stored.items() if name != "key"})
        source = source_of(run_dir) or DEFAULT
        page.heading("What to do next")
        for what, (module, arguments) in ways.items():
            page.text(f"{what}:")
            page.code(next_command(module, *arguments, *as_options(recipe), data=source))
