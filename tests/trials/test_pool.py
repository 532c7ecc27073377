"""Executors: whatever an evaluation does, the driver gets an outcome."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.trials_helpers import (
    BEHAVIOURS,
    Toy,
    behave,
    environment_of,
    objective,
    pid_of,
    propose_bars,
    racing,
    toy_run,
)
from trials.loop import run_trials
from trials.record import Evaluation, Failure
from trials.workers.environment import device_variables, thread_variables, threads_each
from trials.workers.pool import Executor, InProcess, ProcessPool

OUTCOMES = {
    "ok": None,
    "raise": ("exception", "KeyError: 'no such layer'"),
    "nan": ("diverged", "nan"),
    "percent": ("exception", "93.0"),
    "nothing": ("exception", "None"),
    "sys.exit": ("exception", "SystemExit: 4"),
    "oom": ("out of memory", "CUDA out of memory"),
    "memory": ("out of memory", "MemoryError"),
    "diverge": ("diverged", "loss is nan"),
    "poison": ("exception", "CUDA error"),
}
DEATHS = {
    "exit": ("worker died", "exit code 3"),
    "kill": ("worker died", "SIGKILL"),
    "segfault": ("worker died", "SIGSEGV"),
}


def submit_all(executor: Executor, whats: list[str]) -> dict[str, Any]:
    for number, what in enumerate(whats):
        executor.submit(number, Toy(1, 0.5, what), 100 + number)
    got = dict(executor.next() for _ in whats)
    assert sorted(got) == list(range(len(whats)))
    return {what: got[number] for number, what in enumerate(whats)}


@pytest.mark.parametrize("workers", [0, 2])
def test_bars_reach_what_evaluates(workers: int) -> None:
    pool: Executor = ProcessPool(racing, workers) if workers else InProcess(racing)
    with toy_run(None) as run:
        run_trials(run, propose_bars, pool, objective, 8)
        pool.close()
        found = run.finished()
    assert {record.state for record in found} == {"complete", "stopped"}
    for record in found:
        assert record.bars == ((0.25, 0.3), (0.5, 0.5))
        expected = racing(record.spec, record.seed, record.bars)  # type: ignore[arg-type]
        assert (record.stopped or record.evaluation) == expected


def check(outcome: Evaluation | Failure, expected: tuple[str, str] | None) -> None:
    if expected is None:
        assert isinstance(outcome, Evaluation)
        assert outcome.accuracy == 0.5
        return
    assert isinstance(outcome, Failure)
    assert outcome.kind == expected[0]
    assert expected[1] in outcome.reason
    assert "\n" not in outcome.reason


def test_in_process() -> None:
    with InProcess(behave) as executor:
        for what, outcome in submit_all(executor, list(OUTCOMES)).items():
            check(outcome, OUTCOMES[what])
        with pytest.raises(ValueError, match="in flight"):
            executor.next()


def test_in_process_ctrl_c_passes_through() -> None:
    def interrupted(spec: Any, seed: int) -> float:
        raise KeyboardInterrupt

    executor = InProcess(interrupted)
    executor.submit(0, Toy(1, 1.0), 1)
    with pytest.raises(KeyboardInterrupt):
        executor.next()


def test_a_failure_carries_its_traceback() -> None:
    failed = submit_all(InProcess(behave), ["raise"])["raise"]
    assert "trials_helpers.py" in failed.traceback
    assert failed.seconds >= 0


def test_processes_survive_everything() -> None:
    expected = {**OUTCOMES, **DEATHS}
    with ProcessPool(behave, 2) as pool:
        for what, outcome in submit_all(pool, [*expected, "ok"]).items():
            check(outcome, expected[what])
        with pytest.raises(ValueError, match="in flight"):
            pool.next()
    assert set(expected) | {"hang"} == set(BEHAVIOURS)


def test_a_hang_is_killed_and_the_next_trial_runs() -> None:
    with ProcessPool(behave, 1, timeout=0.3) as pool:
        got = submit_all(pool, ["hang", "ok"])
    check(got["hang"], ("timeout", "0.3 s"))
    assert 0.3 <= got["hang"].seconds < 30
    check(got["ok"], None)


def test_poisoned_processes_are_replaced() -> None:
    with ProcessPool(behave, 1) as pool:
        handle = pool._handles[0]
        pids = [handle._process.pid]
        for what in ("ok", "poison", "oom", "raise"):
            submit_all(pool, [what])
            pids.append(handle._process.pid)
    assert pids[0] == pids[1]
    assert len({*pids[1:4]}) == 3
    assert pids[3] == pids[4]


def test_a_worker_killed_while_idle_is_replaced() -> None:
    with ProcessPool(behave, 1) as pool:
        check(submit_all(pool, ["ok"])["ok"], None)
        process = pool._handles[0]._process
        process.kill()
        process.join()
        pool.submit(5, Toy(1, 1.0, "ok"), 1)
        number, outcome = pool.next()
        # Handed to the dead worker, the trial may be lost with it, and would be retried.
        assert number == 5
        assert isinstance(outcome, Evaluation) or outcome.kind == "worker died"
        check(submit_all(pool, ["ok"])["ok"], None)


def test_what_cannot_be_sent_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="workers=1"):
        ProcessPool(lambda spec, seed: 0.5, 2)


def test_what_cannot_be_loaded_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone_in_workers.py").write_text("def evaluate(spec, seed):\n    return 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from gone_in_workers import evaluate

    monkeypatch.undo()  # the workers' path is without it
    assert pickle.dumps(evaluate)
    with ProcessPool(evaluate, 1) as pool, pytest.raises(ValueError, match="gone_in_workers"):
        submit_all(pool, ["ok"])


def test_a_script_without_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.support.trials_helpers import Toy, behave\n"
        "from trials.workers.pool import ProcessPool\n"
        "pool = ProcessPool(behave, 1)\n"
        "pool.submit(0, Toy(1, 1.0), 1)\n"
        "pool.next()\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert '`if __name__ == "__main__":`' in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"workers": 1, "timeout": 0},
        {"workers": 1, "timeout": float("nan")},
        {"workers": 1, "devices": []},
    ],
)
def test_settings_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"positive|devices"):
        ProcessPool(behave, **options)


def test_workers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "17")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    for name in ("CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    with ProcessPool(environment_of, 2, threads=3, devices=["cuda:0", "cuda:1"]) as pool:
        # Both must be up, or the first one takes all.
        while not all(handle.idle for handle in pool._handles):
            pool._wait()
        got = submit_all(pool, ["ok", "fine"])
    details = [outcome.details for outcome in got.values()]
    assert sorted(item.pop("CUDA_VISIBLE_DEVICES") for item in details) == ["0", "1"]
    memory = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    assert details == [{"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", **memory}] * 2
    assert os.environ["OMP_NUM_THREADS"] == "17"
    assert "MKL_NUM_THREADS" not in os.environ
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize("name", ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"])
def test_what_the_allocator_was_told_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "max_split_size_mb:64")
    assert "PYTORCH_CUDA_ALLOC_CONF" not in thread_variables(1)


def test_workers_take_no_more_threads_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.workers.environment.cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_each(workers) for workers in (1, 3, 16)] == [8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [threads_each(workers) for workers in (1, 3, 16)] == [2, 2, 1]
    for nothing in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nothing)
        assert threads_each(2) == 4


def test_devices_are_those_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5")
    assert device_variables("cuda:1") == {"CUDA_VISIBLE_DEVICES": "GPU-5"}
    assert device_variables("cuda") == {"CUDA_VISIBLE_DEVICES": "2"}
    assert device_variables("cpu") == {"CUDA_VISIBLE_DEVICES": ""}
    for wrong in ("cuda:2", "tpu", "cuda:x"):
        with pytest.raises(ValueError, match=wrong):
            device_variables(wrong)


def test_workers_leave_ctrl_c_to_the_driver() -> None:
    with ProcessPool(behave, 1) as pool:
        check(submit_all(pool, ["ok"])["ok"], None)
        pid = pool._handles[0]._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        time.sleep(0.1)
        check(submit_all(pool, ["ok"])["ok"], None)
        assert pool._handles[0]._process.pid == pid


def test_closing_ends_idle_and_busy_workers() -> None:
    pool = ProcessPool(behave, 2)
    check(submit_all(pool, ["ok"])["ok"], None)
    pool.submit(1, Toy(1, 1.0, "hang"), 1)
    processes = [handle._process for handle in pool._handles]
    begun = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - begun < 20
    assert not any(process.is_alive() for process in processes)


def test_evaluations_use_several_processes() -> None:
    with ProcessPool(pid_of, 2) as pool:
        while not all(handle.idle for handle in pool._handles):
            pool._wait()
        got = submit_all(pool, ["a", "b"])
    assert len({outcome.details["pid"] for outcome in got.values()} | {os.getpid()}) == 3


def test_a_program_from_standard_input_is_told_to_become_a_file() -> None:
    program = (
        "from trials.workers.pool import ProcessPool\n"
        "def evaluate(spec, seed):\n    return 0.5\n"
        "ProcessPool(evaluate, 2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, check=False
    )
    assert "ValueError: worker processes cannot load a program that is no file" in done.stderr
    assert "save it as a script, or use workers=1" in done.stderr
