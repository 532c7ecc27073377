"""A pipeline trains as one process with the same micro-batches: gradients, losses, weights."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.build import build
from models.families import family
from models.spec import ArchSpec, StageSpec, Stem
from tests.support.command import assert_refused, in_process
from tests.support.halting import halted
from tests.training.test_checkpoints import TINY
from tests.training.test_processes import started
from training.__main__ import main
from training.data import Data, load
from training.loop.checkpoints.keeper import Keeper
from training.loop.processes import Processes, joined
from training.loop.together.pipeline import SCHEDULES, check, micro_batches_of, own_stage
from training.loop.together.split import split
from training.loop.train import final, trainer
from training.loop.trainer import Trainer
from training.recipe import Recipe

CPU = torch.device("cpu")
PLAIN = replace(TINY, dropout=0.0, drop_path=0.0)
# Layer norm sees one image at a time; linear layers in every block, not in the head alone.
LAYERS = ArchSpec(
    "layers", Stem(8, 2, 2), (StageSpec("convnext", 2, 16, 3, expansion=2),
                              StageSpec("convnext", 2, 24, 3, stride=2, expansion=2)),
    resolution=16, classes=10, in_channels=1, norm="layer", activation="gelu",
)  # fmt: skip
RECIPE = Recipe(epochs=3, batch=64, lr=0.8, images=640, micro_batch=16)  # 30 steps
NETWORKS = {"plain": PLAIN, "layers": LAYERS,
            "b0": replace(family("efficientnet-b0"), resolution=32, classes=10, in_channels=1,
                          dropout=0.0, drop_path=0.0)}  # fmt: skip
RECIPES = {
    "gpipe": RECIPE,
    "1f1b": RECIPE,
    "recomputed": replace(RECIPE, recompute=True),
    "mixed": replace(RECIPE, mixup=0.5, cutmix=0.5, crop=0.5, ema=0.9),
    "finetune": replace(RECIPE, head_rate=5.0, layer_decay=0.8, lr=0.2),
}


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


@given(batch=st.integers(1, 600), stages=st.integers(2, 5))
def test_micro_batches_unless_told(batch: int, stages: int) -> None:
    """Equal ones, from one to four a stage, of two images or more; refused where there are none."""
    able = [n for n in range(stages, 4 * stages + 1) if batch % n == 0 and batch // n >= 2]
    if not able:
        with pytest.raises(ValueError, match=f"a batch of {batch} images cannot be cut into"):
            micro_batches_of(batch, stages)
        return
    assert micro_batches_of(batch, stages) == max(able)
    check(batch, max(able), stages)


def test_micro_batches_that_a_pipeline_cannot_take() -> None:
    with pytest.raises(ValueError, match="64 images is not 3 equal micro-batches"):
        check(64, 3, 2)
    with pytest.raises(ValueError, match="2 micro-batches leave some of 3 stages idle"):
        check(64, 2, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_stages_are_the_network(name: str) -> None:
    """Each has its own weights under the network's names, and one after the other they are it."""
    spec = NETWORKS[name]
    torch.manual_seed(0)
    network = build(spec).eval()
    whole, x = network.state_dict(), torch.randn(2, 1, spec.resolution, spec.resolution)
    expected, found = network(x), x
    names: list[str] = []
    for rank in range(3):
        stage = build(spec).eval()
        stage.load_state_dict(whole)
        own_stage(stage, spec, Processes(rank, 3, 3, "gpipe"))
        names += stage.state_dict()
        found = stage(found)
    assert names == list(whole)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "processes", "message"),
    [
        (("--pipeline", 1), 1, "--pipeline 1 must be at least 2"),
        (("--pipeline", 2), 1, "torchrun --nproc-per-node 2 -m training"),
        (("--pipeline", 2), 3, "takes 2 processes and there is 3"),
        (("--pipeline", 2, "--sync-bn"), 2, "--sync-bn has nothing to do in a --pipeline"),
        (("--schedule", "1f1b"), 1, "--schedule 1f1b is a pipeline's: add --pipeline"),
        (("--micro-batches", 3), 1, "--micro-batches 3 do not cut a batch of 128"),
        (("--micro-batches", 128), 1, "into equal parts of 2 images or more"),
        (("--micro-batches", 4, "--set", "micro_batch=16"), 1, "contradict each other"),
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


def test_micro_batches_of_any_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 1, "--batch", 64,
             "--resolution", 16, "--device", "cpu", "--micro-batches", 4,
             "--out", tmp_path)  # fmt: skip
    assert in_process(main, given, capsys).returncode == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["details"]["micro_batch"] == 16


def test_too_many_stages() -> None:
    with pytest.raises(ValueError, match="too few for 9 stages"):
        split(PLAIN, 9)


