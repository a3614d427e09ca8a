"""docs/python.md: its code runs as it stands, and prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from moss_cli import Moss
from moss_cli.api.options import SharedOptions

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```$)?", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore::moss_cli.MossWarning")
def test_the_code_on_the_page_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    assert len(BLOCKS) == PAGE.count("```python") == PAGE.count("```text") == 7
    for code, expected in BLOCKS:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, namespace)
        assert out.getvalue() == expected


def test_the_page_names_every_option_and_method() -> None:
    for name in SharedOptions.__optional_keys__ | {"prompt", "device", "dtype", "batch_size"}:
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", PAGE), name
    methods = [name for name in vars(Moss) if not name.startswith("_")]
    assert len(methods) == 9
    assert all(f"`{name}(" in PAGE for name in methods)
