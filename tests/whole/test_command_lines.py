"""All command lines have one shape, and take paths, pictures and variations alike."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

import pytest

from common.command import path, place, storage_url

COMMANDS = (
    "models.__main__",
    "nas.channels.__main__",
    "nas.rerank.__main__",
    "nas.search.__main__",
    "reports.__main__",
    "reports.commands.cam",
    "reports.commands.channels",
    "reports.commands.compare",
    "reports.commands.ranks",
    "reports.commands.scalability",
    "reports.commands.networks",
    "scaling_search.commands.family",
    "scaling_search.commands.search",
    "scaling_search.commands.study",
    "training.commands.detect",
    "training.commands.latency",
    "training.commands.predict",
    "training.commands.segment",
    "training.commands.train",
)
SEARCHES = ("nas.channels.__main__", "nas.search.__main__", "scaling_search.commands.search",
            "scaling_search.commands.study")  # fmt: skip
PLACES = {"out", "prior", "run", "data", "train", "validation", "test", "baseline", "spec", "init",
          "weights", "pictures", "name"}  # fmt: skip


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of subcommands included."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from actions(one)
        else:
            yield action


@pytest.fixture(params=COMMANDS)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(request.param)


def test_options_and_main(module: ModuleType) -> None:
    made: Callable[[], argparse.ArgumentParser] = module.options
    assert isinstance(made(), argparse.ArgumentParser)
    (argv,) = inspect.signature(module.main).parameters.values()
    assert argv.default is None


def test_paths_are_expanded(module: ModuleType) -> None:
    for action in actions(module.options()):
        if action.dest in PLACES:
            assert action.type in (path, place), action.dest
        if action.dest == "storage":
            assert action.type is storage_url


@pytest.mark.parametrize("name", [*SEARCHES, "training.commands.train"])
def test_every_command_that_trains_varies_pictures_alike(name: str) -> None:
    found = {option for action in actions(import_module(name).options())
             for option in action.option_strings}  # fmt: skip
    assert {"--flip", "--no-flip", "--augment", "--balance", "--data", "--train"} <= found
    assert "--resume" in found


def test_every_option_is_explained(module: ModuleType) -> None:
    """But for choices that say themselves what they are."""
    for action in actions(module.options()):
        assert action.help or action.choices, action
