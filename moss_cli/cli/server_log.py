"""What a server says on stderr while it runs: a line each, with the time."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# What is said without --verbose. The parser of forms would complain of each that is malformed.
_LEVELS = {"moss_cli": logging.WARNING, "uvicorn.error": logging.ERROR, "python_multipart": logging.CRITICAL}


class _Lines(logging.Formatter):
    """One line for each record; tracebacks only where they are asked for."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record) if self._debug or not record.exc_info else self._short(record)
        return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)

    def _short(self, record: logging.LogRecord) -> str:
        record.asctime = self.formatTime(record, self.datefmt)
        record.message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return f"{self.formatMessage(record)}: {what}"


@contextmanager
def logging_to_stderr(*, verbose: bool, debug: bool) -> Iterator[None]:
    """Have what is logged said on stderr, on a descriptor of its own: while an MP3 file is read, stderr is muted."""
    with os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8", errors="backslashreplace") as stream:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Lines(debug=debug))
        loggers = {name: logging.getLogger(name) for name in _LEVELS}
        for name, logger in loggers.items():
            logger.setLevel(logging.INFO if verbose and name == "moss_cli" else _LEVELS[name])
            logger.addHandler(handler)
            logger.propagate = False
        try:
            yield
        finally:
            for logger in loggers.values():
                logger.removeHandler(handler)
