"""In how many threads torch computes: what is asked for in one place is of no concern elsewhere."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from moss_cli.audio.torch_threads import one_thread


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_what_is_computed_in_one_thread_leaves_the_number_as_it_was(three_threads: None) -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(ValueError, match="odd"), one_thread():
        raise ValueError("odd")
    assert torch.get_num_threads() == 3


def test_other_threads_are_left_alone(three_threads: None) -> None:
    inside, asked = threading.Event(), threading.Event()

    def compute() -> None:
        with one_thread():
            inside.set()
            asked.wait(60)

    thread = threading.Thread(target=compute)
    thread.start()
    assert inside.wait(60)
    assert torch.get_num_threads() == 3
    asked.set()
    thread.join()


def test_the_usual_number_is_what_torch_takes_before_anybody_sets_one() -> None:
    code = (
        "import threading, torch\n"
        "from moss_cli.audio.torch_threads import one_thread, usual_threads\n"
        "print(torch.get_num_threads())\n"
        "with one_thread():\n"
        "    thread = threading.Thread(target=lambda: print(usual_threads()))\n"
        "    thread.start()\n"
        "    thread.join()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, usual = ended.stdout.splitlines()
    assert first == usual
