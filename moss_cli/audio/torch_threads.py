"""In how many threads torch computes: OpenMP keeps that for each thread of the program by itself.

A thread that computes for the first time takes what any other has set last. So whoever cares sets it where it computes,
and what torch takes by itself has to be asked before anybody sets anything: here.
"""

from __future__ import annotations

import threading
from functools import lru_cache

_ONE_ASKS = threading.Lock()


def usual_threads() -> int:
    """As many as torch takes by itself: the cores, or what OMP_NUM_THREADS says."""
    with _ONE_ASKS:
        return _first_seen()


@lru_cache(maxsize=1)
def _first_seen() -> int:
    import torch

    return torch.get_num_threads()
