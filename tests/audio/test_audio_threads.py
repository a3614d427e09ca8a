"""Files that are read in several threads at once, as a server reads them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import soundfile

from moss_cli.audio.decode import load


def test_stderr_is_as_before_when_several_threads_have_read_mp3(tmp_path: Path) -> None:
    """It is muted while libmpg123 reads, for the whole process."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 16_000), 16_000, format="MP3")
    right, found, before = load(path).samples.tobytes(), list[bytes](), os.fstat(2)

    def read() -> None:
        found.extend(load(path).samples.tobytes() for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.path.samestat(os.fstat(2), before)
    assert found == [right] * 80
