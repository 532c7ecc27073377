"""Durability: searches killed at random points, resumed, and compared with undisturbed ones.

The random points are drawn from fixed seeds, over the journal's writes rather than over time.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.trials_helpers import Toy, drive, objective, propose, stamped, toy_run
from trials.loop import run_trials
from trials.store.journal import Backend
from trials.store.study import Record, read_run
from trials.workers.pool import InProcess

TRIALS = 12
WRITES = 121  # of an undisturbed run of so many trials
ROOT = Path(__file__).parents[2]


def undisturbed(sampler: str) -> list[tuple[Any, ...]]:
    with toy_run(None, sampler) as run:
        run_trials(run, propose, InProcess(stamped), objective, TRIALS)
        return [decision(record) for record in run.finished()]


def decision(record: Record) -> tuple[Any, ...]:
    return record.number, record.params, record.spec, record.seed, record.values


def finished(run_dir: Path) -> list[Record]:
    return read_run(run_dir, from_json=Toy.from_json).finished()


def in_child(work: Callable[[], object]) -> int:
    """Run in a forked child; its wait status."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1])


def fork(work: Callable[[], object]) -> int:
    """The pid of a child that runs it; unlike a fresh process, it starts in milliseconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside idle BLAS threads
        pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return pid


def break_write(at: int, cut: float, end: Callable[[], None]) -> None:
    """Stop this process's `at`-th journal write after the `cut` part of its line, then `end`."""
    whole = Backend.write
    count = 0

    def append(self: Backend, logs: list[dict[str, Any]]) -> None:
        nonlocal count
        count += 1
        if count != at:
            return whole(self, logs)
        line = json.dumps(logs[0], separators=(",", ":")).encode() + b"\n"
        with self.path.open("ab") as file:
            file.write(line[: round(cut * len(line))])
        return end()

    Backend.write = append


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def check_same(run_dir: Path, before: list[Record], sampler: str) -> None:
    after = finished(run_dir)
    assert [decision(record) for record in after] == undisturbed(sampler)
    # The nonce in each evaluation shows that nothing finished was trained again.
    assert [record for record in after if record in before] == before


