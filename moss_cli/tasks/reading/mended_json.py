"""JSON that a parser refuses as a whole for one token that nobody can use, with something in that token's place."""

from __future__ import annotations

import re

MOST_DIGITS = 4_300  # of an integer that Python reads, and pydantic's parser with it

_HEX = "[0-9a-fA-F]"
_STRING = r'"(?:[^"\\]|\\.)*+"?'  # closed or not
_NOTHING = rf"-?\d{{{MOST_DIGITS + 1},}}(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\b(?:NaN|nan|Infinity|inf)\b"
_TOKEN = re.compile(rf"({_STRING})|{_NOTHING}", re.DOTALL)
_IN_STRING = re.compile(
    rf"(?P<whole>\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"  # a character by its two surrogates
    rf'|\\(?!u[dD][89a-fA-F])u{_HEX}{{4}}|\\["\\/bfnrt])'
    rf"|(?P<lone>\\u[dD][89a-fA-F]{_HEX}{{2}})"
    rf"|(?P<begun>\\(?:u{_HEX}{{0,3}})?\Z)"
    r"|(?P<slash>\\)"
    r"|[\x00-\x1f]",
    re.DOTALL,
)


def mended(text: str) -> str:
    """JSON without what makes a parser refuse all of it.

    Half of a surrogate pair becomes U+FFFD, a raw control character a space, a backslash that escapes nothing a
    backslash; a number without end, or one that is none, becomes null. What is whole stays as it is.
    """
    return _TOKEN.sub(lambda match: _IN_STRING.sub(_put_right, match[1]) if match[1] else "null", text)


def _put_right(match: re.Match[str]) -> str:
    if match["whole"]:
        return match["whole"]
    if match["lone"]:
        return r"\ufffd"
    if match["begun"]:  # the answer broke off in it
        return ""
    return r"\\" if match["slash"] else " "
