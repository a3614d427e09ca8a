"""Every hint that the code can give, read from its source.

A hint is what `hint=` of an error is set to: a text, an f-string (its fields stay, in braces), a name or constant that
was given such a text in the same file, or what `run_hint` makes a command of.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "moss_cli"
COMMAND = re.compile(r"`(moss [^`]*)`")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+|-[a-z])(?![\w-])")


def hints(path: Path) -> Iterator[str]:
    """The hints of a file that name a command of moss or an option."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    given: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = zip(target.elts, node.value.elts, strict=False) if _are_tuples(target, node.value) else ()
                for one, value in [(target, node.value), *pairs]:
                    if isinstance(one, ast.Name):
                        given.setdefault(one.id, []).append(value)
        if isinstance(node, ast.AugAssign) and ast.unparse(node.target).endswith("hint"):
            yield from _named(texts(node.value, {}))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "hint":
                    yield from _named(texts(keyword.value, given))
            if ast.unparse(node.func) == "run_hint":
                yield from _named(text for one in node.args for text in texts(one, given))
        if isinstance(node, ast.FunctionDef) and node.name.endswith("hint"):
            returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
            yield from _named(text for one in returned if one is not None for text in texts(one, given))


def texts(node: ast.expr, given: dict[str, list[ast.expr]]) -> list[str]:
    """What an expression can be, as far as it is text. `given`: what names of the file are set to."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        found = [""]
        for part in node.values:
            inner = [part.value] if isinstance(part, ast.Constant) else _field(part, given)
            found = [text + str(more) for text in found for more in inner]
        return found
    if isinstance(node, ast.IfExp):
        return texts(node.body, given) + texts(node.orelse, given)
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in texts(value, given)]
    if isinstance(node, ast.Name):
        return [text for value in given.get(node.id, ()) for text in texts(value, {})]
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "run_hint":
        return [text for one in node.args for text in texts(one, given)]
    return []


def _field(part: ast.expr, given: dict[str, list[ast.expr]]) -> list[str]:
    value = part.value if isinstance(part, ast.FormattedValue) else part
    chosen = texts(value, given) if isinstance(value, ast.IfExp) else []
    return chosen or ["{" + ast.unparse(value) + "}"]


def _named(found: Iterator[str] | list[str]) -> Iterator[str]:
    yield from (text for text in found if re.match("moss ", text) or COMMAND.search(text) or OPTION.search(text))


def _are_tuples(*nodes: ast.expr) -> bool:
    return all(isinstance(node, ast.Tuple) for node in nodes)


def all_hints() -> dict[str, list[str]]:
    """Of each hint that names a command or an option, the files that give it."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for text in hints(path):
            places = found.setdefault(text, [])
            name = str(path.relative_to(PACKAGE))
            if name not in places:
                places.append(name)
    return found


if __name__ == "__main__":
    for text, places in all_hints().items():
        print(", ".join(places), repr(text))
