"""Grammars as regular expressions, for servers that hold an answer to one of these and read no Lark."""

from __future__ import annotations

import re

from moss_cli.answers import Grammar

_RULE = re.compile(r"([A-Za-z_]\w*):\s*(.+)")
_PART = re.compile(r'\s+|/((?:[^/\\]|\\.)+)/|"((?:[^"\\]|\\.)*)"|([A-Za-z_]\w*)|\{\s*(\d+)\s*,\s*(\d*)\s*\}|([()|?*+])')
_MOST_ROUNDS = 100  # chosen: automata of more rounds take servers seconds to make, and the reader sees such limits


def as_regex(grammar: Grammar) -> str | None:
    """The regular expression of a grammar whose rules do not use themselves; None for any other."""
    rules: dict[str, str] = {}
    for line in grammar.text.splitlines():
        rule = _RULE.fullmatch(line.strip())
        if rule is None:
            return None
        rules[rule[1]] = rule[2]
    return _regex("start", rules, ()) if "start" in rules else None


def _regex(name: str, rules: dict[str, str], within: tuple[str, ...]) -> str | None:
    if name in within or name not in rules:
        return None
    text, at, made = rules[name], 0, ""
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return None
        at = part.end()
        expression, literal, used, least, most, mark = part.groups()
        if expression is not None:
            made += f"(?:{expression})"
        elif literal is not None:
            made += f"(?:{re.escape(_unquoted(literal))})"
        elif used is not None:
            inner = _regex(used, rules, (*within, name))
            if inner is None:
                return None
            made += f"(?:{inner})"
        elif least is not None:
            bound = most if not most or int(most) < _MOST_ROUNDS else ""
            made += f"{{{least},{bound}}}"
        else:
            made += "(?:" if mark == "(" else mark or ""
    return made


def _unquoted(literal: str) -> str:
    return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), literal)
