"""Entry point of `moss` and of `python -m moss_cli`."""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """Run the command line and exit with its code."""
    if os.uname().machine == "x86_64":  # elsewhere torch has OpenBLAS, too
        # numpy's products here are small: its threads would wait for each other, and for cores that a model has.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it reads what is installed to look for some
    from moss_cli.cli.main import run

    code = run(sys.argv[1:])
    if any(thread.daemon for thread in threading.enumerate()):
        # It still loads or reads: the interpreter's end would unwind it inside a library, which then aborts.
        _flush()
        os._exit(code)
    sys.exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # said already, or nobody is there to be told
            continue


if __name__ == "__main__":
    main()
