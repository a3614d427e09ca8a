"""What a decode step consists of: how many kernels are launched, and which take the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from moss_cli.bench.measure import N_TEXT, random_prompt
from moss_cli.bench.subject import Subject
from moss_cli.engine.decoding import Decoding
from moss_cli.engine.row import DecodeRequest

N_WARM = 4
N_STEPS = 8
N_KERNELS = 12  # that are listed
_LAUNCHES = ("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")


@dataclass(frozen=True)
class KernelTime:
    """A kernel's name, and its time and number of calls in a step."""

    name: str
    seconds: float
    calls: float


@dataclass(frozen=True)
class StepProfile:
    """Of a step of one row.

    `launches`: calls by which the processor starts work on the device, a replayed graph being one; on a CPU, operators
    that compute something: each would be a launch at least. `kernels`: those that take longest.
    """

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
    launches = 0.0
    if not on_cuda:
        with _Computed() as computed:
            decoding.step()
        launches = float(computed.n_calls)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as found:
        for _ in range(N_STEPS):
            decoding.step()
    events = found.key_averages()
    if on_cuda:
        launches = sum(event.count for event in events if event.key.startswith(_LAUNCHES)) / N_STEPS
    return StepProfile(launches, _longest(events, on_cuda=on_cuda))


class _Computed(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that are called, but for views and empty tensors, for which nothing is computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operator, and count it."""
        made = func(*args, **(kwargs or {}))
        returned = [one.alias_info for one in func._schema.returns]
        is_view = any(alias is not None and not alias.is_write for alias in returned)
        self.n_calls += not is_view and "empty" not in func.name()
        return made


def _longest(events: Any, *, on_cuda: bool) -> tuple[KernelTime, ...]:
    kernels = [event for event in events if (event.device_type.name == "CUDA") == on_cuda]
    times = [KernelTime(event.key, _seconds(event, on_cuda) / N_STEPS, event.count / N_STEPS) for event in kernels]
    times.sort(key=lambda one: -one.seconds)
    return tuple(times[:N_KERNELS])


def _seconds(event: Any, on_cuda: bool) -> float:
    """Its own time, without what it calls."""
    return float(event.self_device_time_total if on_cuda else event.self_cpu_time_total) / 1e6
