"""Audio analysis with the MOSS-Audio models. `Moss` is for Python, `moss` for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from moss_cli.api.moss import Moss
    from moss_cli.api.task_result import TaskResult
    from moss_cli.api.warn import MossWarning
    from moss_cli.errors import (
        AnswerError,
        AudioError,
        DeviceError,
        ModelError,
        MossError,
        OutputError,
        UsageError,
    )

__all__ = [
    "AnswerError",
    "AudioError",
    "DeviceError",
    "ModelError",
    "Moss",
    "MossError",
    "MossWarning",
    "OutputError",
    "TaskResult",
    "UsageError",
    "__version__",
]

_PLACES = {"Moss": "api.moss", "MossWarning": "api.warn", "TaskResult": "api.task_result"}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for: the command's help needs only the version."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
