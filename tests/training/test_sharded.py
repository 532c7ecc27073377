"""Weights in pieces train as whole ones do: the same losses, each process with its share."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.command import assert_refused, in_process
from tests.support.halting import halted
from tests.training.test_checkpoints import TINY
from tests.training.test_processes import started
from training.__main__ import main
from training.data import load, part
from training.loop.checkpoints.keeper import Keeper
from training.loop.processes import joined
from training.loop.scores import measure
from training.loop.together.sharded import full, like, local
from training.loop.train import final, trainer
from training.recipe import Recipe

CPU = torch.device("cpu")
PLAIN = replace(TINY, dropout=0.0, drop_path=0.0)
RECIPE = Recipe(epochs=3, batch=64, lr=0.8, images=640)  # 30 steps
RECIPES = {
    "apart": RECIPE,
    "synchronised": replace(RECIPE, sync_bn=True, recompute=True),
    "divided": replace(RECIPE, micro_batch=16),
    "averaged": replace(RECIPE, ema=0.9, sync_bn=True),
    "adamw": replace(RECIPE, optimizer="adamw", lr=0.02, clip=None),
    "rmsprop": replace(RECIPE, optimizer="rmsprop", lr=0.01, eps=0.03),
}
ONE = {  # what one process does that is the same
    **RECIPES,
    "apart": replace(RECIPE, micro_batch=32),
    "synchronised": RECIPE,
    "averaged": replace(RECIPE, ema=0.9),
    "adamw": replace(RECIPES["adamw"], micro_batch=32),
    "rmsprop": replace(RECIPES["rmsprop"], micro_batch=32),
}
RANDOM = replace(RECIPE, dropout=0.3, crop=0.5, mixup=0.5, ema=0.9)


def test_whole_tensors_stay_as_they_are() -> None:
    one = torch.arange(3.0)
    assert local(one) is one
    assert full(one) is one
    assert like(one, torch.zeros(3)) is one


@pytest.mark.parametrize(
    ("options", "processes", "message"),
    [
        (("--shard",), 1, "--shard is for several processes: start them with torchrun"),
        (("--shard", "--pipeline", 2), 2, "--shard and --pipeline each share out the network"),
    ],
)
def test_what_does_not_go_together(
    options: tuple[object, ...],
    processes: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if processes > 1:
        monkeypatch.setenv("WORLD_SIZE", str(processes))
    given = ("--spec", "resnet-18", "--data", "digits", "--device", "cpu", *options)
    assert_refused(in_process(main, given, capsys), message)


# ---------------------------------------------------------------- two processes


def both(out: Path) -> None:
    """What each of two processes does."""
    digits = load("digits", progress=False)
    with joined(CPU, sharded=True) as (among, place):
        facts: dict[str, Any] = {}
        for name, recipe in RECIPES.items():
            network, one = final(PLAIN, recipe, digits, 0, place, among=among)
            facts[name] = one.to_dict()
            if among.is_first:
                save_file(network.state_dict(), out / f"{name}.safetensors")
        run = trainer(PLAIN, RECIPE, digits, 0, place, among=among)
        run.epoch(lambda step: step == 2)
        mine = [local(one).numel() for one in run.network.parameters()]
        mine += [local(entry["momentum_buffer"]).numel() for entry in run.optimizer.state.values()]
        facts["pieces"] = among.summed(torch.tensor(sum(mine))).item(), sum(mine)
        # Of five pictures one process has three and the other two: in batches of two and one.
        some = part(digits.test, slice(0, 5))
        facts["few"] = measure(run.measured, some, 8, digits, 2, among=among).images
        _, whole = final(PLAIN, RANDOM, digits, 0, place, among=among)
        with halted(out, among) as keeper:
            final(PLAIN, RANDOM, digits, 0, place, among=among, keeper=keeper)
        _, again = final(PLAIN, RANDOM, digits, 0, place, among=among, keeper=Keeper(out, 1e9, {}))
        if among.is_first:
            facts |= {"whole": whole.to_dict(), "again": again.to_dict()}
            (out / "found.json").write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pieces")
    done = started("-m", "tests.training.test_sharded", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_losses_are_one_process_s(name: str, two: Path) -> None:
    digits = load("digits", progress=False)
    network, one = final(PLAIN, ONE[name], digits, 0, "cpu")
    found = json.loads((two / "found.json").read_text())[name]
    assert one.details["losses"][-1] < one.details["losses"][0], "it learns"
    assert found["details"]["losses"] == pytest.approx(one.details["losses"], abs=5e-4)
    for fact in ("class_images", "steps", "images", "held_out_images"):
        assert found["details"][fact] == one.details[fact]
    weights = load_file(two / f"{name}.safetensors")
    assert {key: value.shape for key, value in weights.items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }


@pytest.mark.slow
def test_each_has_its_pieces_alone(two: Path) -> None:
    """Of the weights and of the optimiser's momenta, at about half; together they are all."""
    network, _ = final(PLAIN, replace(RECIPE, epochs=1), load("digits", progress=False), 0, "cpu")
    everything = 2 * sum(one.numel() for one in network.parameters())
    facts = json.loads((two / "found.json").read_text())
    total, mine = facts["pieces"]
    assert total == everything
    assert 0.45 * everything < mine < 0.6 * everything
    assert sum(facts["few"]) == 5


@pytest.mark.slow
def test_stopped_together_they_go_on(two: Path) -> None:
    """What is random in each goes on where it was; weights are equal to rounding."""
    facts = json.loads((two / "found.json").read_text())
    whole, again = (facts[name]["details"]["losses"] for name in ("whole", "again"))
    assert again == pytest.approx(whole, abs=2e-4)


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 1, "--batch", 64,
             "--resolution", 16, "--device", "cpu", "--shard", "--out", tmp_path)  # fmt: skip
    done = started("-m", "training", *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1
    assert load_file(tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").unlink()
    refused = in_process(main, ("--resume", "--out", tmp_path), capsys)
    assert_refused(refused, "--shard is for several processes")


if __name__ == "__main__":
    both(Path(sys.argv[1]))
