"""A network that is two numbers, things to do with it, and a search over it to be killed.

`python -m tests.support.trials_helpers DIR TRIALS WORKERS [--resume]` drives that search.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from trials.loop import run_trials
from trials.record import Evaluation, Rungs, Stopped, trial_seed
from trials.store.study import Proposal, Record, Run, open_run
from trials.workers.environment import sharers
from trials.workers.pool import InProcess, ProcessPool

SETTINGS = {"kind": "test", "seed": 7, "space": "toy", "trials": 12}


@dataclass(frozen=True)
class Toy:
    """Stands in for an ArchSpec."""

    depth: int
    width: float
    what: str = "ok"

    @property
    def key(self) -> str:
        return f"{self.depth}-{self.width}"

    def to_json(self) -> str:
        return json.dumps([self.depth, self.width, self.what])

    @classmethod
    def from_json(cls, text: str) -> Toy:
        return cls(*json.loads(text))


class PerTrial(BaseSampler):
    """An Optuna sampler that is a function of the seed, the trial's number and the history."""

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self.make, self.seed = make, seed
        self.inner = make(seed)

    def before_trial(self, study: Any, trial: Any) -> None:
        self.inner = self.make(trial_seed(self.seed, trial.number))

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(self, *args: Any) -> Any:
        return self.inner.sample_independent(*args)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed, n_startup_trials=4),
    "multivariate": lambda seed: TPESampler(seed=seed, n_startup_trials=4, multivariate=True),
}


def toy_run(run_dir: Path | None, sampler: str = "random", **options: Any) -> Run:
    options = {"from_json": Toy.from_json, **options}
    settings = options.pop("settings", SETTINGS)
    run = open_run(run_dir, settings, ["maximize"], **options)
    run.study.sampler = PerTrial(SAMPLERS[sampler], run.seed)
    return run


def propose(trial: optuna.Trial, run: Run) -> Proposal:
    depth = trial.suggest_int("depth", 1, 9)
    width = trial.suggest_float("width", 0.0, 1.0)
    what = trial.suggest_categorical("what", ["ok", "fine"])
    return Proposal(Toy(depth, width, what), cost={"macs": depth * 10}, attrs={"note": "n"})


def objective(record: Record, evaluation: Evaluation) -> list[float]:
    return [evaluation.accuracy]


def accuracy(spec: Toy, seed: int) -> float:
    return (spec.depth / 9 + spec.width + (seed % 97) / 97) / 3


def stamped(spec: Toy, seed: int) -> Evaluation:
    """A nonce tells a second training from the first."""
    nonce = {"nonce": os.urandom(8).hex()}
    return Evaluation(accuracy(spec, seed), seed=seed, seconds=0.0, details=nonce)


def racing(spec: Toy, seed: int, bars: Rungs = ()) -> Evaluation | Stopped:
    """Has at every rung what it will have in the end."""
    last = accuracy(spec, seed)
    for i, (_, bar) in enumerate(bars, start=1):
        if last < bar:
            curve = tuple((share, last) for share, _ in bars[:i])
            return Stopped(Evaluation(last, seed=seed, seconds=0.0, curve=curve))
    curve = tuple((share, last) for share, _ in bars)
    return Evaluation(last, seed=seed, seconds=0.0, curve=curve)


def propose_bars(trial: optuna.Trial, run: Run) -> Proposal:
    """Bars that stop about half."""
    return replace(propose(trial, run), bars=((0.25, 0.3), (0.5, 0.5)))


def slow(spec: Toy, seed: int) -> Evaluation:
    time.sleep(0.03)
    return stamped(spec, seed)


class Noted:
    """Leaves its process id in a directory, then takes as long as told."""

    def __init__(self, directory: Path, seconds: float) -> None:
        self.directory, self.seconds = directory, seconds

    def __call__(self, spec: Toy, seed: int) -> Evaluation:
        (self.directory / str(os.getpid())).touch()
        time.sleep(self.seconds)
        return stamped(spec, seed)


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def _segfault() -> float:
    ctypes.string_at(0)
    return 0.0


def _raise(error: BaseException) -> float:
    raise error


BEHAVIOURS: dict[str, Callable[[], Any]] = {
    "ok": lambda: 0.5,
    "raise": lambda: _raise(KeyError("no such layer")),
    "nan": lambda: float("nan"),
    "percent": lambda: 93.0,
    "nothing": lambda: None,
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(4),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": _segfault,
    "hang": lambda: time.sleep(600),
    "oom": lambda: _raise(OutOfMemoryError("CUDA out of memory")),
    "memory": lambda: _raise(MemoryError()),
    "diverge": lambda: _raise(FloatingPointError("loss is nan")),
    "poison": lambda: _raise(RuntimeError("CUDA error: device-side assert triggered")),
}


def behave(spec: Toy, seed: int) -> Any:
    return BEHAVIOURS[spec.what]()


def pid_of(spec: Toy, seed: int) -> Evaluation:
    return Evaluation(0.5, seed=seed, seconds=0.0, details={"pid": os.getpid()})


def environment_of(spec: Toy, seed: int) -> Evaluation:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
             "PYTORCH_CUDA_ALLOC_CONF")  # fmt: skip
    # As it was when the process began: what torch would see while it is imported.
    born = Path("/proc/self/environ").read_bytes().decode().split("\0")
    details: dict[str, Any] = {item.partition("=")[0]: item.partition("=")[2] for item in born}
    details = {name: details.get(name) for name in names}
    time.sleep(0.05)  # so that both workers get one
    return Evaluation(0.5, seed=seed, seconds=0.0, details=details)


def memory_facts(spec: Toy, seed: int) -> Evaluation:
    score = Path("/proc/self/oom_score_adj")
    details = {
        "workers": [sharers(of_device=False), sharers(of_device=True)],
        "score": int(score.read_text()) if score.exists() else 1000,
    }
    return Evaluation(0.5, seed=seed, seconds=0.0, details=details)


def drive(run_dir: Path, trials: int, sampler: str, **options: Any) -> None:
    with toy_run(run_dir, sampler, **options) as run, InProcess(stamped) as executor:
        run_trials(run, propose, executor, objective, trials)


def main() -> None:
    run_dir, trials, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with (
        toy_run(run_dir, "tpe", resume="--resume" in sys.argv) as run,
        ProcessPool(Noted(run_dir.parent, 0.03), workers) as pool,
    ):
        run_trials(run, propose, pool, objective, trials)


if __name__ == "__main__":
    from tests.support import trials_helpers

    trials_helpers.main()  # under its importable name, so that workers can load what it sends
