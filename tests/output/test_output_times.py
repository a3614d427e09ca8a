import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.output.times import clock, decimal_seconds, human, length, stamp, to_ms


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0, "0:00.0"),
        (1_240, "0:01.2"),
        (1_250, "0:01.3"),
        (59_949, "0:59.9"),
        (59_950, "1:00.0"),
        (3_599_949, "59:59.9"),
        (3_599_950, "1:00:00"),
        (3_723_000, "1:02:03"),
        (90_000_499, "25:00:00"),
        (90_000_500, "25:00:01"),
    ],
)
def test_human_times_carry_into_minutes_and_hours(ms, expected):
    assert human(ms) == expected


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0, "00:00.0"),
        (1_250, "00:01.3"),
        (59_950, "01:00.0"),
        (3_599_949, "59:59.9"),
        (3_599_950, "1:00:00.0"),
        (3_723_449, "1:02:03.4"),
        (90_000_500, "25:00:00.5"),
    ],
)
def test_stamps_carry_into_minutes_and_hours(ms, expected):
    assert stamp(ms) == expected


def test_subtitle_clock_carries_and_takes_as_many_hours_as_there_are():
    assert clock(to_ms(59.9996), ",") == "00:01:00,000"
    assert clock(to_ms(59.9994), ",") == "00:00:59,999"
    assert clock(to_ms(3_661.5), ".") == "01:01:01.500"
    assert clock(360_000_000, ",") == "100:00:00,000"


@given(st.integers(0, 10**9))
def test_decimal_seconds_are_exact(ms):
    assert to_ms(float(decimal_seconds(ms))) == ms


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_human_times_keep_order(a, b):
    def value(text):
        total = 0.0
        for part in text.split(":"):
            total = total * 60 + float(part)
        return total

    low, high = sorted([a, b])
    assert value(human(low)) <= value(human(high))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0:00"), (59.99, "0:59"), (750.0, "12:30"), (3599.9, "59:59"), (3600.0, "1:00:00")]
)
def test_lengths_are_in_whole_seconds(seconds: float, text: str) -> None:
    assert length(seconds) == text
