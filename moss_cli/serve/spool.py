"""What clients send as audio, as a file without a name: it is gone with the process, however that ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from moss_cli.audio.decode import load
from moss_cli.audio.results import Audio
from moss_cli.errors import MossError
from moss_cli.serve.refusals import refusal_of


def path_of(file: IO[bytes]) -> Path:
    """A path under which an open file without a name can be opened once more."""
    return Path(f"/dev/fd/{file.fileno()}")


@contextmanager
def spooled(data: bytes) -> Iterator[Path]:
    """A file of these bytes, until the context is left. Raises OSError where there is no room for it."""
    with tempfile.TemporaryFile(prefix="moss-") as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield path_of(file)


def decoded(data: bytes, *, max_duration_s: float, param: str) -> Audio:
    """The samples of an audio file's bytes. Raises Refusal where they are none or last too long, OSError where there
    is no room for them."""
    with spooled(data) as path:
        try:
            return load(path, max_duration_s=max_duration_s)
        except MossError as error:
            raise refusal_of(error, hides=str(path), param=param) from error
