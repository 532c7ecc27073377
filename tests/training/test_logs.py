"""What TensorBoard and MLflow are told of trainings, read back by their own libraries."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.cost import cost
from models.families import family
from nas.search import search
from nas.search.__main__ import main as nas_command
from nas.space import space
from scaling_search.search import search as search_scaling
from tests.support.command import assert_refused, in_process
from training.__main__ import main as training_command
from training.options import flags
from training.options.logs import KINDS, LOSS, ON_THE_WAY, choices, logged, multipliers
from trials.progress import Progress
from trials.record import Evaluation, trial_seed

Rows = dict[str, dict[str, Any]]  # by training: "facts", "numbers", "losses", "curve", "failure"
MBCONV = space("mbconv")


def tensorboard_rows(place: Path, group: str) -> Rows:
    """By TensorBoard's reader of event files and its plugin's own messages."""
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    found: Rows = {}
    for folder in (path for path in (place / group).iterdir() if path.is_dir()):
        events = EventAccumulator(str(folder)).Reload()
        scalars = {
            tag: [(e.step, e.value) for e in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }
        content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        told = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        facts = {name: getattr(one, one.WhichOneof("kind")) for name, one in told.items()}
        found[folder.name] = {
            "facts": facts,
            "losses": scalars.pop(LOSS, []),
            "curve": scalars.pop(ON_THE_WAY, []),
            "numbers": {name: values[-1][1] for name, values in scalars.items()},
            "failure": "failure/text_summary" in events.Tags()["tensors"],
        }
    return found


def mlflow_rows(place: Path, group: str) -> Rows:
    """By MLflow's client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place}")
        experiment = client.get_experiment_by_name(group).experiment_id

        def course(run: Any, name: str) -> list[tuple[int, float]]:
            told = client.get_metric_history(run.info.run_id, name)
            return [(one.step, one.value) for one in told]

        found: Rows = {}
        for run in client.search_runs([experiment]):
            curves = {"losses": course(run, LOSS), "curve": course(run, ON_THE_WAY)}
            numbers = {k: v for k, v in run.data.metrics.items() if k not in (LOSS, ON_THE_WAY)}
            facts = {name: _read(text) for name, text in run.data.params.items()}
            failed = run.info.status == "FAILED"
            assert failed == ("failure" in run.data.tags)
            name = run.info.run_name
            assert name not in found
            found[name] = {"facts": facts, "numbers": numbers, "failure": failed, **curves}
        return found


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


