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
from moss_cli.tasks.spoken_numbers import AMOUNT, amount_s, with_digits

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
            f"the question asks about {_shown(asked)}, and the recording ends at {clock(duration_s)}",
            hint="times in a question are places in the recording; write a time of day as 5 pm or 5 o'clock",
            code="range",
        )
    return TimeRange(min(max(asked.start_s, 0.0), duration_s), min(max(asked.end_s, 0.0), duration_s))


def _shown(asked: TimeRange) -> str:
    if asked.end_s == inf:
        return f"what comes after {clock(asked.start_s)}"
    start, end = clock(asked.start_s), clock(asked.end_s)
    return start if start == end else f"{start}-{end}"


def clock(seconds: float) -> str:
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
_A, _C, _AC, _CP, _T, _ANY = (rf"⟦[{kinds}]\d+⟧" for kinds in ("A", "C", "AC", "CP", "ACP", "ACEP"))
_UNIT_S = {"h": 3600, "小": 3600, "m": 60, "分": 60, "s": 1, "秒": 1}  # by their first letter
_PARTS = {"half": 2, "third": 3, "quarter": 4}

_CLOCK = r"(?<![\d:.$€£])(?:(?P<h>\d{1,2}):(?=[0-5]\d:))?(?P<m>\d{1,4}):(?P<s>[0-5]\d(?:\.\d{1,6})?)(?!:?\d)"
_HOUR = r"(?<!\d)\d{1,2}(?:[:.]\d\d){0,2}"
_AM = r" ?(?:[ap]m\b|[ap]\.m|o'?clock|in the (?:morning|afternoon|evening)|at night)"
_ZH_AM = r"(?:上午|下午|早上|晚上|中午|凌晨)"
_DECADE = r"\b(?:the|early|late|mid|in)[ -](?:\d\d)?\d0'?s\b(?! (?:mark|point))"

_THE = r"(?:(?:about|around|roughly|approximately|exactly|just|right|only|nearly|almost) )?(?:the )?"
_TO = rf"(?: ?[-~到至] ?|,? (?:up to|to|until|till|through|(?:and |but )?before) {_THE})"
_RECORDING = (
    r"(?: of (?:(?:the|this|that|our|my) )?(?:whole |entire )?(?:it|this|that|recording|audio|file|clip|track|song"
    r"|piece|music|talk|call|conversation|meeting|interview|podcast|episode|lecture|speech|video|show|program|programme"
    r"|discussion|presentation|session|broadcast|tape|sample)\b)"
)
_OURS = rf"(?:{_RECORDING}|(?! of\b|[ -](?:user|result|product|goal|point|button|time|date|line)))"  # not "of the word"
_ZH_RECORDING = r"(?:录音|音频|文件|视频|节目|歌曲?|对话|谈话|会议|采访|片段|演讲|讲座|音乐|通话|播客|课)的?"
_ZH_OURS = rf"(?:{_ZH_RECORDING}|(?<![的句词字段章每个第]))"

_LASTS = r"\b(?:for|than|last(?:s|ed|ing)|tak(?:es?|ing)|took)"
_LENGTH_AFTER = (
    rf"(?:{_LASTS}|\b(?:every|each|per|another|extra|additional|spen[dt]s?|next|following|within|an?|of|how"
    r"|wait(?:s|ed)?|pause[ds]?|by|is|was|are|were|be)) (?:between |from )?"
)
_LENGTH_NOUN = r"(?:long|pauses?|silences?|gaps?|breaks?|delays?|intervals?|ads?|ago|apart|each|more|less|old)\b"
_ZH_LENGTH_AFTER = r"(?:持续|长达|超过|不到|每隔?|共|有|用|花|等|停顿?|沉默|静音|间隔|隔|再|长)了?(?:大?约|大概)?"

_FIRST = r"(?:\b(?:first|1st|initial|opening) |(?<![之以束尾⟧])前|最初的?|开头的?|头)"
_LAST = r"(?:\b(?:last|final|closing|ending) |最后的?|[结末]尾的?|倒数|(?:结束|结尾)之?前|(?<![之以然始⟧])后)"
_SPEAKS = r"(?:$|[ ]?[,.?!;:…]| (?:to|and|or|when|what|where|who|how|why|is|are|was|were|do|does|did|can|there)\b)"
_ZH_SPEAKS = r"(?=说|讲|有|是|发生|出现|谁|什么|播|他|她|它)"


# ── what the rules make of them ───────────────────────────────────────────────────────────────────


def _point(seconds: float) -> TimeRange:
    return TimeRange(seconds, seconds)


def _clock_time(found: Found) -> TimeRange:
    hours, minutes, seconds = (float(found.match[group] or 0) for group in ("h", "m", "s"))
    return _point(hours * 3600 + minutes * 60 + seconds)


def _nth(found: Found) -> TimeRange:
    """The third minute is 120-180 s; the second to last one is counted from the end."""
    n, unit_s = float(found.match["n"]), _UNIT_S[found.match["unit"][0]]
    if found.match["last"]:
        return TimeRange(max(found.duration_s - n * unit_s, 0), max(found.duration_s - (n - 1) * unit_s, 0))
    return TimeRange(max(n - 1, 0) * unit_s, n * unit_s)


