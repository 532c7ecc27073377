"""Any arguments: exit code 0, or 2 with usage or one line that starts with "error:"."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from common.command import run
from models.__main__ import main as models_command
from models.build import build
from models.deploy.preprocessing import WEIGHTS, Preprocessing
from models.families import family
from nas.search import search
from nas.search.__main__ import main as nas_command
from nas.space import space
from reports.__main__ import main as reports_command
from scaling_search.__main__ import main as scaling_command
from tests.support.command import assert_refused, in_process
from training.__main__ import main as training_command
from training.commands.latency import main as latency_command
from trials.workers.pool import InProcess

Command = Callable[[Sequence[str] | None], None]

# Everywhere: what nobody should write, and what somebody will.
WRONG = ("", " ", "-1", "0", "1.5", "nan", "-inf", "1e999", "9" * 30, "9" * 5000, "x", "x" * 300,
         "-", "=", "ü", "٣", "<b>", "$HOME", "~nobody-of-this-name/x", "../..", "/dev/null",
         "nowhere/at/all", "\udcff", "line\nbreak", "2y", "1,,2", "{}", "[1]", "null", "%s", "{x}",
         "a=b", "mobilenet-v1-1-inf", "rexnet-0", "efficientnet-b99")  # fmt: skip

SPEC = ("mobilenet-v1-0.25-128", "mobilenet-v1-0.5-128", "spec.json", "run", "huge.json",
        "odd.json", "damaged.json", "damaged")  # fmt: skip
FLAG = None  # an option that takes no value

VARIED: dict[str, Sequence[str] | None] = {
    "--flip": ("none", "horizontal", "vertical", "both"), "--no-flip": FLAG, "--balance": FLAG,
    "--augment": ("none", "light", "strong"),
}  # fmt: skip
PICTURES: dict[str, Sequence[str] | None] = {
    "--data": ("digits", "pictures", "empty"), "--train": ("pictures", "empty"),
    "--validation": ("pictures",), "--test": ("pictures",),
}  # fmt: skip
SHARED: dict[str, Sequence[str] | None] = VARIED | PICTURES | {
    "--proxy-resolution": ("8", "12"), "--proxy-images": ("64", "100", "5"),
    "--proxy-epochs": ("1",), "--device": ("cpu", "auto", "meta"),
    "--workers": ("1", "2"), "--trial-timeout": ("60", "1e-9"), "--minutes": ("1", "1e-9"),
    "--seed": ("1", "7"), "--out": ("out", "run", "spec.json", "damaged"), "--resume": FLAG,
    "--storage": ("sqlite:///study.db", "sqlite:////nowhere/at/all.db", "postgresql://x"),
    "--join": FLAG, "--executor": ("processes",), "--ray-address": ("localhost:1",),
    "--gpus-per-trial": ("1",), "--config": ("spec.json", "run", "damaged", "damaged.json"),
    "--print-config": FLAG, "--log": ("tensorboard:logs", "tensorboard:spec.json"),
}  # fmt: skip
NAS = SHARED | {
    "--budget": ("400M", "1G", "5M", "12ms"), "--space": ("mnasnet", "mbconv"),
    "--aim": ("reward", "hard", "front"), "--cost": ("macs", "params", "activations", "latency"),
    "--w": ("-0.07", "0"), "--over": ("-1",), "--low": ("0.5", "0.9"), "--high": ("1", "2"),
    "--sampler": ("random", "auto", "tpe"), "--trials": ("1", "3"), "--resolution": ("224", "32"),
    "--prior": ("prior.csv", "run", "spec.json", "damaged"), "--latency-device": ("cpu",),
    "--latency-batch": ("1",), "--latency-threads": ("1",), "--latency-sample": ("2",),
}  # fmt: skip
BASELINE: dict[str, Sequence[str] | None] = {
    "--baseline": SPEC, "--depth-rounding": ("ceil", "nearest"),
}  # fmt: skip
NUMBERS = ("paper", "depth", "1.2,1.1,1.15", "0.9,1,1", "1,1,1", "1e200,1,1", "1e-300,1e-300,1e300")
SCALING = SHARED | BASELINE | {
    "--target-flops": ("2x", "0.5x", "20M", "1.0001x", "1e30x", "1e-30x"), "--trials": ("5", "9"),
    "--target-latency": ("2x", "12ms"), "--latency-batch": ("1",),
    "--method": ("adaptive", "grid"), "--step": ("0.1", "0.25"), "--region": ("0.5",),
}  # fmt: skip
FAMILY = BASELINE | {
    "--coefficients": NUMBERS, "--phi": ("0,1", "-1", "0.5", "1e300", "1000,-1000"),
    "--targets": ("1x,2x", "20M", "1e30x"), "--batch": ("8",), "--out": ("members", "spec.json"),
    "--max-resolution": ("240", "8"),
}  # fmt: skip
STUDY = SHARED | {
    "--baselines": (*SPEC, "mobilenet-v1-0.25-128,spec.json"), "--coefficients": NUMBERS,
    "--factors": ("1,1.5", "w=1,2", "d=1;r=1.2", "2,4", "1e30", "1e-30", "w=;d"),
    "--shares": ("d=1", "d=0.1,w=0.8,r=0.1"), "--repeats": ("1", "2"),
    "--depth-rounding": ("ceil", "nearest"),
}  # fmt: skip
TRAINING = VARIED | PICTURES | {
    "--spec": SPEC, "--epochs": ("1",),
    "--init": ("random", "weights.pt", "spec.json", "damaged"), "--batch": ("8", "1"),
    "--resolution": ("8", "16"), "--device": ("cpu", "meta"), "--seed": ("1",),
    "--out": ("out", "trained", "spec.json/x"), "--print-config": FLAG,
    "--config": ("spec.json", "trained", "damaged.json"), "--log": ("tensorboard:spec.json",),
}  # fmt: skip
PREDICT = {"--top": ("1", "99"), "--format": ("text", "csv", "json"), "--device": ("cpu", "meta"),
           "--out": ("said.csv", "run", "spec.json/x")}  # fmt: skip
LATENCY = {"--device": ("cpu", "meta"), "--batch": ("1", "999999999"), "--repeats": ("1",),
           "--resolution": ("32", "999999999")}  # fmt: skip
EXPORT = {"--to": ("json", "onnx", "pt2"), "--out": ("file.json", "run", "spec.json/x"),
          "--weights": ("weights.pt", "damaged", "spec.json"), "--seed": ("1",),
          "--with-preprocessing": FLAG}  # fmt: skip
REPORTS = {"--storage": ("sqlite:///study.db", "postgresql://x"), "--group": ("table", "history"),
           "--run": ("run", "damaged", "empty", "members"),
           "--figures": ("print", "spec.json")}  # fmt: skip

CAM = {"--layer": ("stem", "stages.0", "head.0", "none"), "--class": ("cat", "cow"),
       "--images": ("1", "999"), "--device": ("cpu", "meta"),
       "--out": ("maps", "spec.json")}  # fmt: skip

LINES: dict[str, tuple[Command, Sequence[Sequence[str]], Mapping[str, Sequence[str] | None]]] = {
    "nas": (nas_command, [()], NAS),
    "scaling": (scaling_command, [()], SCALING),
    "family": (scaling_command, [("family",)], FAMILY),
    "study": (scaling_command, [("study", "single"), ("study", "width"), ("study", "compare"),
                                ("study",)], STUDY),
    "training": (training_command, [("--spec", name) for name in SPEC] + [()], TRAINING),
    "predict": (training_command,
                [("predict", run, picture) for run in ("trained", "mixed", "run", "empty")
                 for picture in ("grey.png", "pictures", "empty", "nowhere.png")]
                + [("predict", "trained", "grey.png", "spec.json"), ("predict",)], PREDICT),
    "latency": (latency_command, [(name,) for name in SPEC] + [()], LATENCY),
    "models show": (models_command, [("show", name) for name in SPEC] + [("list",), ()], {}),
    "models cost": (models_command, [("cost", name) for name in SPEC], {"--resolution": ("64",)}),
    "models export": (models_command, [("export", name) for name in (*SPEC, "trained", "mixed")],
                      EXPORT),
    "reports": (reports_command, [("run",), ("damaged",), ("older",), ("empty",), ("spec.json",),
                                  ("networks",), ()], REPORTS),
    "cam": (reports_command,
            [("cam", run, "--pictures", picture) for run in ("trained", "mixed", "run", "empty")
             for picture in ("grey.png", "pictures", "empty", "nowhere.png")]
            + [("cam", "trained", "trained", "--pictures", "grey.png", "spec.json"), ("cam",)],
            CAM),
}  # fmt: skip


@st.composite
def arguments(
    draw: st.DrawFn, starts: Sequence[Sequence[str]], options: Mapping[str, Sequence[str] | None]
) -> list[str]:
    """A beginning and up to five options, one in four with a value that it should not have."""
    line = list(draw(st.sampled_from(starts)))
    if options:
        for name in draw(st.lists(st.sampled_from(sorted(options)), max_size=5, unique=True)):
            right = options[name]
            wrong = draw(st.integers(0, 3)) == 0
            if right is None:
                line.append(name)
            elif wrong:
                line += [f"{name}={draw(st.sampled_from(WRONG))}"]
            else:
                line += [name, draw(st.sampled_from(right))]
    if draw(st.integers(0, 7)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(st.sampled_from(WRONG)))
    return line


def called(main: Command, given: Sequence[str]) -> tuple[int, str]:
    """The exit code and what was said on stderr; stdout is as strict as a terminal's."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(main, given)
        except SystemExit as stop:  # argparse's way
            code = stop.code if isinstance(stop.code, int) else 1
    return code, err.getvalue()


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise ValueError("the arguments are good: nothing is trained or measured in this test")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with something of everything, and no way to train, measure or export."""
    folder = tmp_path_factory.mktemp("place")
    make(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))  # which $HOME among the arguments stands for
        patch.setattr("training.options.workers.ProcessPool", refuse)
        patch.setattr("training.options.workers.RayPool", refuse)
        patch.setattr("training.loop.train._trained", refuse)
        patch.setattr("training.stopwatch._passes", refuse)
        patch.setattr("reports.networks.table.rows", lambda group: ([], []))
        patch.setattr("reports.cam.draw", refuse)
        patch.setattr("models.deploy.export._onnx", refuse)
        patch.setattr("models.deploy.export._pt2", refuse)
        yield folder


def make(folder: Path) -> None:
    spec = family("mobilenet-v1-0.25-128")
    (folder / "spec.json").write_text(spec.to_json())
    (folder / "odd.json").write_text(spec.to_json().replace("mobilenet", "<b>%s{x}"))
    huge = re.sub('"layers":6', '"layers":1900', spec.to_json())
    huge = re.sub(r'"channels":\d+', '"channels":65536', huge)
    (folder / "huge.json").write_text(huge)
    (folder / "damaged.json").write_bytes(b'{"name": "\xff')
    (folder / "empty").mkdir()
    for name in ("cat", "dog"):
        (folder / "pictures" / name).mkdir(parents=True)
        (folder / "pictures" / name / "a.png").write_bytes(b"")
    torch.save({"weight": torch.zeros(2)}, folder / "weights.pt")
    (folder / "home").mkdir()
    Image.new("L", (9, 7)).save(folder / "grey.png")
    small = replace(spec, resolution=32, classes=2)
    for name, classes in (("trained", ("cat", "dog")), ("mixed", ("cat", "dog", "cow"))):
        (folder / name).mkdir()
        (folder / name / "spec.json").write_text(small.to_json())
        save_file(build(small).state_dict(), folder / name / WEIGHTS)
        Preprocessing(classes, (0.5,) * 3, (0.2,) * 3, 32).write(folder / name)
    (folder / "prior.csv").write_text("architecture,accuracy\n")
    score = InProcess(lambda spec, seed: seed % 100 / 100)
    search(space("mnasnet"), score._evaluate, trials=3, sampler="random", run_dir=folder / "run")
    (folder / "run" / "baseline.json").write_text(spec.to_json())
    for name in ("damaged", "older"):
        shutil.copytree(folder / "run", folder / name)
    (folder / "damaged" / "journal.log").write_bytes(b'{"op_code": "x"}\n[]\n')
    header = folder / "older" / "run.json"
    header.write_text(header.read_text().replace('"objective"', '"goal"'))


@pytest.mark.parametrize("line", LINES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_arguments(line: str, place: Path, data: st.DataObject) -> None:
    main, starts, options = LINES[line]
    given_ = data.draw(arguments(starts, options))
    with contextlib.chdir(place):
        code, said = called(main, given_)
    assert code in (0, 2), said
    assert "Traceback" not in said
    if code == 2:
        last = said.rstrip("\n").splitlines()[-1]
        assert last.startswith("error: ") or ": error: " in said, said
        assert last not in ("error: ", "error:")


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch"])
def test_weights_are_never_unpickled(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, marker = tmp_path / "weights.safetensors", tmp_path / "touched"
    if kind == "pickle":
        weights.write_bytes(pickle.dumps(Bomb(marker)))
    else:
        torch.save({"a": Bomb(marker)}, weights, _use_new_zipfile_serialization=kind == "torch")
    spec = "mobilenet-v1-0.25-128"
    for main, given_ in (
        (training_command, ("--spec", spec, "--data", "digits", "--init", weights)),
        (models_command, ("export", spec, "--to", "json", "--out", tmp_path / "x", "--weights",
                          weights)),
        (models_command, ("export", spec, "--to", "pt2", "--out", tmp_path / "x", "--weights",
                          weights)),
    ):  # fmt: skip
        done = in_process(main, given_, capsys)
        if "json" not in given_:  # which needs no weights, and reads none
            assert_refused(done, "cannot be read as safetensors")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()  # it would have


def test_run_directories_are_never_unpickled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file of a run is replaced by a pickle; every command that takes a run refuses it."""
    marker = tmp_path / "touched"
    make(tmp_path)
    for name in ("run.json", "journal.log", "baseline.json"):
        folder = tmp_path / f"bad {name}"
        shutil.copytree(tmp_path / "run", folder)
        (folder / name).write_bytes(pickle.dumps(Bomb(marker)))
        codes = {
            in_process(main, [*given_, folder], capsys).returncode
            for main, given_ in (
                (reports_command, []),
                (nas_command, ["--data", "digits", "--trials", 3, "--sampler", "random",
                               "--resume", "--out"]),
                (models_command, ["show"]),
            )
        }  # fmt: skip
        assert codes <= {0, 2}
        assert 2 in codes
    assert not marker.exists()


def test_a_search_whose_candidates_all_fail_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(spec: object, seed: int) -> float:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr("training.options.executor", lambda *_: InProcess(never))
    quick = ("--data", "digits", "--out")
    for main, given_ in (
        (nas_command, ("--sampler", "random", *quick, tmp_path / "nas")),
        (scaling_command, ("--baseline", "mobilenet-v1-0.25-128", *quick, tmp_path / "scaling")),
        (scaling_command, ("study", "width", "--baselines", "mobilenet-v1-0.25-128", "--factors",
                           "1", *quick, tmp_path / "study")),
    ):  # fmt: skip
        done = in_process(main, given_, capsys)
        assert_refused(done, "the search stops: no candidate has succeeded, trial 0 failed with")
        assert done.stderr.splitlines()[-1].startswith("error: ")
