"""Evaluations on a Ray cluster: other machines, or this one as a cluster of its own.

Every node needs the same Python, Ray and version of this package. Nothing else is expected of it:
`evaluate`, with whatever it carries, goes into Ray's object store once, and Ray copies it to each
node that runs a worker once, where all workers read the same memory.
"""

from __future__ import annotations

import os
import re
import socket
import traceback
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from common.host_memory import is_out_of_memory
from trials.record import Outcome, Rungs
from trials.workers.environment import device_variables, share_variables, thread_variables
from trials.workers.handle import Handle
from trials.workers.pool import Pool
from trials.workers.ray_cluster import check_ray, connect, per_gpu, room
from trials.workers.worker import Evaluate, attempt

if TYPE_CHECKING:
    from models.spec import ArchSpec
    from trials.workers.handle import Ended

# A node that has just died may be given new workers until the cluster notices.
_MOST_FALSE_STARTS = 10
_PARTING_SECONDS = 5.0


class RayPool(Pool["RayWorker"]):
    """`workers` evaluations at a time on the nodes of a Ray cluster.

    `address` is the cluster's ("host:6379", or "auto" on one of its nodes); None starts one on
    this machine. A process that is part of a cluster already stays in that one. A trial takes one
    CPU and uses one thread, or takes `gpus` GPUs and sees no others, as "cuda" (0.5: two trials
    share one).
    `workers` None is as many as the nodes have room for now; what is more than there is room for
    waits for nodes that join. An evaluation longer than `timeout` seconds is killed. A worker
    that dies, alone or with its node, is a `Failure` and is replaced wherever there is room.

    Raises ValueError where Ray is not installed, the cluster cannot be reached or has no such
    resources, and for an evaluate that cannot be pickled.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        workers: int | None = None,
        *,
        address: str | None = None,
        gpus: float = 0.0,
        timeout: float | None = None,
    ) -> None:
        super().__init__(1 if workers is None else workers, timeout)
        check_ray(address, gpus)
        self._ours = connect(address, workers)
        import ray

        try:
            most = room(ray.nodes(), gpus)
            self.workers = workers or most
            start = _starter(_put(evaluate), self.workers, gpus)
            self._handles += [RayWorker(start) for _ in range(self.workers)]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kill all workers, and leave the cluster or end the one that was started here."""
        import ray

        super().close()
        if self._ours:
            ray.shutdown()
            self._ours = False

    def _readable(self, seconds: float) -> Collection[RayWorker]:
        import ray

        waiting = [handle.answer for handle in self._handles if handle.answer is not None]
        ready, _ = ray.wait(waiting, num_returns=1, timeout=seconds)
        return [handle for handle in self._handles if handle.answer in ready]


class RayWorker(Handle):
    """A Ray actor; `start` makes one that waits for a place on some node."""

    _remedy = "every node needs the same version of this package, and of whatever evaluate imports"

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        super().__init__()

    def _spawn(self) -> None:
        self._actor = self._start()
        self.answer = self._actor.load.remote()

    def _send(self, spec: ArchSpec, seed: int, bars: Rungs) -> None:
        self.answer = self._actor.evaluate.remote(spec, seed, bars)

    def _destroy(self) -> None:
        import ray

        ray.kill(self._actor)

    def read(self, readable: bool) -> Ended | None:
        """Take what the worker has to say; the trial that ended by it, if one did."""
        if not readable:
            return None
        import ray

        answer, self.answer = self.answer, None
        try:
            tag, message = ray.get(answer)
        except ray.exceptions.RayError as error:
            return self._bury(error)
        return self._understand(tag, message)

    def hang_up(self) -> None:
        """Begin to end: at work or not, it is killed."""
        self._destroy()

    def end(self) -> None:
        """Wait until it is gone."""
        import ray

        ray.wait([self._actor.load.remote()], timeout=_PARTING_SECONDS)

    def _bury(self, error: Exception) -> Ended | None:
        if self._begun_badly(getattr(error, "actor_init_failed", False), _MOST_FALSE_STARTS):
            why = str(error).strip().splitlines()[-1]
            raise ValueError(f"a Ray worker ended before it could begin ({why}): {self._remedy}")
        kind = "out of memory" if is_out_of_memory(error) else "worker died"
        return self.kill(f"the Ray worker died ({_told(error)})", kind)


def _told(error: Exception) -> str:
    """What Ray says of a death, in one line, without the actor's particulars."""
    lines = [line for line in str(error).splitlines() if not re.match(r"\s+\w+: ", line)]
    return " ".join(" ".join(lines).split())[:300]


class _Worker:
    """What runs on a node: the actor's class."""

    def __init__(self, evaluate: list[Any], workers: int, gpus: float) -> None:
        # In a list, Ray leaves the reference to us, and what goes wrong can be said.
        self._reference = evaluate[0]
        self._workers, self._gpus = workers, gpus

    def load(self) -> tuple[str, str]:
        import ray

        mine = ray.get_runtime_context().get_node_id()
        node = next(item for item in ray.nodes() if item["NodeID"] == mine)
        on_host = min(self._workers, room([node], self._gpus))
        os.environ.update(share_variables(on_host, min(on_host, per_gpu(self._gpus))))
        try:
            self._evaluate: Evaluate = ray.get(self._reference)
        except Exception:
            return "unusable", f"on {socket.gethostname()}: {traceback.format_exc()}"
        return "ready", ""

    def evaluate(self, spec: ArchSpec, seed: int, bars: Rungs) -> tuple[str, Outcome]:
        return "done", attempt(self._evaluate, spec, seed, bars)


def _starter(evaluate: Any, workers: int, gpus: float) -> Callable[[], Any]:
    """How to make an actor; each has a process of its own, with the variables of a local worker."""
    import ray

    variables = thread_variables(1) | ({} if gpus else device_variables("cpu"))
    made = ray.remote(_Worker).options(
        num_cpus=0 if gpus else 1,
        num_gpus=gpus,
        max_restarts=0,
        runtime_env={"env_vars": variables},
    )
    return lambda: made.remote([evaluate], workers, gpus)


def _put(evaluate: Evaluate) -> Any:
    import ray

    try:
        return ray.put(evaluate)
    except Exception as error:
        raise ValueError(
            f"evaluate {evaluate!r:.200} cannot be sent to the nodes ({error}): make it a function "
            "or object whose parts can be pickled"
        ) from error
