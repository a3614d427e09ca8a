"""Which cluster a job runs on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster, and how it is used.

    `address`: "auto", "local" or host:port. `n_workers` None: one a GPU, or without any one a node. `collects`: nodes
    do not see the inputs, so their bytes are sent to them.
    """

    address: str = "auto"
    n_workers: int | None = None
    collects: bool = False
