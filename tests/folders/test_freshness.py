"""Which results count as made in the dtype that is asked for."""

from __future__ import annotations

import pytest

from moss_cli.folders.freshness import FileStat, JobFingerprint, Provenance


@pytest.mark.parametrize(
    ("made", "asked", "expected"),
    [
        (("4bit", "nf4"), "4bit", True),
        (("auto", "nf4"), "4bit", True),
        (("auto", "int4"), "4bit", True),
        (("auto", "fp32"), "fp32", True),
        (("auto", "nf4"), "auto", True),
        (("auto", "bf16"), "4bit", False),
        (("auto", "nf4"), "bf16", False),
    ],
)
def test_4bit_is_what_it_turned_out_to_be(made: tuple[str, str], asked: str, expected: bool) -> None:
    result = Provenance("a.wav", "transcribe", "digest", made, (), FileStat(1, 2, 3), "sha", "ok")
    assert result.is_of(JobFingerprint("transcribe", "digest", asked, "auto")) is expected