LOGS: dict[str, tuple[Callable[[Path], str], Callable[[Path, str], Rows]]] = {
    "tensorboard": (lambda place: f"tensorboard:{place}", tensorboard_rows),
    "mlflow": (lambda place: f"mlflow:sqlite:///{place}", mlflow_rows),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow's, which takes it ten seconds to make."""
    place = tmp_path_factory.mktemp("mlflow") / "empty.db"
    KINDS["mlflow"](f"sqlite:///{place}", "none")
    return place


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[str], Rows]]:
    """What --log takes, and what reads a group of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(request.param, reason=f"needs the extra {request.param}")
    target, read = LOGS[request.param]
    place = tmp_path / "log"
    if request.param == "mlflow":
        shutil.copy(request.getfixturevalue("tables"), place)
    return target(place), lambda group: read(place, group)


def evaluate(spec: object, seed: int) -> Evaluation:
    if seed == trial_seed(0, 2):
        raise RuntimeError("the disk is gone")
    details = {"losses": [2.0, 1.5]}
    return Evaluation(seed % 7 / 7, seed, 2.0, 0.25, details=details, curve=((0.5, 0.125),))


def test_a_search_is_a_row_for_each_training(
    log: tuple[str, Callable[[str], Rows]], tmp_path: Path
) -> None:
    target, read = log
    run = {"sampler": "random", "run_dir": tmp_path / "run"}
    # Begun without the log, gone on with: what was trained before is there too, and once.
    search(MBCONV, evaluate, trials=3, **run)  # type: ignore[arg-type]
    for trials in (5, 6):
        found = search(
            MBCONV, evaluate, trials=trials, resume=True,
            progress=logged([target], Progress, choices), **run,  # type: ignore[arg-type]
        )  # fmt: skip
    rows = read("run")
    assert set(rows) == {f"trial-{number:04}" for number in range(6)}
    assert {record.state for record in found.trials} == {"complete", "failed"}
    for record in found.trials:
        row, made = rows[f"trial-{record.number:04}"], record.evaluation
        assert row["facts"] == record.params
        assert row["failure"] == (made is None)
        if made is None:
            continue
        (reward,) = record.values or ()
        expected = {"accuracy": made.accuracy, "loss": 0.25, "seconds": 2.0, "reward": reward,
                    "FLOPs": cost(record.spec).macs,
                    "parameters": cost(record.spec).params}  # fmt: skip
        assert row["numbers"] == pytest.approx(expected)
        assert row["losses"] == [(1, 2.0), (2, 1.5)]
        assert row["curve"] == [(1, 0.125)]


def test_a_scaling_search_has_its_multipliers(
    log: tuple[str, Callable[[str], Rows]], tmp_path: Path
) -> None:
    target, read = log
    baseline = replace(family("mobilenet-v1-0.25-128"), classes=10)
    found = search_scaling(
        baseline, lambda _, seed: seed % 7 / 7, trials=4, run_dir=tmp_path / "run",
        progress=logged([target], Progress, multipliers),
    )  # fmt: skip
    rows = read("run")
    for record in found.trials:
        realised, facts = record.attrs["realised"], rows[f"trial-{record.number:04}"]["facts"]
        expected = dict(zip(("alpha", "beta", "gamma"), realised.values(), strict=True))
        assert facts == pytest.approx(expected)


def test_a_training_by_epochs(
    log: tuple[str, Callable[[str], Rows]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, read = log
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--resolution", 32, "--epochs",
             2, "--device", "cpu", "--log", target, "--out", tmp_path / "run")  # fmt: skip
    done = in_process(training_command, given, capsys)
    assert done.returncode == 0, done.stderr
    ours = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    (row,) = read("training").values()
    losses = dict(enumerate(ours["details"]["losses"], 1))
    assert dict(row["losses"]) == pytest.approx(losses, abs=1e-4)
    assert row["numbers"]["accuracy"] == pytest.approx(ours["accuracy"])
    assert len(row["curve"]) == len(ours["curve"]) > 0
    assert row["facts"]["epochs"] == 2
    assert row["facts"]["network"].startswith("mobilenet-v1")


def test_the_command_logs_and_goes_on(
    log: tuple[str, Callable[[str], Rows]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, read = log
    quick = ("--data", "digits", "--proxy-images", 60, "--proxy-epochs", 1, "--device", "cpu",
             "--workers", 1, "--budget", "20M", "--sampler", "random", "--space", "mbconv",
             "--resolution", 64, "--low", 0.1)  # fmt: skip
    out = ("--out", tmp_path / "run")
    first = in_process(nas_command, (*quick, *out, "--trials", 1, "--log", target), capsys)
    assert first.returncode == 0, first.stderr
    more = in_process(nas_command, (*out, "--resume", "--trials", 2), capsys)
    assert more.returncode == 0, more.stderr
    rows = read("run")
    assert set(rows) == {"trial-0000", "trial-0001"}
    assert len(rows["trial-0000"]["losses"]) == 1


def test_a_log_that_breaks_ends_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        name, there = "mlflow:http://nowhere", set[str]()

        def entry(self, name: str) -> Any:
            raise ConnectionError("the server\nis gone")

    monkeypatch.setitem(KINDS, "mlflow", lambda place, group: Broken())  # type: ignore[arg-type]
    watch = logged(["mlflow:http://nowhere"], Progress, choices)
    found = search(MBCONV, lambda _, seed: 0.5, trials=3, sampler="random", progress=watch)
    assert len(found.trials) == 3
    said = [line for line in capsys.readouterr().err.splitlines() if "nothing more" in line]
    assert said == ["mlflow:http://nowhere: nothing more is logged there (the server is gone)"]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("wandb:x", "is no tensorboard:DIR or mlflow:URI"),
        ("tensorboard:", "is no tensorboard:DIR or mlflow:URI"),
        ("tensorboard:/proc/nowhere", "cannot write in"),
    ],
)
def test_mistakes(
    target: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--spec", "mobilenet-v1-0.25-128", "--data", "digits", "--device", "cpu", "--out",
             tmp_path / "run", "--log", target)  # fmt: skip
    assert_refused(in_process(training_command, given, capsys), says)
    assert not (tmp_path / "run").exists()


def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(place: str, group: str) -> Any:
        raise ImportError("No module named 'mlflow'")

    monkeypatch.setitem(KINDS, "mlflow", missing)  # type: ignore[arg-type]
    watch = logged(["mlflow:x"], Progress, choices)
    with pytest.raises(ValueError, match=r"pip install 'evenscale\[mlflow\]'"):
        search(MBCONV, lambda _, seed: 0.5, trials=2, sampler="random", progress=watch)


def test_what_help_says_is_what_there_is() -> None:
    assert tuple(KINDS) == flags.LOGS


def test_places_mean_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert flags.log_target("tensorboard:logs") == f"tensorboard:{tmp_path / 'logs'}"
    assert flags.log_target("mlflow:sqlite:///a.db") == f"mlflow:sqlite:///{tmp_path / 'a.db'}"
    assert flags.log_target("mlflow:http://host:5000") == "mlflow:http://host:5000"
