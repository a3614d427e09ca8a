"""What the server counts, as Prometheus reads it (text format 0.0.4)."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from moss_cli.answers import Cost
from moss_cli.serve.engine_work import Load

BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # of a request's time


class Metrics:
    """Counts since the server was started. Used from one thread."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds = 0.0
        self._within: Counter[float] = Counter()
        self._n_timed = 0
        self._cost = Cost()
        self._audio_s = 0.0
        self.n_cancelled = 0

    def responded(self, route: str, status: int, seconds: float) -> None:
        """A request was responded to."""
        self._requests[route, status] += 1
        self._seconds += seconds
        self._n_timed += 1
        self._within.update(bucket for bucket in BUCKETS_S if seconds <= bucket)

    def refused_in_stream(self, status: int) -> None:
        """A stream that had begun well ended with an error."""
        self._requests["stream", status] += 1

    def answered(self, cost: Cost, audio_s: float) -> None:
        """An answer is there."""
        self._cost += cost
        self._audio_s += audio_s

    def text(self, load: Load, *, n_requests: int, n_loads: int) -> str:
        """All figures. `n_requests` are in work or waiting; the model was loaded `n_loads` times."""
        lines: list[str] = []

        def family(name: str, kind: str, help: str, samples: Mapping[str, float]) -> None:
            lines.append(f"# HELP moss_{name} {help}")
            lines.append(f"# TYPE moss_{name} {kind}")
            lines.extend(f"moss_{name}{labels} {value:.15g}" for labels, value in samples.items())

        requests = {
            f'{{route="{route}",status="{status}"}}': n for (route, status), n in sorted(self._requests.items())
        }
        family("requests_total", "counter", "Requests by route and HTTP status.", requests)
        family("cancelled_total", "counter", "Requests whose client went away.", {"": self.n_cancelled})
        within = {f'_bucket{{le="{bucket:g}"}}': float(self._within[bucket]) for bucket in BUCKETS_S}
        within |= {'_bucket{le="+Inf"}': self._n_timed, "_sum": self._seconds, "_count": self._n_timed}
        family("request_seconds", "histogram", "Time that requests took.", within)
        family("requests_open", "gauge", "Requests in work or waiting.", {"": n_requests})
        family("queue", "gauge", "Clips and requests that wait for a slot.", {"": load.n_waiting})
        family("slots", "gauge", "Requests that can be decoded together.", {"": load.n_slots})
        family("slots_busy", "gauge", "Requests that are being decoded.", {"": load.n_active})
        family("prompt_tokens_total", "counter", "Tokens read, audio included.", {"": self._cost.prompt})
        family("generated_tokens_total", "counter", "Tokens of answers.", {"": self._cost.generated})
        family("audio_seconds_total", "counter", "Audio in answered requests.", {"": self._audio_s})
        family("model_loaded", "gauge", "1 if the weights are in memory.", {"": load.is_loaded})
        family("model_loads_total", "counter", "How often the weights were loaded.", {"": n_loads})
        family("resident_memory_bytes", "gauge", "Memory of the process.", {"": resident_bytes()})
        family("start_time_seconds", "gauge", "When the server was started.", {"": self.started_at})
        return "\n".join(lines) + "\n"


def resident_bytes() -> int:
    """Memory that the process has now; where the system does not say, the most that it had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()
