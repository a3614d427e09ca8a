"""Numbers and lengths of time as people write and say them, in English and Chinese.

`with_digits` makes a text for matching, not for reading: lower case, half-width, one kind of blank and dash,
`two and a half minutes` as `2.5 minutes`, `twenty-fifth second` as `25th second`, `两分半` as `2.5分钟`,
`10 to 20 s` as `10 s to 20 s`. `AMOUNT` finds a length in it, `amount_s` reads it.
"""

from __future__ import annotations

import re
import unicodedata

DECIMAL = r"\d{1,9}(?:\.\d{1,6})?"
TIME_WORD = r"(?:second|minute|hour)s?\b"  # units as words: only beside these is `second` or `a` a number

_ONES = {w: n for n, w in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])}
_TEENS = {
    w: n
    for n, w in enumerate(
        ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"],
        start=10,
    )
}
_TENS = {
    w: 10 * n
    for n, w in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2)
}
_VALUES = {**_ONES, **_TEENS, **_TENS, "a": 1, "hundred": 100, "thousand": 1000}
_IRREGULAR = {"first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12}
_ORDINALS = {
    **{word + "th": value for word, value in (_ONES | _TEENS).items()},
    **{word[:-1] + "ieth": value for word, value in _TENS.items()},
    **_IRREGULAR,
}
_ZH_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_ZH_POWERS = {"十": 10, "百": 100, "千": 1000}


def _any(words: dict[str, int]) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


_SMALL = rf"(?:{_any(_TENS)}(?:[ -]{_any(_ONES)}\b)?|{_any(_TEENS)}|{_any(_ONES)})\b"
_POWER = r"(?:hundred|thousand)\b"
# "between one hundred and two hundred" holds two numbers: an `and` joins only what is not a hundred of its own.
_CARDINAL = re.compile(
    rf"\b(?:{_SMALL}|a(?= {_POWER}))(?:[ -]{_POWER}(?: and {_SMALL}(?![ -]{_POWER})|[ -]{_SMALL})?)*"
)
_NTH = rf"(?:(?:{_SMALL}|a) hundred(?: and)? )?(?:{_any(_TENS)}[ -])?{_any(_ORDINALS)}\b"
_PART = rf"(?:{TIME_WORD}|half\b|thirds?\b|quarters?\b|(?:to[ -])?last\b)"
# An ordinal stands before what it counts ("third minute") or before another that does ("second to fourth minute").
# Anywhere else `second` is a unit ("thirty second mark") and `third` a fraction ("the first third").
_ORDINAL = re.compile(
    rf"\b(?<!\d )({_NTH})(?=[ -]{_PART}| (?:to|and|or|through|until) (?:the )?(?:{_NTH}|\d+[a-z]{{2}})[ -]{_PART})"
)

# 分 alone is also a score ("90分") and "very" ("十分重要"): it is a minute where a time goes on after it.
_ZH_MINUTE = r"分钟|分(?=\d|处|时|的时|左右|[到至和与,~?-]|之[间前后内]|以|前|后|$)"
_HOUR, _MINUTE, _SECOND = (
    rf"(?:[ -]?(?:{english})(?![a-z/])|{chinese})"
    for english, chinese in (
        ("hours?|hrs?|h", "个?小时|个?钟头"),
        ("minutes?|mins?|m", _ZH_MINUTE),
        ("seconds?|secs?|s", "秒钟?"),
    )
)
UNIT = f"(?:{_HOUR}|{_MINUTE}|{_SECOND})"
_NUMBER = rf"(?<![a-z0-9_.:/$€£点]){DECIMAL}"  # not within another number, a price, 九点三十分
_SIXTY = r"[0-5]?\d(?:\.\d{1,6})?"  # minutes and seconds beside a larger unit
_JOIN = r"(?:,? and |, ?| |-)?"
AMOUNT = (
    rf"(?={_NUMBER}{UNIT})(?:(?P<h>{DECIMAL}){_HOUR}(?:{_JOIN}(?={_SIXTY}(?:{_MINUTE}|{_SECOND})))?)?"
    rf"(?:(?P<m>{DECIMAL}){_MINUTE}(?:{_JOIN}(?={_SIXTY}{_SECOND}))?)?(?:(?P<s>{DECIMAL}){_SECOND})?"
    r"(?: ?(?P<rest>[0-5]\d)(?= ?[,.?!;]?$| (?:mark|in|to|until|and)\b|[,?-]|[到至处时的左之以]))?"
)

_AND = r"(?: ?[-~,、到至和与] ?|,? (?:to|and|or|through|until) (?:the )?)"
_NTH_DIGITS = r"\d{1,9}(?:st|nd|rd|th)"
_BARE = re.compile(rf"(?:{_NUMBER}{_AND}){{1,5}}(?={DECIMAL}({UNIT}))", re.ASCII)
_BARE_NTH = re.compile(rf"\b({_NTH_DIGITS})(?={_AND}{_NTH_DIGITS}([ -]{TIME_WORD}))", re.ASCII)
# "between 2 minutes and 30 seconds …" is a range, not two and a half minutes
_BETWEEN = re.compile(rf"(between (?:the )?{DECIMAL}{UNIT}) and (?!{DECIMAL}{UNIT} and )", re.ASCII)

_END = "first|1st|initial|opening|last|final|closing"
_AT = "from|to|until|at|and|between|around|after|before"
# In order: what an earlier line writes, a later one reads.
_PHRASES = [
    (re.compile(pattern, re.ASCII), digits)
    for pattern, digits in (
        (rf"({DECIMAL}) point (\d{{1,6}})", r"\1.\2"),
        (rf"({DECIMAL}) ?(?:%|per ?cent\b)", r"\1%"),
        (rf"100分之({DECIMAL})", r"\1%"),
        (r"\b(mins?|secs?|hrs?)\.(?= \d)", r"\1"),  # 1 min. 30 sec.
        (r"(?<![\d'])(\d{1,3})'([0-5]?\d)(?:\"|'')", r"\1 min \2 s"),
        (r"(?<=the )(\d{1,2})[ -]([0-5]\d)(?= mark\b)", r"\1:\2"),  # the one-thirty mark
        (rf"\bt ?= ?(?={DECIMAL} ?[a-z])", ""),
        (rf"\bt ?= ?({DECIMAL})(?![\d:.])", r"\1 s"),
        (r"\b3 quarters of an (?=hour\b)", "0.75 "),
        (r"\b(?:a |1 )?quarter (?:of an )?(?=hour\b)", "0.25 "),
        (rf"\b(\d{{1,9}})(?: and (?:a )?half| 1/2)[ -](?={TIME_WORD})", r"\1.5 "),
        (rf"\b(?:an? )?(?:half|1/2)[ -](?:of )?(?:an? )?(?={TIME_WORD})", "0.5 "),
        (r" or so\b", ""),
        (rf"\b(?:a )?couple (?:of )?(?={TIME_WORD})", "2 "),
        (r"\bthe (minute|hour)(?=[ -]mark)", r"the 1 \1"),
        (rf"\b(first|1st|last|final|opening|closing) (?:few|several) (?={TIME_WORD})", r"\1 3 "),
        (rf"\ban? (?={TIME_WORD})", "1 "),
        (rf"\b(\d{{1,9}}) ({TIME_WORD}) and (?:a )?half\b", r"\1.5 \2"),
        (rf"\b(?:first|1st) and (?:the )?({_END}) ((?:{DECIMAL} )?{TIME_WORD})", r"first \2 and \1 \2"),
        (rf"\b({_END}) (second|minute|hour)\b", r"\1 1 \2"),
        (rf"\b({_END}) (second|minute|hour)s\b", r"\1 3 \2"),
        (rf"\b({_AT}) (second|minute|hour) (\d{{1,6}})(?![\d:.])", r"\1 \3 \2 mark"),
        (rf"\b(minute|second|hour)s (\d{{1,6}})({_AND})(\d{{1,6}})(?![\d:.])", r"\2 \1\3\4 \1"),
        (r"(\d{1,9})点(\d{1,6})(?=秒|分钟|个?小时)", r"\1.\2"),
        (r"(\d{1,9})个?半(?=小时|钟头)", r"\1.5"),
        (r"(\d{1,9})个?(小时|分)钟?半钟?", r"\1.5\2"),
        (r"半个?(?=分钟|小时|钟头)", "0.5"),
        (r"(\.5分)(?!钟)", r"\1钟"),
        (r"(?<=[前后头])几(?=秒|分钟|个?小时)", "3"),
    )
]


def with_digits(text: str) -> str:
    """The text in a form for matching (see the module). Never raises."""
    text = _plain(text)
    text = re.sub(f"[{''.join(_ZH_DIGITS)}{''.join(_ZH_POWERS)}]+", lambda m: _chinese(m[0]), text)
    text = _ORDINAL.sub(lambda m: _ordinal(m[1]), text)
    text = _CARDINAL.sub(lambda m: str(_cardinal(m[0])), text)
    for pattern, digits in _PHRASES:
        text = pattern.sub(digits, text)
    text = _BARE_NTH.sub(r"\1\2", text)
    text = _BARE.sub(lambda m: re.sub(DECIMAL, rf"\g<0>{m[1]}", m[0], flags=re.ASCII), text)
    return _BETWEEN.sub(r"\1 to ", text)


def amount_s(match: re.Match[str]) -> float:
    """The seconds of what AMOUNT has matched. A bare rest counts in the next smaller unit: 1h30, 1分30."""
    hours, minutes, seconds, rest = (float(match[group] or 0) for group in ("h", "m", "s", "rest"))
    return hours * 3600 + minutes * 60 + seconds + rest * (60 if match["h"] and not match["m"] else 1)


def _plain(text: str) -> str:
    """Half-width, lower case, one kind of dash and apostrophe, single blanks, and none inside Chinese."""
    text = unicodedata.normalize("NFKC", text.replace("½", " 1/2")).lower()
    text = re.sub("[‐‑‒–—―−]", "-", text).replace("⁄", "/")
    text = re.sub("[’′]", "'", text)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"(?<=[一-鿿]) (?=[一-鿿0-9])|(?<=[0-9]) (?=[一-鿿])", "", text)
    text = re.sub(r"(?<=:[0-5][0-9]),(?=[0-9]{3}\b)", ".", text, flags=re.ASCII)  # 00:01:30,500 as in subtitles
    return re.sub(r"(?<=[0-9]),(?=[0-9]{3}\b)", "", text, flags=re.ASCII)


def _cardinal(words: str) -> int:
    total = current = 0
    for word in re.split("[ -]", words):
        if word == "thousand":
            total, current = total + current * 1000, 0
        elif word == "hundred":
            current *= 100
        else:
            current += _VALUES.get(word, 0)  # "and" adds nothing
    return total + current


def _ordinal(words: str) -> str:
    *cardinal, last = re.split("[ -]", words)
    n = _cardinal(" ".join(cardinal)) + _ORDINALS[last]
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def _chinese(numeral: str) -> str:
    if not any(c in _ZH_POWERS for c in numeral):
        return "".join(str(_ZH_DIGITS[c]) for c in numeral)  # digit by digit: 二零 is 20
    total, digit = 0, None
    for c in numeral:
        if c in _ZH_DIGITS:
            digit = _ZH_DIGITS[c]
        else:
            total += (1 if digit is None else digit) * _ZH_POWERS[c]
            digit = None
    return str(total + (digit or 0))
