"""What a decode step consists of: how many kernels are launched, and which take the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile

from moss_cli.bench.measure import N_TEXT, random_prompt
from moss_cli.bench.subject import Subject
from moss_cli.engine.decoding import Decoding
from moss_cli.engine.row import DecodeRequest

N_WARM = 4
N_STEPS = 8
N_KERNELS = 12  # that are listed


@dataclass(frozen=True)
class KernelTime:
    """A kernel's name, and its time and number of calls in a step."""

    name: str
    seconds: float
    calls: float


@dataclass(frozen=True)
class StepProfile:
    """Of a step of one row. `launches`: calls by which the processor starts work on the device, a replayed graph being
    one; on a CPU, operators called. `kernels`: those that take longest."""

    launches: float
    kernels: tuple[KernelTime, ...]


def profile_steps(subject: Subject) -> StepProfile:
    """Profile a few decode steps of one row."""
    model = subject.model
    on_cuda = model.device.type == "cuda"
    decoding = Decoding(model, frozenset(), n_slots=1)
    decoding.submit(DecodeRequest(random_prompt(model, None, N_TEXT, seed=0), N_WARM + N_STEPS + 4))
    for _ in range(N_WARM):
        decoding.step()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as found:
        for _ in range(N_STEPS):
            decoding.step()
    return _summed(found.key_averages(), on_cuda=on_cuda)


def _summed(events: Any, *, on_cuda: bool) -> StepProfile:
    is_launch = _is_cuda_launch if on_cuda else _is_operator
    launches = sum(event.count for event in events if is_launch(event.key))
    kernels = [event for event in events if (event.device_type.name == "CUDA") == on_cuda]
    times = [KernelTime(event.key, _seconds(event, on_cuda) / N_STEPS, event.count / N_STEPS) for event in kernels]
    times.sort(key=lambda one: -one.seconds)
    return StepProfile(launches / N_STEPS, tuple(times[:N_KERNELS]))


def _is_cuda_launch(name: str) -> bool:
    return name.startswith(("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync"))


def _is_operator(name: str) -> bool:
    return "::" in name


def _seconds(event: Any, on_cuda: bool) -> float:
    """Its own time, without what it calls."""
    return float(event.self_device_time_total if on_cuda else event.self_cpu_time_total) / 1e6
