"""A Ray cluster: connecting to it, and starting workers on it. The only module that imports ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moss_cli.cluster.options import ClusterOptions
from moss_cli.cluster.worker import Worker
from moss_cli.errors import DeviceError, MossError, UsageError
from moss_cli.run.job import Job

_CALLS_AT_ONCE = 4  # of a worker: its messages, which never end, and what it is told meanwhile


@dataclass(frozen=True)
class WorkerSize:
    """How many workers, and what each takes of its node."""

    n_workers: int
    n_cpus: int
    n_gpus: int


@contextmanager
def connected(options: ClusterOptions) -> Iterator[Cluster]:
    """A connection to a cluster. Raises UsageError without ray, DeviceError without a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine that was not asked for
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a worker without a GPU: devices are our affair
    try:
        import ray
    except ImportError as error:
        raise UsageError("--ray needs the package ray", hint="run `pip install 'moss-cli[ray]'`") from error
    if options.address.startswith("ray://"):
        raise UsageError("--ray takes no ray:// address", hint="run moss on a node of the cluster, with --ray auto")
    try:
        ray.init(address=options.address, log_to_driver=False, logging_level=logging.ERROR, namespace="moss")
    except Exception as error:
        reason = str(error).partition("\n")[0]
        hint = "start one with `ray start --head`, or name one: --ray HOST:PORT"
        raise DeviceError(f"no Ray cluster ({options.address}): {reason}", hint=hint, code="no_cluster") from error
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


class Cluster:
    """A connected cluster."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def size_of(self, job: Job, n_workers: int | None) -> WorkerSize:
        """How many workers there are to be for a job, and of which size. Raises DeviceError."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return worker_size(nodes, n_workers, on_gpus=job.device.startswith(("auto", "cuda")))

    def start(self, job: Job, size: WorkerSize) -> Any:
        """A new worker, on the node that has most room; it may take a while, or until there is room."""
        actor = self._ray.remote(Worker).options(
            num_cpus=size.n_cpus,
            num_gpus=size.n_gpus,
            max_concurrency=_CALLS_AT_ONCE,
            max_restarts=0,  # what it was given is given to others first
            scheduling_strategy="SPREAD",
        )
        return actor.remote(job)

    def stop(self, actor: Any) -> None:
        """End a worker at once."""
        self._ray.kill(actor)

    def messages(self, actor: Any) -> Any:
        """What a worker tells, to be waited for and read."""
        return actor.messages.options(num_returns="streaming").remote()

    def wait(self, what: Sequence[Any], timeout_s: float) -> list[Any]:
        """Those of `what` that something has come of."""
        ready: list[Any] = self._ray.wait(list(what), num_returns=1, timeout=timeout_s)[0]
        return ready

    def get(self, what: Any) -> Any:
        """What has come. Raises WorkerDied where its worker has, and what the worker has raised."""
        from ray.exceptions import RayError, RayTaskError

        try:
            if hasattr(what, "__next__"):
                return self._ray.get(next(what))
            return self._ray.get(what)
        except RayTaskError as error:
            cause = error.cause
            raise (cause if isinstance(cause, MossError) else WorkerDied(_first_line(error))) from error
        except (RayError, StopIteration) as error:
            raise WorkerDied(_first_line(error)) from error


class WorkerDied(Exception):
    """A worker is gone, with its node or alone."""


def worker_size(nodes: Sequence[dict[str, float]], n_workers: int | None, *, on_gpus: bool) -> WorkerSize:
    """Workers for the resources of some nodes, as Ray names them. Raises DeviceError where there are none."""
    n_gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if on_gpus and n_gpus:
        return WorkerSize(min(n_workers or n_gpus, n_gpus), 1, 1)
    n_cpus = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    if not n_cpus:
        raise DeviceError("the nodes of the Ray cluster have neither GPUs nor CPUs to give", code="no_cluster")
    n_workers = min(n_workers or len(n_cpus), sum(n_cpus))
    size = min(n_cpus)
    while size > 1 and sum(count // size for count in n_cpus) < n_workers:
        size -= 1
    return WorkerSize(n_workers, size, 0)


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
