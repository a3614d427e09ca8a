"""moss_cli/codes.py explains every code that the program gives, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from moss_cli import errors
from moss_cli.codes import ERRORS, EXIT_CODES, WARNINGS
from moss_cli.errors import ExitCode, MossError

PACKAGE = Path(__file__).parents[1] / "moss_cli"
NOT_OF_RESULTS = {"serve"}  # whose codes are those of its HTTP answers
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in NOT_OF_RESULTS]


def literals(node: ast.expr | None, known: dict[str, set[str]]) -> set[str] | None:
    """The texts that an expression can be, None where that cannot be told. `known`: of names in the file."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        branches = [literals(node.body, known), literals(node.orelse, known)]
        return None if None in branches else set().union(*(one or set() for one in branches))
    if isinstance(node, ast.Attribute) and node.attr == "code":
        return set()  # that of another error, which is only passed on
    if isinstance(node, ast.Call):
        node = node.func
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return known.get(name)


def assignments(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names with what is assigned to them, those in tuples and loops over tuples of tuples too."""
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            pairs = [(node.target, value) for value in node.iter.elts]
        for target, value in pairs:
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                yield from ((t.id, v) for t, v in zip(target.elts, value.elts, strict=True) if isinstance(t, ast.Name))
            elif isinstance(target, ast.Name):
                yield target.id, value


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
# Class attributes, and functions that tell a code, are used in other files than their own.
ATTRIBUTES: dict[str, set[str]] = {}
for tree in TREES.values():
    for name, value in assignments(tree):
        if name.endswith("_code") and isinstance(value, ast.Constant) and isinstance(value.value, str):
            ATTRIBUTES.setdefault(name, set()).add(value.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.endswith("code_of"):
            returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
            ATTRIBUTES[node.name] = {code for value in returned for code in literals(value, {}) or ()}


def given(path: Path, of_warnings: bool) -> Iterator[tuple[str, set[str]]]:
    """Where a code is given to an error, or to a warning, and what it can be."""
    tree, known = TREES[path], dict(ATTRIBUTES)
    for name, value in assignments(tree):
        known[name] = known.get(name, set()) | (literals(value, {}) or set())
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called != "Notice" if of_warnings else not called.endswith(("Error", "ReportEntry")):
            continue
        for keyword in node.keywords:
            if keyword.arg == "code":
                found = literals(keyword.value, known)
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                assert found is not None, f"{where}: what code is {ast.unparse(keyword.value)}?"
                yield where, found


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_every_code_is_explained(path: Path) -> None:
    for of_warnings, explained in ((True, WARNINGS), (False, ERRORS)):
        for where, codes in given(path, of_warnings):
            assert codes <= set(explained), f"{where}: {codes - set(explained)} is not in moss_cli/codes.py"


def test_every_code_that_is_explained_is_given_somewhere() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MossError)]
    warnings = {code for path in FILES for _, codes in given(path, True) for code in codes}
    failures = {code for path in FILES for _, codes in given(path, False) for code in codes}
    assert warnings == set(WARNINGS)
    assert failures | {kind.default_code for kind in kinds} == set(ERRORS)


def test_every_exit_code_is_explained() -> None:
    assert set(EXIT_CODES) == {*ExitCode, 141}


@pytest.mark.parametrize("codes", [EXIT_CODES, ERRORS, WARNINGS], ids=["exit codes", "errors", "warnings"])
def test_each_has_a_sentence_and_they_are_in_order(codes: dict[int | str, str]) -> None:
    assert list(codes) == sorted(codes)
    assert all(text[0].isupper() and text.endswith(".") for text in codes.values())
