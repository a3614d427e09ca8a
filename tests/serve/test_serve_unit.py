"""The unit for systemd that the page shows is the file beside it."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_unit_on_the_page_is_the_file() -> None:
    assert (DOCS / "moss.service").read_text(encoding="utf-8").strip() in (DOCS / "serve.md").read_text(
        encoding="utf-8"
    )
