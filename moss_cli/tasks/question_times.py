"""The time that a question names: "at the two-minute mark", "between 1:30 and 2:00", "最后一分钟".

The question is rewritten step by step. Numbers become digits (`spoken_numbers`), then everything that
tells a time becomes a mark, such as ⟦A0⟧, and the rules below join marks to larger ones:

    C clock     1:30                  a place, unless it is said to be a length
    A amount    90 seconds            a place only in a frame: "at …", "… in", "… mark"; else it is a length
    E edge      the beginning         the first or last 30 s, a fifth of the file at most
    P place     the third minute      what has been understood

The places and clocks that are left at the end are the answer; several make the smallest range that holds
all. A place is only taken where the words say so: a question without one is answered from the whole file,
which is never wrong, so where a phrase can be read both ways ("the third quarter") it is no time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from moss_cli.errors import UsageError
from moss_cli.tasks.spoken_numbers import AMOUNT, DECIMAL, amount_s, with_digits

EDGE_S, EDGE_SHARE = 30.0, 0.2  # how much of a file its beginning and end are, at most
TOLERANCE_S = 0.5  # "at 1:00" is inside a file of 59.9 s


@dataclass(frozen=True)
class TimeRange:
    """What a question is about, in seconds from the start of the file. A point has no length."""

    start_s: float
    end_s: float


def find_time(question: str, duration_s: float) -> TimeRange | None:
    """The part of a file of `duration_s` that a question names, or None; 0 <= start <= end <= duration.

    A range that begins in the file is cut at its end, and so are "first" and "last".
    Raises UsageError (code "range") for a time that lies outside.
    """
    text, marks = with_digits(question.translate(_NO_MARKS)), list[TimeRange]()
    for rule in RULES:
        text = rule.apply(text, marks, duration_s)
    places = [_inside(marks[int(n)], duration_s) for n in re.findall(r"⟦[CEP](\d+)⟧", text)]
    return _hull(places) if places else None


def _inside(asked: TimeRange, duration_s: float) -> TimeRange:
    point = asked.start_s == asked.end_s
    outside = asked.start_s > duration_s + TOLERANCE_S if point else asked.start_s >= duration_s > 0
    if outside:
        raise UsageError(
            f"the question asks about {_shown(asked)}, and the recording ends at {_clock(duration_s)}",
            hint="times in a question are places in the recording; write a time of day as 5 pm or 5 o'clock",
            code="range",
        )
    return TimeRange(min(max(asked.start_s, 0.0), duration_s), min(max(asked.end_s, 0.0), duration_s))


def _shown(asked: TimeRange) -> str:
    if asked.end_s == inf:
        return f"what comes after {_clock(asked.start_s)}"
    start, end = _clock(asked.start_s), _clock(asked.end_s)
    return start if start == end else f"{start}-{end}"


def _clock(seconds: float) -> str:
    """h:mm:ss or m:ss, with a fraction where there is one, never later than `seconds`."""
    hundredths = int(seconds * 100 + 1e-6)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest // 100:02}" + (f".{rest % 100:02}".rstrip("0") if rest % 100 else "")
    return f"{hours}:{minutes:02}:{shown}" if hours else f"{minutes}:{shown}"


def _hull(ranges: Sequence[TimeRange]) -> TimeRange:
    return TimeRange(min(r.start_s for r in ranges), max(r.end_s for r in ranges))


@dataclass(frozen=True)
class Found:
    """What a rule has matched: its named groups, and the marks in it, in their order."""

    match: re.Match[str]
    marks: Sequence[TimeRange]
    duration_s: float


@dataclass(frozen=True)
class Rule:
    """A pattern and what it becomes: a mark of `kind`, or other words where there is no kind."""

    pattern: re.Pattern[str]
    kind: str
    read: Callable[[Found], TimeRange | str]

    def apply(self, text: str, marks: list[TimeRange], duration_s: float) -> str:
        def rewritten(match: re.Match[str]) -> str:
            inner = [marks[int(n)] for n in re.findall(r"⟦\w(\d+)⟧", match[0])]
            result = self.read(Found(match, inner, duration_s))
            if isinstance(result, str):
                return result
            marks.append(result)
            return f"⟦{self.kind}{len(marks) - 1}⟧"

        return self.pattern.sub(rewritten, text)


# ── the words ─────────────────────────────────────────────────────────────────────────────────────

_NO_MARKS = str.maketrans("⟦⟧", "  ")
A, CLOCK, C_A, PLACE, ANY = (rf"⟦[{kinds}]\d+⟧" for kinds in ("A", "C", "CA", "CAP", "CAPE"))

UNIT_S = {"h": 3600, "小": 3600, "个": 3600, "钟": 3600, "m": 60, "分": 60, "s": 1, "秒": 1}  # by their first letter
DAYTIME = r"\d{1,2}(?:[:.]\d\d){0,2} ?(?:[ap]m\b|[ap]\.m|o'?clock|in the (?:morning|afternoon|evening)|at night|hrs\b)"
DECADE = r"\b(?:the|early|late|mid|in)[ -](?:\d\d)?\d0'?s\b(?! (?:mark|point))"

HEDGE = r"(?:(?:about|around|roughly|approximately|exactly|just|right|only|nearly|almost) )?"
LEAD = rf"{HEDGE}(?:the )?"
TO = r"(?: ?[-~到至] ?| (?:up )?(?:to|until|till|through|thru) (?:about |the )?)"
RECORDING = (
    r"(?:it|this|that|recording|audio|file|clip|track|song|piece|music|talk|call|conversation|meeting|interview|podcast"
    r"|episode|lecture|speech|video|show|program|programme|discussion|presentation|session|broadcast|tape|sample)\b"
)
OF_RECORDING = rf" of (?:(?:the|this|that|our|my) )?(?:whole |entire )?{RECORDING}"
NOT_OF_OTHERS = rf"(?:{OF_RECORDING}|(?! of\b))"  # "the end of the sentence" is no place
ZH_RECORDING = r"(?:录音|音频|文件|视频|节目|歌曲?|对话|谈话|会议|采访|片段|演讲|讲座|音乐|通话|播客|课)的?"

LENGTH_BEFORE = (
    r"\b(?:for|every|each|per|than|last(?:s|ed|ing)|another|extra|additional|tak(?:es?|ing)|took|spen[dt]s?|next"
    r"|following|within|an?|of|how|waits?|waited|pauses?|paused|by|is|was|are|were|be)"
)
LENGTH_NOUN = (
    r"(?:long|pauses?|silences?|gaps?|breaks?|delays?|intervals?|walk|drive|ride|ads?|ago|apart|each|more|less|old)"
)
ZH_LENGTH_BEFORE = (
    r"(?:持续|长达|超过|不到|每隔?|共|有|用|花|等|停顿?|暂停|沉默|静音|间隔|隔|再|长|过)了?(?:大?约|大概)?"
)

FIRST = r"(?:\b(?:first|1st|initial|opening) |(?<![之以束尾⟧])前|最初的?|开头的?|头)"
LAST = r"(?:\b(?:last|final|closing|ending) |最后的?|结尾的?|末尾的?|倒数|(?:结束|结尾)之?前|(?<![之以然始⟧])后)"
BEGINNING, END = r"(?:beginning|start|opening|outset)", r"(?:end|ending|close)"
NEAR = r"(?:\b(?:at|near|towards?|around|before|by|during) (?:the )?(?:very )?"
ZH_NOT_OURS = r"(?<![的句词字段章每个第])"  # 句子的开头


# ── what the rules make of what they match ────────────────────────────────────────────────────────


def _point(seconds: float) -> TimeRange:
    return TimeRange(seconds, seconds)


def _at_clock(found: Found) -> TimeRange:
    hours, minutes, seconds = (float(found.match[group] or 0) for group in ("h", "m", "s"))
    return _point(hours * 3600 + minutes * 60 + seconds)


def _nth(found: Found) -> TimeRange:
    """The third minute is 120-180 s; the second to last one is counted from the end."""
    n, unit_s = float(found.match["n"]), UNIT_S[found.match["unit"][0]]
    if found.match["last"]:
        return TimeRange(max(found.duration_s - n * unit_s, 0), max(found.duration_s - (n - 1) * unit_s, 0))
    return TimeRange(max(n - 1, 0) * unit_s, n * unit_s)


def _first(found: Found) -> TimeRange:
    return TimeRange(0, found.marks[0].start_s)


def _last(found: Found) -> TimeRange:
    return TimeRange(max(found.duration_s - found.marks[0].start_s, 0), found.duration_s)


def _share(found: Found) -> TimeRange:
    """A half, third or quarter, counted from the start ("2nd", "前") or the end ("last", "后")."""
    word, which = found.match["part"], found.match["which"].strip()
    part = {"h": 2, "t": 3, "q": 4}.get(word[0]) or (int(word[0]) if word[0].isdigit() else 2)
    n = int(which[0]) if which[0].isdigit() else part if which in LAST_WORDS else 1
    count = int(word[-1]) if word[-1].isdigit() else 1  # 后三分之二
    first = part - count if which in LAST_WORDS else n - 1
    return TimeRange(min(first / part, 1) * found.duration_s, min((first + count) / part, 1) * found.duration_s)


# ── the rules, in order: what an earlier one writes, a later one reads ────────────────────────────


def _at_clock(found: Found) -> TimeRange:
    seconds = found.number("h") * 3600 + found.number("m") * 60 + found.number("s")
    return TimeRange(seconds, seconds)


def _nth(found: Found) -> TimeRange:
    """The third minute is 120-180 s; the second to last one is counted from the end."""
    unit_s, n = UNIT_S[found.match["unit"].strip(" -")[0]], found.number("n")
    if found.match["last"]:
        return TimeRange(max(found.duration_s - n * unit_s, 0), max(found.duration_s - (n - 1) * unit_s, 0))
    return TimeRange((n - 1) * unit_s, n * unit_s)
