"""How a question is rewritten step by step until the times in it are understood.

Numbers are digits already (`spoken_numbers`). Everything that tells a time becomes a mark, such as ⟦A0⟧, and the
rules below join marks to larger ones:

    C clock     1:30                  a place, unless it is said to be a length
    A amount    90 seconds            a place only in a frame: "at …", "… in", "… mark"; else it is a length
    E edge      the beginning         the first or last 30 s, a fifth of the file at most
    P place     the third minute      what has been understood

The places and clocks that are left at the end are the answer. A place is only taken where the words say so: a
question without one is answered from the whole file, which is never wrong, so where a phrase can be read both ways
("the third quarter") it is no time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from moss_cli.span import Span
from moss_cli.tasks.question_time.places import (
    RuleMatch,
    beside,
    between,
    clock_time,
    edge_s,
    first,
    hull_of,
    last,
    lasting,
    length,
    nth,
    part,
    percent,
    percent_length,
    point,
    share,
    way,
    without,
    zh_share,
)
from moss_cli.tasks.question_time.spoken_numbers import AMOUNT, amount_s


@dataclass(frozen=True)
class Rule:
    """A pattern and what it becomes: a mark of `kind`, or other words where there is no kind."""

    pattern: re.Pattern[str]
    kind: str
    read: Callable[[RuleMatch], Span | str]

    def apply(self, text: str, marks: list[Span], duration_s: float) -> str:
        def rewritten(match: re.Match[str]) -> str:
            inner = [marks[int(n)] for n in re.findall(r"⟦\w(\d+)⟧", match[0])]
            result = self.read(RuleMatch(match, inner, duration_s))
            if isinstance(result, str):
                return result
            marks.append(result)
            return f"⟦{self.kind}{len(marks) - 1}⟧"

        return self.pattern.sub(rewritten, text)


# ── the words ─────────────────────────────────────────────────────────────────────────────────────

_A, _C, _AC, _CP, _T, _ANY = (rf"⟦[{kinds}]\d+⟧" for kinds in ("A", "C", "AC", "CP", "ACP", "ACEP"))
_PERCENT = r"(?<![\d.])(?P<percent>\d{1,2}(?:\.\d{1,3})?|100)%"

_CLOCK = r"(?<![\d:.$€£])(?:(?P<h>\d{1,2}):(?=[0-5]\d:))?(?P<m>\d{1,4}):(?P<s>[0-5]\d(?:\.\d{1,6})?)(?!:?\d)"
_HOUR = r"(?<!\d)\d{1,2}(?:[:.]\d\d){0,2}"
_AM = r" ?(?:[ap]m\b|[ap]\.m|o'?clock|in the (?:morning|afternoon|evening)|at night)"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|today|tonight|tomorrow|yesterday|noon|midnight|gmt|utc"
    r"|(?:this|that|every|the next) (?:morning|afternoon|evening|day))\b"
)
_TIMETABLE = r"(?:bus|train|flight|plane|ferry|show|class|news|alarm|appointment|meeting|service|shift)\b"
_ZH_AM = r"(?:上午|下午|早上|晚上|中午|凌晨|今天|明天|昨天|周[一二三四五六日天])"
_ZH_MOVES = r"(?=[就才再会要]?(?:离开|出发|出去|到[达场了]?$|到[达场了]|来|走|回[来去]|见面|开会))"
_DECADE = r"\b(?:the|early|late|mid|in)[ -](?:\d\d)?\d0'?s\b(?! (?:mark|point))"

_THE = r"(?:(?:about|around|roughly|approximately|exactly|just|right|only|nearly|almost) )?(?:the )?"
_TO = rf"(?: ?[-~到至] ?|,? (?:up to|to|until|till|through|(?:and |but )?before) {_THE})"
_RECORDING = (
    r"(?: of (?:(?:the|this|that|our|my) )?(?:whole |entire )?(?:it|this|that|recording|audio|file|clip|track|song"
    r"|piece|music|talk|call|conversation|meeting|interview|podcast|episode|lecture|speech|video|show|program|programme"
    r"|discussion|presentation|session|broadcast|tape|sample)\b)"
)
_OURS = rf"(?:{_RECORDING}|(?! of\b|[ -](?:user|result|product|goal|point|button|time|date|line|menu|marathon)))"
_ZH_RECORDING = r"(?:录音|音频|文件|视频|节目|歌曲?|对话|谈话|会议|采访|片段|演讲|讲座|音乐|通话|播客|课)的?"
_ZH_OURS = rf"(?:{_ZH_RECORDING}|(?<![的句词字段章每个第]))"

_LASTS = r"\b(?:for|than|last(?:s|ed|ing)|tak(?:es?|ing)|took)"
_LENGTH_AFTER = (
    rf"(?:{_LASTS}|\b(?:every|each|per|another|extra|additional|spen[dt]s?|next|following|within|an?|of|how"
    r"|wait(?:s|ed)?|pause[ds]?|by|is|was|are|were|be)) (?:between |from )?"
)
_HEARD = (
    r"(?:said|say|saying|hear[ds]?|happen(?:s|ed|ing)?|speak(?:s|ing)?|talk(?:s|ing)?|sounds?|noise|play(?:s|ing)?|on)"
)
_LENGTH_NOUN = r"(?:long|pauses?|silences?|gaps?|breaks?|delays?|intervals?|ads?|ago|apart|each|more|less|old)\b"
_ZH_LENGTH_AFTER = r"(?:持续|长达|超过|不到|每隔?|共|有|用|花|等|停顿?|沉默|静音|间隔|隔|再|长)了?(?:大?约|大概)?"

_FIRST = r"(?:\b(?:first|1st|initial|opening) |(?<![之以束尾⟧])前|最初的?|开头的?|头)"
_LAST = r"(?:\b(?:last|final|closing|ending) |最后的?|[结末]尾的?|倒数|(?:结束|结尾)之?前|(?<![之以然始⟧])后)"
_SPEAKS = r"(?:$|[ ]?[,.?!;:…]| (?:to|and|or|when|what|where|who|how|why|is|are|was|were|do|does|did|can|there)\b)"
_ZH_SPEAKS = r"(?=说|讲|有|是|发生|出现|谁|什么|播|他|她|它)"


# ── the rules, in order: what an earlier one writes, a later one reads ────────────────────────────


def _rule(kind: str, pattern: str, read: Callable[[RuleMatch], Span | str]) -> Rule:
    return Rule(re.compile(pattern, re.ASCII), kind, read)


def _words(pattern: str, words: str) -> Rule:
    return _rule("", pattern, lambda found: found.match.expand(words))


def _no_time(pattern: str) -> Rule:
    return _words(pattern, "…")


RULES = (
    # times of day, decades
    _no_time(rf"(?:{_HOUR}(?: ?- ?| (?:to|and|until) ))?{_HOUR}{_AM}|(?:{_ZH_AM}|[日号]|\d\d-\d\d[t ]){_HOUR}"),
    _no_time(
        rf"\b{_DAY}(?:,? at)? {_HOUR}(?![\d:])|\b\d{{1,2}}:\d\d(?: ?-? ?| on ){_DAY}|\b\d{{1,2}}:\d\d {_TIMETABLE}"
    ),
    _no_time(rf"{_DECADE}|\bfrom (?:the )?(?:start|beginning) to (?:the )?(?:end|finish)\b"),
    # numbered minutes; "last minute" is the last 1 minute, "last minutes" the last 3
    _rule(
        "P",
        r"(?P<n>\d{1,9})(?:st|nd|rd|th)"
        r"(?P<last>[ -](?:to[ -])?(?:the )?last(?: 1)?)?[ -](?P<unit>second|minutes?|hours?)\b",
        nth,
    ),
    _rule("P", r"(?P<last>倒数)?第(?P<n>\d{1,9})个?(?P<unit>小时|分钟?|秒钟?)(?!\d)", nth),
    _rule("C", _CLOCK, clock_time),
    _rule("A", AMOUNT, lambda found: point(amount_s(found.match))),
    _rule("P", r"\b(?P<last>(?!))?(?P<unit>minute|(?<=in )(?:second|hour)) (?P<n>\d{1,6})(?![\d:.])", nth),
    # lengths, "did it last 5 minutes?" among them; parts of the file, counted from its ends
    _no_time(rf"{_A}[ -]{_LENGTH_NOUN}|{_LASTS} {_THE}{_C}|{_C} long\b"),
    _no_time(rf"\b(?:do|does|did|will|would|can|could|not)(?: \w+){{0,4}}(?<! the)(?<! in)(?<! during) last {_AC}"),
    _rule("P", rf"{_FIRST}{_PERCENT}(?:{_OURS}(?!的)|的(?:内容|时间|部分))", lambda f: part(f, 0, percent_length(f))),
    _rule(
        "P", rf"{_LAST}{_PERCENT}(?:{_OURS}(?!的)|的(?:内容|时间|部分))", lambda f: part(f, 1 - percent_length(f), 1)
    ),
    _rule(
        "P",
        rf"{_PERCENT}(?:[ -](?:mark|point)\b| (?:of the way|into|through)\b| in{_SPEAKS}|处|的?时候|的?(?:位置|地方)$)",
        lambda f: point(percent(f) * f.duration_s),
    ),
    _rule(
        "P",
        rf"(?:^|\b{_HEARD} )(?:at|around) {_THE}{_PERCENT}(?:{_SPEAKS}|{_RECORDING})",
        lambda f: point(percent(f) * f.duration_s),
    ),
    _rule("P", rf"{_FIRST}{_AC}", lambda f: first(f, length(f))),
    _rule("P", rf"{_LAST}{_AC}", lambda f: last(f, length(f))),
    _rule(
        "P",
        rf"\b(?P<which>1st|2nd|3rd|last|final|middle(?= third)|latter(?= half)) (?P<part>half|third)\b{_OURS}",
        share,
    ),
    _rule("P", rf"\b(?P<which>1st|2nd|3rd|4th|last|final) (?P<part>quarter){_RECORDING}", share),
    _rule(
        "P",
        r"(?:最?后|(?P<first>[前上])|下)(?:(?P<of>[2-9])分之(?P<n>\d)|1?半(?:段|部分|程|场|首)?(?![年生夜天]))",
        zh_share,
    ),
    _rule("P", r"中间的?3分之1|中间?段(?!落)|中间部分", lambda f: part(f, 1 / 3, 2 / 3)),
    _words(r"\b(?:half|mid)-?way(?: (?:through|in|into|point|mark)\b|(?=[?.!,]))", "1/2 of the way"),
    _words(rf"\b(?:in|at|around|near|towards?) the (?:very )?(?:middle|mid-?point)\b{_OURS}", "1/2 of the way"),
    _words(rf"1半(?=处|的?时候)|(?:{_ZH_RECORDING}|在)中间(?!的)", "2分之1处"),
    _words(rf"\b(at|around|near) {_THE}(\d/[2-9]|(?:\d|a) (?:third|quarter)s?){_RECORDING}", r"\1 \2 of the way"),
    _rule(
        "P",
        r"\b(?P<n>\d|a)[ /-](?P<of>[2-9]|third|quarter)s? (?:of the way|mark|into\b|through\b|in(?=$|[?.!,]))"
        r"|(?P<zh>[2-9])分之(?P<zh_n>\d)(?=处|的?时候)",
        way,
    ),
    _rule(
        "P",
        rf"\b(?:from|at|start(?:ing|s)? (?:at|from)) {_THE}{_CP} for {_THE}{_A}|从{_T}(?:开始|起)的?{_A}(?!处)"
        rf"|(?P<length_first>{_A}) (?:start|beginn)ing (?:at|from|with) {_THE}{_T}",
        lasting,
    ),
    # an amount with its place
    _rule("P", rf"{_A}[ -](?:mark|point|time-?stamp|time ?code|position)\b", hull_of),
    _rule("P", rf"{_A}(?:左右|附近)?(?:处|的?时候|时(?!间|长)|那[里儿]|的(?:位置|地方|内容|话|部分)|附近)", hull_of),
    _rule("P", rf"开始之?后{_A}(?!之?内|以内|[里间])", hull_of),
    _rule("P", rf"开始之?后{_A}(?:之?内|以内|里)", lambda f: first(f, length(f))),
    _no_time(rf"{_LENGTH_AFTER}{_THE}{_A}|{_A} of (?!(?:the|this|that|our|my)\b)"),
    _no_time(rf"{_ZH_LENGTH_AFTER}{_A}|{_A}(?:长|之?内|以内|[里多吗的])"),
    _rule(
        "P",
        rf"(?P<the>\bthe )?{_A} (?:before|from) the (?:very )?end\b{_OURS}",
        lambda f: beside(f, f.duration_s, -1),
    ),
    _rule(
        "P", rf"(?P<the>\bthe )?{_A} (?:after|from|into) the (?:beginning|start)\b{_OURS}", lambda f: beside(f, 0, 1)
    ),
    _rule("P", rf"(?P<the>\bthe )?{_A} (?:after|from|past) (?:the )?{_CP}", lambda f: beside(f, f.marks[1].end_s, 1)),
    _rule("P", rf"(?P<the>\bthe )?{_A} before (?:the )?{_CP}", lambda f: beside(f, f.marks[1].start_s, -1)),
    _no_time(rf"{_A} (?:past|to|before|after) (?:\d|noon|midnight)|{_A}(?:之?前|之?后|以[前后]){_ZH_MOVES}"),
    # beginning and end
    _no_time(r"以[^,.?!]{1,20}(?:开头|结尾)|开头(?:字母|的字)"),
    _rule(
        "E",
        rf"\b(?:the|at|from) (?:very )?(?:beginning|start)\b{_OURS}|\bthe opening{_RECORDING}",
        lambda f: first(f, edge_s(f)),
    ),
    _rule(
        "E",
        rf"(?<!\bin )\b(?:the|at) (?:very )?end(?:ing)?\b{_OURS}|\bthe (?:very )?end{_RECORDING}",
        lambda f: last(f, edge_s(f)),
    ),
    _rule(
        "E",
        rf"{_ZH_OURS}(?:开头|开场|片头|1开始)|(?:{_ZH_RECORDING}|^|(?<=在))刚?开始(?:时|的时候)|从头(?=[到至])|刚开始(?:时|的时候)",
        lambda f: first(f, edge_s(f)),
    ),
    _rule(
        "E",
        rf"{_ZH_OURS}(?:结尾|末尾|片尾)|(?:快|临近|即将)结束(?:时|的时候|$)|(?:{_ZH_RECORDING}|^|(?<=在))(?:结束(?:时|的时候)|最后(?=说|讲|有什么|出现|发生))",
        lambda f: last(f, edge_s(f)),
    ),
    _rule(
        "P",
        r"\b(?:skip(?:ping)?|ignor(?:e|ing)|leav(?:e|ing) out|(?:except|apart from|other than|but)(?: for)?|without) "
        rf"{_THE}{_ANY}",
        without,
    ),
    # ranges
    _rule("P", rf"\bbetween {_THE}{_ANY} and {_THE}{_ANY}|{_ANY}[和与]{_ANY}(?:之间|中间)", between),
    _rule("P", rf"(?:\b(?:from|between|after) {_THE}|从)?{_ANY}{_TO}{_ANY}", between),
    _rule(
        "P",
        rf"\b(?:after|past|beyond|since|(?:starting|beginning)(?: from| at)?) {_THE}{_T}|{_T}(?:之后|以后|后)",
        lambda f: Span(f.marks[0].end_s, inf),
    ),
    _rule(
        "P",
        rf"\bfrom {_THE}{_ANY}|从{_ANY}|{_T} (?:on|onwards?|and (?:later|after|beyond)|or later)\b",
        lambda f: Span(f.marks[0].start_s, inf),
    ),
    _rule(
        "P",
        rf"\b(?:before|prior to|until|till|up to) {_THE}{_T}|\bby {_THE}{_CP}|{_T}(?:之前|以前|前|为止)",
        lambda f: Span(0, f.marks[0].start_s),
    ),
    # an amount in its frame; a list of them is one
    _rule("P", rf"(?:\b(?:at|around|near)|@) ?{_THE}{_A}(?:(?:,|,? and|,? or) (?:at )?{_THE}{_A})*", hull_of),
    _rule("P", rf"{_A} (?:into\b|through\b|in{_SPEAKS})|^(?:大?约|大概)?{_A}(?:左右)?(?= ?[,.?!:]|$)", hull_of),
    _rule(
        "P", rf"[在于第](?:大?约|大概)?{_A}|(?:^|[到说问中听,.;:?! ])(?:大?约|大概)?{_A}(?:左右)?{_ZH_SPEAKS}", hull_of
    ),
)
