"""The Ray executor on a real cluster: nodes that die, failures, data sent once, Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import optuna
import pytest

from tests.support.command import assert_refused, in_process
from tests.support.trials_helpers import (
    Noted,
    Toy,
    accuracy,
    behave,
    objective,
    propose,
    propose_bars,
    racing,
    toy_run,
)
from trials.loop import run_trials
from trials.record import Evaluation, Failure
from trials.store.study import Proposal, Record, Run
from trials.workers.environment import sharers
from trials.workers.pool import InProcess
from trials.workers.ray_cluster import check_ray, room
from trials.workers.ray_pool import RayPool

ROOT = Path(__file__).parents[2]

needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="no extra ray")


def on_ray(test: Any) -> Any:
    return pytest.mark.ray(pytest.mark.slow(needs_ray(test)))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node with one processor and, as far as Ray knows, one GPU."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    made.shutdown()


def node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def all_ready(pool: RayPool) -> None:
    while not all(handle.idle for handle in pool._handles):
        pool._wait()


def decision(record: Record) -> tuple[Any, ...]:
    return record.number, record.params, record.spec, record.seed, record.values


class Stuck:
    """An evaluation that never ends on one of the nodes."""

    def __init__(self, node: str) -> None:
        self.node = node

    def __call__(self, spec: Toy, seed: int) -> float:
        if node_id() == self.node:
            time.sleep(600)
        return accuracy(spec, seed)


@on_ray
def test_a_node_dies_and_nothing_is_lost_or_doubled(cluster: Any) -> None:
    node = cluster.add_node(num_cpus=1)
    seen: list[int] = []

    def kill_after_three(record: Record) -> None:
        seen.append(record.number)
        if len(seen) == 3:
            cluster.remove_node(node, allow_graceful=False)

    with toy_run(None) as run, RayPool(Stuck(node.node_id), address=cluster.address) as pool:
        assert pool.workers == 2
        all_ready(pool)  # else the head node might be done before the other one has begun
        run_trials(run, propose, pool, objective, 12, on_result=kill_after_three)
        found = run.finished()
    with toy_run(None) as run:
        run_trials(run, propose, InProcess(accuracy), objective, 12)
        expected = run.finished()
    assert sorted(seen) == list(range(12))
    assert [decision(record) for record in found] == [decision(record) for record in expected]
    retried = [record.retried for record in found if record.retried is not None]
    assert [failure.kind for failure in retried] == ["worker died"]


class Carrier:
    """Counts in the driver how often it is sent; says on a node what it sees there."""

    sent = 0

    def __init__(self) -> None:
        self.pixels = np.arange(1 << 20, dtype=np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        Carrier.sent += 1
        return self.__dict__

    def __call__(self, spec: Toy, seed: int) -> Evaluation:
        details = {
            "node": node_id(),
            "own": bool(self.pixels.flags.owndata or self.pixels.flags.writeable),
            "sum": int(self.pixels.sum()),
        }
        return Evaluation(0.5, seed=seed, seconds=0.0, details=details)


@on_ray
def test_what_evaluate_carries_is_sent_once(cluster: Any) -> None:
    node = cluster.add_node(num_cpus=1)
    carrier, Carrier.sent = Carrier(), 0
    with RayPool(carrier, 2, address=cluster.address) as pool:
        all_ready(pool)
        for number in range(8):
            pool.submit(number, Toy(1, 0.5), number)
        outcomes = [pool.next()[1] for _ in range(8)]
    cluster.remove_node(node)
    assert Carrier.sent == 1
    details = [outcome.details for outcome in outcomes if isinstance(outcome, Evaluation)]
    assert len({item.pop("node") for item in details}) == 2
    # The array is a view of the node's object store, which all of its workers read.
    assert details == [{"own": False, "sum": int(carrier.pixels.sum())}] * 8


@on_ray
def test_a_training_is_the_same_on_a_node(cluster: Any) -> None:
    from models.families import family
    from training.options import add_options, executor, prepare

    parser = ArgumentParser()
    add_options(parser)
    args = parser.parse_args(
        ["--data", "digits", "--proxy-images", "64", "--proxy-epochs", "1", "--device", "cpu",
         "--executor", "ray", "--ray-address", cluster.address]
    )  # fmt: skip
    evaluator, _ = prepare(args)
    spec = replace(family("mobilenet-v2"), classes=10, in_channels=1)
    here = evaluator(spec, 3)
    with closing(executor(args, evaluator)) as pool:
        pool.submit(0, spec, 3)
        _, there = pool.next()
    assert isinstance(there, Evaluation), there
    assert (there.accuracy, there.loss, there.details) == (here.accuracy, here.loss, here.details)


@on_ray
def test_bars_reach_a_node(cluster: Any) -> None:
    with toy_run(None) as run, RayPool(racing, address=cluster.address) as pool:
        run_trials(run, propose_bars, pool, objective, 8)
        found = run.finished()
    assert {record.state for record in found} == {"complete", "stopped"}
    for record in found:
        expected = racing(record.spec, record.seed, record.bars)  # type: ignore[arg-type]
        assert (record.stopped or record.evaluation) == expected


def propose_badly(trial: optuna.Trial, run: Run) -> Proposal:
    return Proposal(Toy(1, 0.5, ("ok", "raise", "kill", "hang")[trial.number]))


@on_ray
def test_what_goes_wrong_is_a_failure(cluster: Any) -> None:
    with toy_run(None) as run, RayPool(behave, address=cluster.address, timeout=1.5) as pool:
        run_trials(run, propose_badly, pool, objective, 4)
        complete, raised, killed, hung = run.finished()
    assert complete.values == (0.5,)
    failures = [record.failure for record in (raised, killed, hung)]
    assert [failure and failure.kind for failure in failures] == [
        "exception",
        "worker died",
        "timeout",
    ]
    assert isinstance(failures[0], Failure)
    assert failures[0].reason == "KeyError: 'no such layer'"
    assert "trials_helpers.py" in failures[0].traceback
    assert raised.retried is None
    assert [record.retried and record.retried.kind for record in (killed, hung)] == [
        "worker died",
        "timeout",
    ]


def surroundings(spec: Toy, seed: int) -> Evaluation:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    details: dict[str, Any] = {name: os.environ.get(name) for name in names}
    details["sharers"] = [sharers(of_device=False), sharers(of_device=True)]
    return Evaluation(0.5, seed=seed, seconds=0.0, details=details)


@on_ray
@pytest.mark.parametrize(("gpus", "workers", "visible"), [(0.0, 1, ""), (0.5, 2, "0")])
def test_a_worker_has_its_share(cluster: Any, gpus: float, workers: int, visible: str) -> None:
    with RayPool(surroundings, address=cluster.address, gpus=gpus) as pool:
        assert pool.workers == workers
        pool.submit(0, Toy(1, 0.5), 0)
        _, outcome = pool.next()
    assert isinstance(outcome, Evaluation)
    assert outcome.details == {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": visible,
        "sharers": [workers, workers],
    }


@on_ray
def test_a_cluster_without_room_is_refused(cluster: Any) -> None:
    with pytest.raises(ValueError, match="2 GPUs"):
        RayPool(behave, address=cluster.address, gpus=2)
    with pytest.raises(ValueError, match="pickled"):
        RayPool(partial(behave, Lock()), address=cluster.address)


@on_ray
def test_what_a_node_cannot_load_is_refused_with_the_remedy(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone_on_nodes.py").write_text("def evaluate(spec, seed):\n    return 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from gone_on_nodes import evaluate

    monkeypatch.undo()  # the workers' path is without it
    with RayPool(evaluate, address=cluster.address) as pool:
        pool.submit(0, Toy(1, 0.5), 0)
        with pytest.raises(ValueError, match=r"every node needs[^!]*gone_on_nodes"):
            pool.next()


def search(argv: Any) -> None:
    with toy_run(Path(argv[0]) / "run") as run, RayPool(Noted(Path(argv[0]), 600), 2) as pool:
        run_trials(run, propose, pool, objective, 6)


def processes_of(session: int) -> list[str]:
    """Commands of a session's processes that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, sid = stat.read_text().rpartition(") ")[2].split()[:4]
            if int(sid) == session and state != "Z":
                found.append(stat.with_name("cmdline").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return found


@on_ray
def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    """On a Ray of the driver's own, whose processes share its session."""
    code = (
        "import sys; from common.command import run; from tests.trials.test_ray import search; "
        "sys.exit(run(search, sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as driver:
        try:
            while len([path for path in tmp_path.iterdir() if path.name.isdigit()]) < 2:
                assert driver.poll() is None, driver.communicate()[1]
                time.sleep(0.01)
            assert len(processes_of(driver.pid)) > 4
            os.killpg(driver.pid, signal.SIGINT)
            _, said = driver.communicate(timeout=60)
        finally:
            driver.kill()
    assert driver.returncode == 130, said
    assert "Traceback" not in said
    assert processes_of(driver.pid) == []
    with toy_run(tmp_path / "run", resume=True) as run:
        run_trials(run, propose, InProcess(accuracy), objective, 6)
        assert [record.number for record in run.finished()] == list(range(6))


@needs_ray
@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:99999", "127.0.0.1:1"])
def test_an_address_where_nothing_answers(address: str) -> None:
    with pytest.raises(ValueError, match=f"{address}"):
        check_ray(address, 0.0)


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trials.workers.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'evenscale\[ray\]'"):
        RayPool(behave, 1)


def test_room() -> None:
    def node(cpus: float, gpus: float, alive: bool = True) -> dict[str, Any]:
        return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}

    nodes = [node(4, 3), node(2, 1), node(8, 8, alive=False), {"Alive": True, "Resources": {}}]
    assert room(nodes, 0.0) == 6
    assert [room(nodes, gpus) for gpus in (1, 0.5, 0.75, 0.3, 0.1, 2)] == [4, 8, 4, 12, 40, 1]
    with pytest.raises(ValueError, match="4 GPUs"):
        room(nodes, 4)


@needs_ray
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ray-address", "head:6379"], "--executor ray"),
        (["--gpus-per-trial", "0.5"], "--executor ray"),
        (["--executor", "ray", "--ray-address", "127.0.0.1:1"], "127.0.0.1:1"),
        (["--executor", "ray", "--gpus-per-trial", "0"], "above 0, got 0"),
        (["--executor", "ray", "--gpus-per-trial", "1.5"], "whole number"),
        (
            ["--executor", "ray", "--gpus-per-trial", "1", "--device", "cpu"],
            "not cpu",
        ),
    ],
)
def test_options_are_checked_first(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nas.search.__main__ import main

    done = in_process(main, ["--data", "digits", "--out", tmp_path / "run", *options], capsys)
    assert_refused(done, message)
    assert not (tmp_path / "run").exists()