@pytest.mark.parametrize("seed", range(36))
def test_killed_at_a_random_write(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    sampler = ("random", "tpe", "multivariate")[seed % 3]
    run_dir = tmp_path / "run"
    before: list[Record] = []
    for _ in range(rng.randint(1, 3)):
        # Whole, absent or torn anywhere: the line being written when the end came.
        at, cut = rng.randint(2, WRITES // 2), rng.choice([0.0, 1.0, rng.random(), rng.random()])

        def killed(at: int = at, cut: float = cut) -> None:
            break_write(at, cut, die)
            drive(run_dir, TRIALS, sampler, resume=run_dir.exists())

        status = in_child(killed)
        assert status in (-signal.SIGKILL, 0)  # 0: it was done before its `at`-th write
        found = finished(run_dir)
        assert [record for record in found if record in before] == before
        before = found
    assert in_child(lambda: drive(run_dir, TRIALS, sampler, resume=True)) == 0
    check_same(run_dir, before, sampler)


@pytest.mark.parametrize("seed", range(6))
def test_disk_full_at_a_random_write(seed: int, tmp_path: Path) -> None:
    rng = random.Random(1000 + seed)
    run_dir = tmp_path / "run"
    at, cut = rng.randint(2, WRITES - 5), rng.random()

    def no_space() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full() -> None:
        break_write(at, cut, no_space)
        with pytest.raises(OSError, match=r"No space left.*every finished") as caught:
            drive(run_dir, TRIALS, "tpe")
        assert caught.value.errno == errno.ENOSPC
        assert "journal.log" in str(caught.value)

    assert in_child(full) == 0
    before = finished(run_dir)
    drive(run_dir, TRIALS, "tpe", resume=True)
    check_same(run_dir, before, "tpe")


@pytest.mark.parametrize("seed", range(4))
def test_a_journal_cut_anywhere_is_taken_up(seed: int, tmp_path: Path) -> None:
    """What a power cut may leave of the last write, at the byte level."""
    run_dir = tmp_path / "run"
    drive(run_dir, 4, "tpe")
    rng = random.Random(2000 + seed)
    journal = run_dir / "journal.log"
    whole = journal.read_bytes()
    header = whole.index(b"\n") + 1
    journal.write_bytes(whole[: rng.randint(header, len(whole))])
    drive(run_dir, TRIALS, "tpe", resume=True)
    assert [decision(record) for record in finished(run_dir)] == undisturbed("tpe")


def start(run_dir: Path, *more: str, trials: int = 24) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.support.trials_helpers",
        str(run_dir),
        str(trials),
        "2",
        *more,
    ]
    return subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True,
        # A shell starts background jobs with SIGINT ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def wait_for_bytes(journal: Path, size: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not (journal.exists() and journal.stat().st_size >= size):
        time.sleep(0.002)


def worker_pids(directory: Path) -> list[int]:
    return [int(path.name) for path in directory.iterdir() if path.name.isdigit()]


def all_gone(pids: list[int], seconds: float = 30.0) -> bool:
    """Whether the processes end by themselves; a zombie nobody has waited for has ended too."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stats = [Path(f"/proc/{pid}/stat") for pid in pids]
        alive = [stat for stat in stats if stat.exists() and ") Z " not in stat.read_text()]
        if not alive:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("victim", ["driver", "group", "worker"])
def test_killed_with_workers(victim: str, tmp_path: Path) -> None:
    rng = random.Random(victim)
    run_dir = tmp_path / "run"
    before: list[Record] = []
    for attempt in range(2):
        process = start(run_dir, *(["--resume"] if attempt else []))
        journal = run_dir / "journal.log"
        size = journal.stat().st_size if journal.exists() else 0
        wait_for_bytes(journal, size + rng.randint(5_000, 14_000), process)
        if victim == "worker":
            known = worker_pids(tmp_path)
            os.kill(rng.choice(known), signal.SIGKILL)
            break
        (os.killpg if victim == "group" else os.kill)(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert all_gone(worker_pids(tmp_path))
        found = finished(run_dir)
        assert [record for record in found if record in before] == before
        before = found
    else:
        process = start(run_dir, "--resume")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    after = finished(run_dir)
    assert [record.number for record in after] == list(range(24))
    assert {record.state for record in after} == {"complete"}
    assert [record for record in after if record in before] == before
    assert all_gone(worker_pids(tmp_path))
    if victim == "worker":
        assert [record.retried.kind for record in after if record.retried] in (
            ["worker died"],
            [],  # it was between two trials
        )


def test_busy_workers_die_with_their_driver(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "from tests.support.trials_helpers import Noted, Toy\n"
        "from trials.workers.pool import ProcessPool\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPool(Noted(pathlib.Path(sys.argv[1]), 600), 2)\n"
        "    for number in range(2):\n"
        "        pool.submit(number, Toy(1, 1.0), 1)\n"
        "    pool.next()\n"
    )
    path = tmp_path / "script.py"
    path.write_text(script)
    pids = tmp_path / "pids"
    pids.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([sys.executable, str(path), str(pids)], env=environment)
    while len(worker_pids(pids)) < 2 and driver.poll() is None:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    assert len(worker_pids(pids)) == 2
    gone = all_gone(worker_pids(pids))
    if not gone:  # leave none behind
        for pid in worker_pids(pids):
            os.kill(pid, signal.SIGKILL)
    assert gone


def test_ctrl_c_in_a_terminal(tmp_path: Path) -> None:
    """It reaches the whole group: the driver ends with the study safe, nobody else complains."""
    run_dir = tmp_path / "run"
    process = start(run_dir, trials=100_000)  # not done before the signal comes
    wait_for_bytes(run_dir / "journal.log", 3_000, process)
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()  # a search that does not end must not trouble the tests after this one
    assert process.returncode in (130, -signal.SIGINT, 1)
    assert said.count("Traceback") == 1, said
    assert "KeyboardInterrupt" in said
    assert all_gone(worker_pids(tmp_path))
    with toy_run(run_dir, "tpe", resume=True) as run:
        enough = run.started() + 20
        run_trials(run, propose, InProcess(stamped), objective, enough)
        assert [record.number for record in run.finished()] == list(range(enough))


def test_the_second_driver_is_refused(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    first = start(run_dir)
    wait_for_bytes(run_dir / "journal.log", 1_000, first)
    second = start(run_dir, "--resume")
    _, said = second.communicate(timeout=60)
    if first.poll() is None:  # else it was done before the second one looked
        assert second.returncode == 1
        assert f"pid {first.pid}" in said.splitlines()[-1]
    first.communicate(timeout=60)
    assert len(finished(run_dir)) == 24
