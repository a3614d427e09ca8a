"""What messages are made of."""

from __future__ import annotations

from moss_cli.errors import ExitCode, UsageError, as_moss_error, counted


def test_what_is_counted_is_one_or_many() -> None:
    assert [counted(n, "input") for n in (0, 1, 2, 1001)] == ["0 inputs", "1 input", "2 inputs", "1001 inputs"]


def test_an_error_of_any_kind_becomes_one_that_can_be_told() -> None:
    usage = UsageError("no")
    assert as_moss_error(usage) is usage
    odd = as_moss_error(KeyError("x"))
    assert (odd.code, odd.message, odd.exit_code) == ("internal", "KeyError: 'x'", ExitCode.FAILURE)
    memory = as_moss_error(MemoryError("Unable to allocate 1 GiB"))
    assert (memory.code, memory.exit_code) == ("out_of_memory", ExitCode.DEVICE)
    assert isinstance(odd.__cause__, KeyError)
    assert isinstance(memory.__cause__, MemoryError)
