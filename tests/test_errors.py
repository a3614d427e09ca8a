"""What messages are made of."""

from __future__ import annotations

from moss_cli.errors import counted


def test_what_is_counted_is_one_or_many() -> None:
    assert [counted(n, "input") for n in (0, 1, 2, 1001)] == ["0 inputs", "1 input", "2 inputs", "1001 inputs"]
