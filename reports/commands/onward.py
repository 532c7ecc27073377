"""How to go on from a run: commands with its own pictures, varied as it varied them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from common.command import program
from training.given import DEFAULT, next_command, source_of
from trials.store.header import read_header

Command = tuple[object, ...]  # a module and its arguments

_TRAIN = "Train it on all pictures, and measure it on the test split"
_GROW = "Find how it should grow"


def onward(run_dir: Path) -> dict[str, str]:
    """Commands, quoted for a shell, by what they are for; the first is that which a run ends with.

    None for a run whose recipe is of another version, by which nothing would be trained alike.
    Raises ValueError where there is no run.
    """
    settings = read_header(run_dir).settings
    if (varied := _varied(settings)) is None:
        return {}
    source = source_of(run_dir) or DEFAULT
    said = {
        what: next_command(str(module), *arguments, *varied, data=source)
        for what, (module, *arguments) in _ways(run_dir, settings).items()
    }
    return _with_weights(run_dir, settings) | said


def after_training(out: Path) -> dict[str, str]:
    """Commands for a trained network, by what they are for."""
    exported = ("export", str(out), "--to", "onnx", "--with-preprocessing", "--out", "network.onnx")
    return {
        "Ask it what it says of pictures": (
            f"{shlex.join([*program('training predict').split(), str(out)])} PICTURE…"
        ),
        "Take it elsewhere": shlex.join([*program("models").split(), *exported]),
    }


def _ways(run_dir: Path, settings: dict[str, Any]) -> dict[str, Command]:
    grown = ("scaling_search", *_given(settings), "--target-flops", "2x", "--baseline")
    if settings.get("kind") == "study":
        return {_GROW: (*grown, next(iter(settings["baselines"])))}
    trained: dict[str, Command] = {_TRAIN: ("training", "--spec", run_dir)}
    if settings.get("kind") == "nas":
        return {_GROW: (*grown, run_dir), **trained}
    return trained


def _given(settings: dict[str, Any]) -> list[object]:
    """How trainings were made shorter or longer than they are by default."""
    options = settings.get("options") or {}
    names = ("proxy_images", "proxy_epochs", "parent_epochs")
    return [
        word
        for name in names
        if options.get(name) is not None
        for word in (f"--{name.replace('_', '-')}", options[name])
    ]


def _with_weights(run_dir: Path, settings: dict[str, Any]) -> dict[str, str]:
    """Where a baseline that was scaled has weights, its members can have theirs."""
    from training.transfer.sources import BASELINE

    baseline = (settings.get("options") or {}).get("baseline")
    if not baseline or not (Path(baseline) / BASELINE).is_file():
        return {}
    command = next_command(
        "scaling_search family", "--coefficients", run_dir / "coefficients.json",
        "--baseline", baseline, "--weights", baseline, "--phi", "0,1", data=DEFAULT,
    )  # fmt: skip
    return {"Make the members of its family, with their weights": command}


def _varied(settings: dict[str, Any]) -> list[str] | None:
    from training.recipe import Recipe  # with torch, which --help need not wait for
    from training.recipe.variation import as_options

    stored = settings.get("recipe") or {}
    try:
        recipe = Recipe.from_dict({name: value for name, value in stored.items() if name != "key"})
    except ValueError:
        return None
    return as_options(recipe)