def _share(found: Found) -> TimeRange:
    parts, which = _PARTS[found.match["part"]], found.match["which"]
    n = int(which[0]) if which[0].isdigit() else parts
    return _part(found, (n - 1) / parts, n / parts)


def _zh_share(found: Found) -> TimeRange:
    share = float(found.match["n"] or 1) / float(found.match["of"] or 2)
    return _part(found, 0, share) if found.match["first"] else _part(found, 1 - share, 1)


def _part(found: Found, start: float, end: float) -> TimeRange:
    return TimeRange(max(start, 0) * found.duration_s, min(end, 1) * found.duration_s)


def _way(found: Found) -> TimeRange:
    n, of = found.match["n"] or found.match["zh_n"], found.match["of"] or found.match["zh"]
    share = (1 if n == "a" else int(n)) / (_PARTS.get(of) or int(of))
    return _point(min(share, 1) * found.duration_s)


def _hull_of(found: Found) -> TimeRange:
    return _hull(found.marks)


def _first(found: Found, seconds: float) -> TimeRange:
    return TimeRange(0, min(seconds, found.duration_s))


def _last(found: Found, seconds: float) -> TimeRange:
    return TimeRange(max(found.duration_s - seconds, 0), found.duration_s)


def _edge_s(found: Found) -> float:
    return min(EDGE_S, EDGE_SHARE * found.duration_s)


def _beside(found: Found, base_s: float, sign: int) -> TimeRange:
    """ "30 s before the end" is a point, "the 30 s before the end" all of them."""
    other_s = max(base_s + sign * found.marks[0].start_s, 0)
    return TimeRange(min(base_s, other_s), max(base_s, other_s)) if found.match["the"] else _point(other_s)


def _between(found: Found) -> TimeRange:
    one, other = found.marks
    return TimeRange(one.start_s, other.end_s) if one.start_s <= other.end_s else TimeRange(other.start_s, one.end_s)


# ── the rules, in order: what an earlier one writes, a later one reads ────────────────────────────


def _rule(kind: str, pattern: str, read: Callable[[Found], TimeRange | str]) -> Rule:
    return Rule(re.compile(pattern, re.ASCII), kind, read)


def _words(pattern: str, words: str) -> Rule:
    return _rule("", pattern, lambda found: found.match.expand(words))


def _no_time(pattern: str) -> Rule:
    return _words(pattern, "…")


