"""Several trainings on one device: worker processes, NVIDIA's service for them, threads."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from models.spec import ArchSpec
from trials.record import Evaluation, Outcome
from trials.workers.pool import Executor, ProcessPool
from trials.workers.worker import Evaluate

Job = tuple[ArchSpec, int]
_DAEMON = "nvidia-cuda-mps-control"
_TICKETS = itertools.count()


def pool_of(
    evaluate: Evaluate, workers: int, device: str, timeout: float | None = None
) -> ProcessPool:
    """That many processes on the one device."""
    devices = ["cuda:0" if device == "cuda" else "cpu"]
    return ProcessPool(evaluate, workers, devices=devices, threads=1, timeout=timeout)


def as_they_end(
    workers: Executor, jobs: Sequence[Job], at_once: int
) -> Iterator[tuple[int, Outcome]]:
    """Each job's number and outcome; never more than ``at_once`` run.

    What an earlier call that was cut off has left with the workers comes back to nobody.
    """
    waiting, running = list(enumerate(jobs)), dict[int, int]()
    while waiting or running:
        while waiting and len(running) < at_once:
            number, (spec, seed) = waiting.pop(0)
            ticket = next(_TICKETS)
            workers.submit(ticket, spec, seed)
            running[ticket] = number
        ticket, outcome = workers.next()
        if ticket in running:
            yield running.pop(ticket), outcome


def seconds_of(workers: Executor, jobs: Sequence[Job], at_once: int) -> float:
    """Seconds until all of the jobs have ended. Raises RuntimeError for one that fails."""
    start = time.perf_counter()
    for _, outcome in as_they_end(workers, jobs, at_once):
        if not isinstance(outcome, Evaluation):
            raise RuntimeError(getattr(outcome, "traceback", "") or str(outcome))
    return time.perf_counter() - start


def seconds_in_threads(
    evaluate: Callable[[ArchSpec, int], Evaluation], jobs: Sequence[Job], device: str
) -> float:
    """The same with a thread for each job, its kernels on a stream of its own."""

    def one(job: Job) -> None:
        stream = torch.cuda.Stream() if device == "cuda" else None  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream) if stream else nullcontext():
            evaluate(*job)
        if stream:
            stream.synchronize()

    start = time.perf_counter()
    with ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(one, jobs))
    return time.perf_counter() - start


@contextmanager
def shared_by_service(folder: Path) -> Iterator[bool]:
    """Processes started in this block share the GPU by NVIDIA's multi-process service; False where
    the machine has none that works. It ends with the block; no setting of the card is touched."""
    daemon = shutil.which(_DAEMON)
    if daemon is None:
        yield False
        return
    folder.mkdir(parents=True, exist_ok=True)
    variables = {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}
    # In the foreground, and so among this process's group: it is killed with the step.
    service = subprocess.Popen([daemon, "-f"], env=os.environ | variables)
    os.environ |= variables
    try:
        time.sleep(1)
        works = _computes()
        if not works:
            for name in variables:
                del os.environ[name]
        yield works
    finally:
        try:
            there = os.environ | variables
            subprocess.run([daemon], input=b"quit -t 3\n", env=there, timeout=8, check=False)
            service.wait(5)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()
        for name in variables:
            os.environ.pop(name, None)


def _computes() -> bool:
    """Whether a new process can use the GPU."""
    line = [sys.executable, "-c", "import torch; torch.zeros(1, device='cuda').item()"]
    try:
        return subprocess.run(line, timeout=30, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