# ---------------------------------------------------------------- two processes


def gradients(run: Trainer) -> dict[str, Tensor]:
    """Of the first step, which is not taken."""
    found: dict[str, Tensor] = {}

    def keep() -> None:
        for name, one in run.network.named_parameters():
            assert one.grad is not None, name
            found[name] = one.grad.detach().clone(memory_format=torch.contiguous_format)

    run.optimizer.step = keep  # type: ignore[assignment, method-assign]
    run.epoch(lambda step: step == 1)
    return found


def both(out: Path) -> None:
    """What each of two processes does."""
    digits = load("digits", size=32, progress=False)
    with joined(CPU, "gpipe") as (among, place):
        for name, spec in NETWORKS.items():
            for schedule in SCHEDULES:
                line = replace(among, schedule=schedule)
                run = trainer(
                    spec, replace(RECIPE, clip=None), digits, 0, place, micro_batches=4, among=line
                )
                found = among.united(gradients(run))
                if among.is_first:
                    save_file(found, out / f"{name}-{schedule}.safetensors")
        facts = {}
        for name, recipe in RECIPES.items():
            line = replace(among, schedule="1f1b" if name == "1f1b" else "gpipe")
            network, one = final(PLAIN, recipe, digits, 0, place, among=line)
            facts[name] = one.to_dict()
            if among.is_first:
                save_file(network.state_dict(), out / f"{name}.safetensors")
        random = replace(RECIPES["mixed"], dropout=0.3)
        whole, _ = final(PLAIN, random, digits, 0, place, among=among)
        with halted(out, among) as keeper:
            final(PLAIN, random, digits, 0, place, among=among, keeper=keeper)
        again, _ = final(PLAIN, random, digits, 0, place, among=among, keeper=Keeper(out, 1e9, {}))
        if among.is_first:
            save_file(whole.state_dict(), out / "whole.safetensors")
            save_file(again.state_dict(), out / "again.safetensors")
            (out / "found.json").write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("line")
    done = started("-m", "tests.training.test_pipeline", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_one_process_s(name: str, schedule: str, two: Path) -> None:
    digits = load("digits", size=32, progress=False)
    run = trainer(NETWORKS[name], replace(RECIPE, clip=None), digits, 0, CPU, micro_batches=4)
    expected, found = gradients(run), load_file(two / f"{name}-{schedule}.safetensors")
    assert found.keys() == expected.keys()
    largest = max(one.abs().max() for one in expected.values())
    for key, one in expected.items():
        torch.testing.assert_close(found[key], one, rtol=1e-4, atol=1e-6 * float(largest), msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_losses_and_weights_are_one_process_s(name: str, two: Path) -> None:
    digits = load("digits", size=32, progress=False)
    network, one = final(PLAIN, RECIPES[name], digits, 0, "cpu")
    found = json.loads((two / "found.json").read_text())[name]
    assert one.details["losses"][-1] < one.details["losses"][0], "it learns"
    assert found["details"]["losses"] == pytest.approx(one.details["losses"], abs=3e-4)
    for fact in ("class_images", "steps", "images", "held_out_images", "micro_batch"):
        assert found["details"][fact] == one.details[fact]
    assert found["loss"] == pytest.approx(one.loss, abs=2e-3)
    weights = load_file(two / f"{name}.safetensors")
    for key, value in network.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=1e-2, atol=1e-2, msg=key)


@pytest.mark.slow
def test_stages_stop_together_and_go_on_to_the_same_bits(two: Path) -> None:
    whole, again = (load_file(two / f"{name}.safetensors") for name in ("whole", "again"))
    for key, value in whole.items():
        assert torch.equal(again[key], value), key


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file of weights, the losses of one process, and no going on without the other stage."""
    given = ("--spec", "efficientnet-b0", "--data", "digits", "--epochs", 1, "--batch", 64,
             "--resolution", 32, "--device", "cpu", "--set", "dropout=0", "--set", "drop_path=0",
             "--set", "lr=0.1", "--micro-batches", 4)  # fmt: skip
    done = started("-m", "training", *given, "--pipeline", 2, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1
    alone = in_process(main, (*given, "--out", tmp_path / "one"), capsys)
    assert alone.returncode == 0, alone.stderr
    one, two = (
        json.loads((tmp_path / name / "evaluation.json").read_text())["details"]["losses"]
        for name in ("one", "two")
    )
    assert two == pytest.approx(one, abs=2e-3)
    weights = [load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    (tmp_path / "two" / "weights.safetensors").unlink()
    refused = in_process(main, ("--resume", "--out", tmp_path / "two"), capsys)
    assert_refused(refused, "torchrun --nproc-per-node 2 -m training")


if __name__ == "__main__":
    both(Path(sys.argv[1]))
