"""Write docs/reference/ and man/ from the program.

python docs/make_reference.py            write them anew (`make reference`)
python docs/make_reference.py --check    exit with 1 and a list of the pages that are not what it would write
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def all_files() -> Mapping[Path, str]:
    """What is to stand in each file."""
    from making.commands import all_commands
    from making.manual import all_manuals
    from making.pages import all_pages

    root = all_commands()
    pages = {ROOT / "docs" / "reference" / name: text for name, text in all_pages(root).items()}
    return {**pages, **{ROOT / "man" / name: text for name, text in all_manuals(root).items()}}


def stale(files: Mapping[Path, str]) -> list[str]:
    """The files that are not as they should be, and those that should not be there."""
    there = [path for folder in ("docs/reference", "man") for path in sorted((ROOT / folder).glob("*"))]
    wrong = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return [str(path.relative_to(ROOT)) for path in [*wrong, *(path for path in there if path not in files)]]


def write(files: Mapping[Path, str]) -> None:
    """Write the files, and remove others from their folders."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in stale(files):
        (ROOT / name).unlink()


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the pages, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/reference/ and man/ from the program.")
    parser.add_argument("--check", action="store_true", help="compare only: exit with 1 where a page is not current")
    check = parser.parse_args(argv).check
    for name in [name for name in os.environ if name.startswith("MOSS_")]:
        del os.environ[name]  # nothing of this machine's user
    files = all_files()
    if not check:
        write(files)
        return 0
    wrong = stale(files)
    sys.stdout.write("".join(f"{name}\n" for name in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
