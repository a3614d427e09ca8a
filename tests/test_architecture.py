"""Dependencies point one way: cli -> folders -> run -> backends -> engine -> audio; ARCHITECTURE.md has the picture."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "moss_cli"
LEAVES = {"errors", "schema", "settings", "answers", "span", "__init__"}
ALLOWED = {
    "cli": {
        "cli",
        "api",
        "folders",
        "cluster",
        "run",
        "tasks",
        "backends",
        "bench",
        "doctor",
        "engine",
        "audio",
        "output",
        "models",
        "serve",
    }
    | LEAVES,
    "serve": {"serve", "api", "run", "tasks", "output", "backends", "audio", "models"} | LEAVES,
    "api": {"api", "run", "tasks", "backends", "engine", "audio", "output", "models"} | LEAVES,
    "cluster": {"cluster", "run", "tasks", "backends", "models"} | LEAVES,
    "folders": {"folders", "run", "tasks", "output", "audio", "models"} | LEAVES,
    "run": {"run", "tasks", "backends", "audio", "models"} | LEAVES,
    "tasks": {"tasks"} | LEAVES,
    "backends": {"backends", "engine", "audio", "models"} | LEAVES,
    "bench": {"bench", "engine", "audio", "errors", "__init__"},
    "doctor": {"doctor", "bench", "engine", "audio", "models", "errors", "settings", "__init__"},
    "engine": {"engine", "audio", "errors", "answers"},
    "audio": {"audio", "errors", "schema", "span"},
    "output": {"output", "tasks", "errors", "schema"},
    "models": {"models", "errors", "settings", "__init__"},
    "errors": set(),
    "codes": set(),
    "schema": set(),
    "answers": set(),
    "span": set(),
    "settings": {"errors"},
    "__init__": {"api", "errors"},
    "__main__": {"cli"},
}
FILES = sorted(PACKAGE.rglob("*.py"))
PARTS = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
PAGE = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
ARROWS = set(re.findall(r"^ *(\w+) --> (\w+)$", PAGE, re.MULTILINE))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=[str(f.relative_to(PACKAGE)) for f in FILES])
def test_imports_follow_the_arrows(path: Path) -> None:
    for name in imports(path):
        if name.split(".")[0] == "moss_cli":
            target = [*name.split("."), "__init__"][1]
            assert target in ALLOWED[part(path)], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=[str(f.relative_to(PACKAGE)) for f in FILES])
def test_only_the_command_line_knows_typer_rich_and_tqdm_and_one_module_transformers(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}
    assert "transformers" not in used or path.name == "transformers_twin.py"
    if part(path) != "cli":
        assert not used & {"typer", "rich", "tqdm"}


def test_nothing_imports_the_training_code() -> None:
    assert not [path for path in FILES if any(name.split(".")[0] == "training" for name in imports(path))]


def test_no_type_name_means_two_things() -> None:
    """Public or private: a reader of one file has seen another one of that name."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def reached(folder: str) -> set[str]:
    """The folders that the arrows of the picture lead to, directly or through others."""
    targets = {target for source, target in ARROWS if source == folder}
    return targets.union(*map(reached, targets))


def test_the_picture_has_every_folder_with_code_and_nothing_else() -> None:
    assert {name for arrow in ARROWS for name in arrow} == FOLDERS


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_the_picture_agrees_with_what_is_allowed(folder: str) -> None:
    allowed = ALLOWED[folder] & FOLDERS - {folder}
    assert {target for source, target in ARROWS if source == folder} <= allowed
    assert allowed <= reached(folder)


@pytest.mark.parametrize("name", sorted(PARTS - {"__init__", "__main__", "__pycache__"}))
def test_the_page_names_every_folder_and_leaf(name: str) -> None:
    assert f"`{name}/`" in PAGE or f"`{name}` (" in PAGE
