"""A training stopped anywhere and gone on with ends as it would have without: bit for bit."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.pretrained import read_safetensors
from models.spec import ArchSpec, StageSpec, Stem
from tests.support.command import assert_refused, in_process
from training.__main__ import main
from training.commands.begun import FILE_NAME as BEGUN
from training.data import Data, load
from training.loop.checkpoints import keeper as keeping
from training.loop.checkpoints.keeper import FILE_NAME, Halted, Keeper
from training.loop.train import final
from training.loop.trainer import Trainer
from training.recipe import Recipe
from training.recipe.named import named

# Everything that is random: dropout and stochastic depth too.
TINY = ArchSpec(
    "tiny",
    Stem(8, stride=1),
    (StageSpec("mbconv", 3, 16, stride=2, expansion=3, se=0.25),),
    head=32,
    resolution=8,
    classes=10,
    in_channels=1,
    dropout=0.2,
    drop_path=0.3,
)
QUICK = Recipe(epochs=3, batch=32, lr=0.8, images=320)  # 10 steps an epoch
STEPS = 30
RECIPES = {
    "sgd": QUICK,
    "averaged": replace(QUICK, ema=0.9, cutout=0.2, zoom=0.3, jitter=0.3),
    "adamw": replace(QUICK, optimizer="adamw", lr=0.02, balance=True),
    "micro-batches": replace(QUICK, micro_batch=16),
    **{
        name: replace(named(name), epochs=3, batch=32, images=320)
        for name in ("paper", "modern", "finetune")
    },
    **{"phases": replace(named("v2"), epochs=3, phases=3, batch=32, images=320, mixup_from=0.2)},
}


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", progress=False)


class Killed(BaseException):
    """What no part of a training handles."""


def at_step(monkeypatch: pytest.MonkeyPatch, at: int, act: Callable[[], object]) -> None:
    """Do ``act`` in the midst of the ``at``-th step from now: its gradients are half added up."""
    whole, count = Trainer._gradients, 0

    def gradients(self: Trainer, images: Tensor, labels: Tensor, share: float) -> Tensor:
        nonlocal count
        count += 1
        found = whole(self, images, labels, share)
        if count == at:
            act()
        return found

    monkeypatch.setattr(Trainer, "_gradients", gradients)


def kill() -> None:
    raise Killed


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == again and torch.equal(a, b) for (name, a), (again, b) in pairs)


def ticks(rng: random.Random) -> Callable[[], float]:
    """A clock on which a minute has passed at every second look or so."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += rng.choice([0.0, 60.0])
        return now

    return clock


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("seed", range(2))
def test_killed_in_the_midst_of_random_steps(
    name: str, seed: int, digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, rng = RECIPES[name], random.Random(f"{name} {seed}")
    undisturbed, expected = final(TINY, recipe, digits, seed, "cpu")
    for _ in range(2):
        with monkeypatch.context() as patch:
            at_step(patch, rng.randint(1, STEPS // 2), kill)
            keeper = Keeper(tmp_path, 1, {"recipe": recipe.key}, ticks(rng))
            with pytest.raises(Killed):
                final(TINY, recipe, digits, seed, "cpu", keeper=keeper)
        torch.rand(7)  # another process has another generator
    keeper = Keeper(tmp_path, 1, {"recipe": recipe.key})
    network, found = final(TINY, recipe, digits, seed, "cpu", keeper=keeper)
    assert same(network, undisturbed)
    assert (found.accuracy, found.loss, found.curve, found.details) == (
        expected.accuracy,
        expected.loss,
        expected.curve,
        expected.details,
    )


def test_stopped_between_two_epochs(digits: Data, tmp_path: Path) -> None:
    """Where one epoch's loss is told and the next one's order is drawn."""
    undisturbed, expected = final(TINY, QUICK, digits, 0, "cpu")

    def stop(epoch: int, _: float) -> None:
        if epoch == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    keeper = Keeper(tmp_path, 1e9, {})
    with keeper.listening(), pytest.raises(Halted, match="after step 10 of 30"):
        final(TINY, QUICK, digits, 0, "cpu", on_epoch=stop, keeper=keeper)
    network, found = final(TINY, QUICK, digits, 0, "cpu", keeper=Keeper(tmp_path, 1e9, {}))
    assert same(network, undisturbed)
    assert found.details["losses"] == expected.details["losses"]
    assert [share for share, _ in found.curve] == [1 / 3, 2 / 3]  # of three epochs
    assert found.curve == expected.curve


def test_a_done_training_is_measured_again_and_not_trained(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, found = final(TINY, QUICK, digits, 0, "cpu", keeper=Keeper(tmp_path, 1e9, {}))
    monkeypatch.setattr(Trainer, "_gradients", lambda *_: pytest.fail("trained"))
    again, other = final(TINY, QUICK, digits, 0, "cpu", keeper=Keeper(tmp_path, 1e9, {}))
    assert same(network, again)
    assert other.loss == found.loss


def test_a_training_divided_for_memory_goes_on_divided(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And begins anew when memory runs out, whatever had been written."""
    whole = Trainer._gradients

    def small_alone(self: Trainer, images: Tensor, labels: Tensor, share: float) -> Tensor:
        if self.step >= 3 and len(labels) > 16:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, images, labels, share)

    monkeypatch.setattr(Trainer, "_gradients", small_alone)
    undisturbed, expected = final(TINY, QUICK, digits, 0, "cpu")
    assert expected.details["divided"] == 1
    with monkeypatch.context() as patch:
        at_step(patch, 30, kill)
        with pytest.raises(Killed):
            final(TINY, QUICK, digits, 0, "cpu", keeper=Keeper(tmp_path, 0, {}))
    network, found = final(TINY, QUICK, digits, 0, "cpu", keeper=Keeper(tmp_path, 0, {}))
    assert same(network, undisturbed)
    assert found.details == expected.details


# ---------------------------------------------------------------- the file


def test_a_write_that_fails_leaves_the_last_file(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(tmp_path, 1e9, {})
    final(TINY, replace(QUICK, epochs=1), digits, 0, "cpu", keeper=keeper)
    before = (tmp_path / FILE_NAME).read_bytes()

    def torn(_: object, path: Path, __: object) -> None:
        path.write_bytes(before[: len(before) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(keeping, "save_file", torn)
    with pytest.raises(OSError, match="no space left"):
        final(TINY, replace(QUICK, epochs=1), digits, 0, "cpu", keeper=Keeper(tmp_path, 0, {}))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).read_bytes() == before
    (tmp_path / f"{FILE_NAME}.0.part").touch()  # a kill's
    keeper.forget()
    assert not list(tmp_path.iterdir())


def test_other_files_are_refused(digits: Data, tmp_path: Path) -> None:
    final(TINY, QUICK, digits, 0, "cpu", keeper=Keeper(tmp_path, 1e9, {"seed": 0}))
    with pytest.raises(ValueError, match="of another training, its seed 0 and not 1"):
        Keeper(tmp_path, 1e9, {"seed": 1}).read()
    other = replace(TINY, head=48)
    with pytest.raises(ValueError, match="the checkpoint is of another training"):
        final(other, QUICK, digits, 0, "cpu", keeper=Keeper(tmp_path, 1e9, {"seed": 0}))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="remove it to begin the training again"):
        Keeper(tmp_path, 1e9, {"seed": 0}).read()
    with pytest.raises(ValueError, match="nan minutes"):
        Keeper(tmp_path, float("nan"), {})


# ---------------------------------------------------------------- the command

GIVEN = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 2, "--batch", 64,
         "--resolution", 16, "--device", "cpu", "--augment", "strong")  # fmt: skip
COMMAND_STEPS = 2 * (1258 // 64)


def trained(out: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights, and what was measured but for the time it took."""
    found = json.loads((out / "evaluation.json").read_text())
    del found["seconds"]
    return read_safetensors(str(out / "weights.safetensors")), found


def assert_same_training(one: Path, other: Path) -> None:
    (weights, measured), (again, too) = trained(one), trained(other)
    assert measured == too
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[name], again[name]) for name in weights)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    main([*map(str, GIVEN), "--out", str(out)])
    return out


KILLED = """
import os, signal, sys
from training.__main__ import main
from training.loop.trainer import Trainer
whole, left = Trainer._update, int(sys.argv[1])
def update(self, drawn):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, drawn)
Trainer._update = update
main(sys.argv[2:])
"""


@pytest.mark.parametrize("seed", range(2))
def test_a_process_killed_at_a_random_step(
    seed: int, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    at = random.Random(seed).randint(2, COMMAND_STEPS)
    given = [*map(str, GIVEN), "--out", str(out), "--checkpoint-minutes", "0.001"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(at), *given], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "weights.safetensors").exists()
    again = in_process(main, ("--resume", "--out", out), capsys)
    assert again.returncode == 0, again.stderr
    assert_same_training(out, undisturbed)
    assert not list(out.glob(f"{FILE_NAME}*"))


def test_ctrl_c_loses_nothing_and_says_how_to_go_on(
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        at_step(patch, 25, lambda: os.kill(os.getpid(), signal.SIGINT))
        done = in_process(main, GIVEN, capsys)
    assert done.returncode == 130
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"stopped after step 25 of {COMMAND_STEPS}: python -m training --resume")
    pasted = shlex.split(last.split(": ")[1].removesuffix(" goes on from there"))
    assert in_process(main, pasted[3:], capsys).returncode == 0
    assert_same_training(tmp_path / pasted[-1], undisturbed)
    # Nothing is left of it to resume, named or not.
    assert_refused(in_process(main, pasted[3:], capsys), "is done: there is nothing to resume")
    assert_refused(in_process(main, ["--resume"], capsys), "no training to resume below runs")


def test_the_last_one_is_resumed_where_none_is_named(
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        at_step(patch, 3, kill)
        with pytest.raises(Killed):
            main([*map(str, GIVEN)])
    begun = json.loads(next(tmp_path.glob("runs/*")).joinpath(BEGUN).read_text())
    assert Recipe.from_dict(begun["recipe"]).zoom == 0.3
    assert_refused(
        in_process(main, ["--resume", "--epochs", 5], capsys), "--epochs is 2 in runs/train-"
    )
    assert_refused(in_process(main, ["--resume", "--data", "mnist"], capsys), "--data is 'digits'")
    # No checkpoint had been written: from the beginning, to the same end.
    done = in_process(main, ["--resume", "--epochs", 2], capsys)
    assert done.returncode == 0, done.stderr
    assert_same_training(next(tmp_path.glob("runs/*")), undisturbed)


GONE = "gone"  # of an entry: it had not been known


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        ("arguments", {"freeze": GONE, "shard": GONE}, "(--freeze, --shard only here): finish the "
         "training with the version that began it, or begin another with another --out"),
        ("arguments", {"shard": GONE, "wind": 3}, "(--shard only here; --wind only there)"),
        ("recipe", {"zoom": 0.5, "momentum": GONE, "spin": 1}, "has another recipe (momentum "
         "missing there and 0.9 here, spin 1 there and missing here, zoom 0.5 there and 0.3 here)"),
    ],
)  # fmt: skip
def test_what_another_version_began_is_refused(
    place: str,
    changes: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 3, kill)
        with pytest.raises(Killed):
            main([*map(str, GIVEN), "--out", str(tmp_path)])
    facts = json.loads((tmp_path / BEGUN).read_text())
    changed = facts[place] | changes
    facts[place] = {name: value for name, value in changed.items() if value != GONE}
    (tmp_path / BEGUN).write_text(json.dumps(facts))
    done = in_process(main, ["--resume", "--out", tmp_path], capsys)
    assert_refused(done, message)
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_two_signals_stop_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within a step: the checkpoint before it is what is left, or nothing is."""

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    for minutes, says in ((0, "stopped, at once: python"), (9, "nothing is kept")):
        out = tmp_path / str(minutes)
        with monkeypatch.context() as patch:
            at_step(patch, 5, twice)
            given = (*GIVEN, "--out", out, "--checkpoint-minutes", minutes)
            done = in_process(main, given, capsys)
        assert done.returncode == 130
        assert says in done.stderr.splitlines()[-1]
        assert out.exists() == (minutes == 0)


def test_nothing_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(in_process(main, (), capsys), "--spec is missing")
    refused = in_process(main, ("--resume", "--out", tmp_path), capsys)
    assert_refused(refused, "holds no training to resume")
    (tmp_path / BEGUN).write_text("{}")
    refused = in_process(main, ("--resume", "--out", tmp_path), capsys)
    assert_refused(refused, "is of another version, or damaged")
