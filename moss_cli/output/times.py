"""Times as people, subtitles and tables write them. Rounded once, to whole milliseconds; integers from there on."""

from __future__ import annotations


def to_ms(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)


def human(ms: int) -> str:
    """`0:01.2` below an hour, `1:02:03` from there, rounded half up; `ms` in milliseconds."""
    tenths = (ms + 50) // 100
    if tenths < 36_000:
        minutes, tenths = divmod(tenths, 600)
        return f"{minutes}:{tenths // 10:02d}.{tenths % 10}"
    minutes, seconds = divmod((ms + 500) // 1000, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def length(seconds: float) -> str:
    """`12:30`, or `1:02:03` from an hour on: how long something is, in whole seconds."""
    minutes, rest_s = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest_s:02d}" if minutes >= 60 else f"{minutes}:{rest_s:02d}"


def stamp(ms: int) -> str:
    """`00:01.2` below an hour, `1:02:03.4` from there, rounded half up: of the same width for each item of an hour;
    `ms` in milliseconds."""
    seconds, tenths = divmod((ms + 50) // 100, 10)
    minutes, seconds = divmod(seconds, 60)
    hours = f"{minutes // 60}:" if minutes >= 60 else ""
    return f"{hours}{minutes % 60:02d}:{seconds:02d}.{tenths}"


def clock(ms: int, decimal_mark: str) -> str:
    """`00:01:02,345`: subtitles' form, with as many digits of hours as it takes; `ms` in milliseconds."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{decimal_mark}{ms:03d}"


def decimal_seconds(ms: int) -> str:
    """`1.240`: seconds with milliseconds; `ms` in milliseconds."""
    return f"{ms // 1000}.{ms % 1000:03d}"
