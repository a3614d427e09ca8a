import subprocess
import sys
from pathlib import Path

import pytest

from moss_cli.output.formats import FORMATS, TIMED, format_of, has_times


def test_format_is_the_suffix_in_any_case():
    assert [format_of(Path(f"out/talk.{fmt}")) for fmt in FORMATS] == list(FORMATS)
    assert format_of(Path("TALK.SRT")) == "srt"


@pytest.mark.parametrize("name", ["talk", "talk.wav", ".srt", "talk.", "srt", "talk.srt.bak"])
def test_other_names_have_no_format(name):
    assert format_of(Path(name)) is None


def test_transcripts_have_times_unless_told_not_to():
    assert has_times("transcribe", "segment")
    assert has_times("transcribe", "word")
    assert has_times("transcribe", None)
    assert not has_times("transcribe", "none")
    assert not has_times("describe-speaker", None)


def test_timed_formats_are_formats():
    assert set(FORMATS) >= TIMED


@pytest.mark.parametrize("module", ["formats", "atomic", "terminal"])
def test_module_loads_nothing_heavy(module):
    code = (
        f"import sys, moss_cli.output.{module}; "
        "print([m for m in ('pydantic', 'pysubs2', 'numpy', 'torch', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
