"""Text from models and files, made safe to show: a control character becomes something to look at."""

from __future__ import annotations

_C0 = {code: chr(0x2400 + code) for code in range(0x20)}  # ESC is shown as U+241B, and so on
_DELETE = {0x7F: "\u2421"}
_C1 = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
_SURROGATES = {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
_NOT_UTF8 = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}  # what os.fsdecode makes of such a byte
_BIDI = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}

CONTROLS = _C0 | _DELETE | _C1 | _SURROGATES | _NOT_UTF8  # for str.translate: code point to visible form
_PRINTABLE = {code: shown for code, shown in (CONTROLS | _BIDI).items() if chr(code) not in "\n\t"}
_ONE_LINE = _PRINTABLE | {ord("\n"): _C0[ord("\n")], ord("\t"): _C0[ord("\t")], 0x2028: "\\u2028", 0x2029: "\\u2029"}


def printable(text: str) -> str:
    """`text` without anything that could drive a terminal: line feeds and tabs stay, and it is valid UTF-8."""
    return text.translate(_PRINTABLE)


def one_line(text: str) -> str:
    """`text` as `printable`, on one line: for names within a message."""
    return text.translate(_ONE_LINE)
