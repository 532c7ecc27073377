"""``python -m training``: one network trained properly, on the test split, and what it leaves."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path

import pytest

from common.energy import Counter
from models.__main__ import main as models_command
from models.build import build
from models.pretrained import read_safetensors
from models.spec import ArchSpec
from tests.support.command import assert_refused, in_process
from training.__main__ import main
from training.data import load
from training.loop.train import evaluate
from training.recipe import Recipe

QUICK = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 1, "--batch", 64,
         "--resolution", 16, "--device", "cpu")  # fmt: skip


def test_trains_writes_and_can_be_loaded_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trained"
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 2, "--batch", 64,
             "--resolution", 24, "--device", "cpu", "--out", out)  # fmt: skip
    done = in_process(main, given, capsys)
    assert done.returncode == 0, done.stderr
    spec = ArchSpec.from_json((out / "spec.json").read_text())
    assert (spec.classes, spec.in_channels, spec.resolution) == (10, 1, 24)
    found = json.loads((out / "evaluation.json").read_text())
    assert found["details"]["held_out"] == "test"
    network = build(spec)
    network.load_state_dict(read_safetensors(str(out / "weights.safetensors")))
    data = load("digits", size=24, progress=False)
    accuracy, _ = evaluate(network, data.test, 24, data)
    assert accuracy == pytest.approx(found["accuracy"])
    details = found["details"]
    assert details["plain_accuracy"] == found["accuracy"]
    assert list(details["class_accuracy"]) == list(data.classes)
    shares = details["class_accuracy"].values()
    assert details["balanced_accuracy"] == pytest.approx(sum(shares) / 10)
    counts = data.counts()
    for name, share, images in zip(details["class_accuracy"], shares, details["class_images"],
                                   strict=True):  # fmt: skip
        assert images == counts[name]["test"]
        assert 0 <= share <= 1
    assert f"test accuracy {accuracy:.4f}, balanced {details['balanced_accuracy']:.4f}" in (
        done.stdout
    )


def test_the_next_commands_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a shell, in a directory whose name has a space, an accent and a quote."""
    monkeypatch.setenv("HOME", str(tmp_path))
    out = "~/l'été à deux/$NAME"
    monkeypatch.setenv("NAME", "a b")
    done = in_process(main, (*QUICK, "--epochs", 3, "--batch", 32, "--out", out), capsys)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "l'été à deux" / "a b"
    assert (run / "weights.safetensors").is_file()
    first, second = done.stdout.split("next: ")[1].splitlines()
    assert shlex.split(first) == ["python", "-m", "training", "predict", str(run), "PICTURE…"]
    assert shlex.split(second)[:5] == ["python", "-m", "models", "export", str(run)]
    models_command([*shlex.split(second)[3:-5], "--to", "json", "--out", str(run / "again.json")])
    assert (run / "again.json").read_text() == (run / "spec.json").read_text()


def test_every_training_has_a_directory_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "train-mobilenet-v1-0.25-128-digits"
    (tmp_path / "runs" / f"{name}-7").mkdir(parents=True)
    for _ in range(2):
        done = in_process(main, QUICK, capsys)
        assert done.returncode == 0
        # Ten steps teach nothing: there is something to change, and nothing to go on with.
        assert done.stdout.startswith("! Nothing was learned")
        assert "change: train longer (--epochs)" in done.stdout
        assert "next:" not in done.stdout
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert names == {f"{name}-7", f"{name}-8", f"{name}-9"}


@pytest.mark.parametrize(
    ("given", "batch"),
    [((), 32), (("--epochs", 12), 128), (("--batch", 100), 100), (("--set", "batch=100"), 100)],
)
def test_few_pictures_come_in_smaller_batches_unless_told(
    given: tuple[object, ...], batch: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 1,259 digits an epoch has 9 steps of 128 pictures, and 39 of 32."""
    short = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--epochs", 1,
             "--resolution", 8, "--device", "cpu", "--out", tmp_path)  # fmt: skip
    done = in_process(main, (*short, *given), capsys)
    assert done.returncode == 0, done.stderr
    begun = json.loads((tmp_path / "training.json").read_text())
    assert begun["recipe"]["batch"] == batch
    assert ("pictures a training are few: in batches of 32" in done.stderr) is (batch == 32)


def counting(gpus: bool) -> list[Counter]:
    """A device that takes a joule between any two looks."""
    assert not gpus
    joules = itertools.count()
    return [Counter("CPU package 0", lambda: float(next(joules)))]


def test_a_training_says_what_it_took_where_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.commands.go.counters", counting)
    done = in_process(main, (*QUICK, "--out", tmp_path), capsys)
    assert done.returncode == 0, done.stderr
    assert "energy: 0.001 kJ by CPU package 0" in done.stdout
    assert "Energy: 0.001 kJ by CPU package 0" in (tmp_path / "report.html").read_text("utf-8")


def test_a_training_that_is_stopped_before_its_first_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.commands.go.final", stopped)
    monkeypatch.setattr("training.commands.go.counters", counting)
    (tmp_path / "mine").mkdir()
    for out in ("new", "mine"):
        done = in_process(main, (*QUICK, "--out", tmp_path / out), capsys)
        assert done.returncode == 130
        assert done.stderr.splitlines()[-1] == (
            "stopped: nothing had been trained, and nothing is kept"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert not list((tmp_path / "mine").iterdir())


def test_what_cannot_be_written_is_said_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.commands.go.final", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "file").touch()
    done = in_process(main, (*QUICK, "--out", tmp_path / "file" / "below"), capsys)
    assert_refused(done, "cannot write in")


def test_balanced_training_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = (*QUICK, "--balance", "--augment", "strong", "--flip", "vertical", "--out", tmp_path)
    assert in_process(main, given, capsys).returncode == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["accuracy"] == found["details"]["balanced_accuracy"]
    recipe = Recipe(epochs=1, batch=64, balance=True, cutout=0.25, zoom=0.3, jitter=0.3,
                    flip="vertical")  # fmt: skip
    assert found["recipe"] == recipe.key


def test_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(in_process(main, ("--spec", "nothing"), capsys), "did you mean")
    given = ("--spec", "resnet-18", "--epochs", "0")
    assert_refused(in_process(main, given, capsys), "at least 1")
