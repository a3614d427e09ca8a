"""Render the bank of notes that pieces of music are mixed from in training.

python -m training.domains.music_bank --out DIR

Nothing is drawn by chance: every bank is the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.domains.notes import write_bank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    write_bank(parser.parse_args().out)


if __name__ == "__main__":
    main()
