"""What a server is started with."""

from __future__ import annotations

from dataclasses import dataclass, field

from moss_cli.models.registry import Resolved
from moss_cli.run.job import Job

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What the server takes on. What is beyond is refused at once, with a status that says why.

    `max_upload_bytes` is that of a file to transcribe, which lies on the disk; a chat's body, of `max_json_bytes` at
    most, lies in memory, and all of them together have `max_json_bytes_together`. `max_requests` are in work or waiting
    at most. `timeout_s` is for one request, its waiting included, and `stall_s` for a client that sends nothing more of
    its body.
    """

    max_upload_bytes: int = 1_000_000_000  # chosen: a day of MP3, or 9 hours of 16 kHz WAV
    max_json_bytes: int = 64 * MIB  # 10 minutes of float32 WAV at 16 kHz, the longest clip, are 49 MiB in base64
    max_json_bytes_together: int = 512 * MIB  # chosen
    max_requests: int = 256  # chosen
    timeout_s: float = 3600.0  # chosen
    stall_s: float = 60.0  # chosen


@dataclass(frozen=True)
class ServeConfig:
    """One server: what it answers with, and who may ask what of it.

    `job`: the model and everything that a request does not say. `hosts`: the names under which the server may be
    addressed, in lower case; None for any, where a token is asked for anyway. `keep_alive_s`: how long the weights stay
    in memory while nothing is asked; None for as long as it runs.
    """

    job: Job
    token: str | None = None
    hosts: frozenset[str] | None = None
    keep_alive_s: float | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def model(self) -> Resolved:
        return self.job.model