RULES = (
    # times of day, decades
    _no_time(rf"(?:{_HOUR}(?: ?- ?| (?:to|and|until) ))?{_HOUR}{_AM}|(?:{_ZH_AM}|[日号]|\d\d-\d\d[t ]){_HOUR}"),
    _no_time(rf"{_DECADE}|\bfrom (?:the )?(?:start|beginning) to (?:the )?(?:end|finish)\b"),
    # numbered minutes; "last minute" is the last 1 minute, "last minutes" the last 3
    _rule(
        "P",
        r"(?P<n>\d{1,9})(?:st|nd|rd|th)"
        r"(?P<last>[ -](?:to[ -])?(?:the )?last(?: 1)?)?[ -](?P<unit>second|minute|hour)\b",
        _nth,
    ),
    _rule("P", r"(?P<last>倒数)?第(?P<n>\d{1,9})个?(?P<unit>小时|分钟?|秒钟?)(?!\d)", _nth),
    _rule("C", _CLOCK, _clock_time),
    _rule("A", AMOUNT, lambda found: _point(amount_s(found.match))),
    _rule("P", r"\b(?P<last>(?!))?(?P<unit>minute|(?<=in )(?:second|hour)) (?P<n>\d{1,6})(?![\d:.])", _nth),
    # lengths, "did it last 5 minutes?" among them; parts of the file, counted from its ends
    _no_time(rf"{_A}[ -]{_LENGTH_NOUN}|{_LASTS} {_THE}{_C}|{_C} long\b"),
    _no_time(rf"\b(?:do|does|did|will|would|can|could|not)(?: \w+){{0,4}}(?<! the)(?<! in)(?<! during) last {_AC}"),
    _rule("P", rf"{_FIRST}{_AC}", lambda f: _first(f, f.marks[0].start_s)),
    _rule("P", rf"{_LAST}{_AC}", lambda f: _last(f, f.marks[0].start_s)),
    _rule("P", rf"\b(?P<which>1st|2nd|3rd|last|final) (?P<part>half|third)\b{_OURS}", _share),
    _rule("P", rf"\b(?P<which>1st|2nd|3rd|4th|last|final) (?P<part>quarter){_RECORDING}", _share),
    _rule(
        "P",
        r"(?:最?后|(?P<first>[前上])|下)(?:(?P<of>[2-9])分之(?P<n>\d)|1?半(?:段|部分|程|场|首)?(?![年生夜天]))",
        _zh_share,
    ),
    _words(r"\b(?:half|mid)-?way(?: (?:through|in|into|point|mark)\b|(?=[?.!,]))", "1/2 of the way"),
    _words(rf"\b(?:in|at|around|near|towards?) the (?:very )?(?:middle|mid-?point)\b{_OURS}", "1/2 of the way"),
    _words(rf"1半(?=处|的?时候)|(?:{_ZH_RECORDING}|在)中间(?!的)", "2分之1处"),
    _rule(
        "P",
        r"\b(?P<n>\d|a)[ /-](?P<of>[2-9]|third|quarter)s? (?:of the way|mark)"
        r"|(?P<zh>[2-9])分之(?P<zh_n>\d)(?=处|的?时候)",
        _way,
    ),
    # an amount with its place
    _rule("P", rf"{_A}[ -](?:mark|point|time-?stamp|time ?code|position)\b", _hull_of),
    _rule("P", rf"{_A}(?:左右|附近)?(?:处|的?时候|时(?!间|长)|那[里儿]|的(?:位置|地方|内容|话|部分)|附近)", _hull_of),
    _no_time(rf"{_LENGTH_AFTER}{_THE}{_A}|{_A} of (?!(?:the|this|that|our|my)\b)"),
    _no_time(rf"{_ZH_LENGTH_AFTER}{_A}|{_A}(?:长|之?内|以内|[里多吗的])"),
    _rule(
        "P",
        rf"(?P<the>\bthe )?{_A} (?:before|from) the (?:very )?end\b{_OURS}",
        lambda f: _beside(f, f.duration_s, -1),
    ),
    _rule(
        "P", rf"(?P<the>\bthe )?{_A} (?:after|from|into) the (?:beginning|start)\b{_OURS}", lambda f: _beside(f, 0, 1)
    ),
    _rule("P", rf"(?P<the>\bthe )?{_A} (?:after|from|past) (?:the )?{_CP}", lambda f: _beside(f, f.marks[1].end_s, 1)),
    _rule("P", rf"(?P<the>\bthe )?{_A} before (?:the )?{_CP}", lambda f: _beside(f, f.marks[1].start_s, -1)),
    _no_time(rf"{_A} (?:past|to|before|after) (?:\d|noon|midnight)"),
    # beginning and end
    _no_time(r"以[^,.?!]{1,20}(?:开头|结尾)"),
    _rule(
        "E",
        rf"\b(?:the|at|from) (?:very )?(?:beginning|start)\b{_OURS}|\bthe opening{_RECORDING}",
        lambda f: _first(f, _edge_s(f)),
    ),
    _rule(
        "E",
        rf"(?<!\bin )\b(?:the|at) (?:very )?end(?:ing)?\b{_OURS}|\bthe (?:very )?end{_RECORDING}",
        lambda f: _last(f, _edge_s(f)),
    ),
    _rule(
        "E",
        rf"{_ZH_OURS}(?:开头|开场|片头|1开始)|(?:{_ZH_RECORDING}|^|(?<=在))开始(?:时|的时候)",
        lambda f: _first(f, _edge_s(f)),
    ),
    _rule(
        "E",
        rf"{_ZH_OURS}(?:结尾|末尾|片尾)|(?:{_ZH_RECORDING}|^|(?<=在))(?:结束(?:时|的时候)|最后(?=说|讲|有什么|出现|发生))",
        lambda f: _last(f, _edge_s(f)),
    ),
    # ranges
    _rule("P", rf"\bbetween {_THE}{_ANY} and {_THE}{_ANY}|{_ANY}[和与]{_ANY}(?:之间|中间)", _between),
    _rule("P", rf"(?:\b(?:from|between|after) {_THE}|从)?{_ANY}{_TO}{_ANY}", _between),
    _rule(
        "P",
        rf"\b(?:after|past|beyond|since|(?:starting|beginning)(?: from| at)?) {_THE}{_T}|{_T}(?:之后|以后|后)",
        lambda f: TimeRange(f.marks[0].end_s, inf),
    ),
    _rule(
        "P",
        rf"\bfrom {_THE}{_ANY}|从{_ANY}|{_T} (?:on|onwards?|and (?:later|after|beyond)|or later)\b",
        lambda f: TimeRange(f.marks[0].start_s, inf),
    ),
    _rule(
        "P",
        rf"\b(?:before|prior to|until|till|up to) {_THE}{_T}|\bby {_THE}{_CP}|{_T}(?:之前|以前|前|为止)",
        lambda f: TimeRange(0, f.marks[0].start_s),
    ),
    # an amount in its frame; a list of them is one
    _rule("P", rf"(?:\b(?:at|around|near)|@) ?{_THE}{_A}(?:(?:,|,? and|,? or) (?:at )?{_THE}{_A})*", _hull_of),
    _rule("P", rf"{_A} (?:into\b|through\b|in{_SPEAKS})|^{_A}(?= ?[,.?!:]|$)", _hull_of),
    _rule(
        "P", rf"[在于第](?:大?约|大概)?{_A}|(?:^|[到说问中听,.;:?! ])(?:大?约|大概)?{_A}(?:左右)?{_ZH_SPEAKS}", _hull_of
    ),
)
