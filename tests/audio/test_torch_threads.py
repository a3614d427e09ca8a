"""In how many threads torch computes by itself."""

from __future__ import annotations

import subprocess
import sys


def test_the_usual_number_is_what_torch_takes_before_anybody_sets_one() -> None:
    code = (
        "import torch\n"
        "from moss_cli.audio.torch_threads import usual_threads\n"
        "print(torch.get_num_threads())\n"
        "print(usual_threads())\n"
        "torch.set_num_threads(7)\n"
        "print(usual_threads())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, usual, later = ended.stdout.splitlines()
    assert first == usual == later
