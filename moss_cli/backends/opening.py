"""Which backend answers for a model."""

from __future__ import annotations

from typing import Protocol

from moss_cli.backends.protocol import Backend
from moss_cli.models.quantised import quantised_folder
from moss_cli.models.registry import Resolved


class OpenBackend(Protocol):
    """Loads a model. Raises ModelError, DeviceError or UsageError.

    `n_together`: how many requests are answered together; None for as many as memory allows. `has_forms`: answers
    will be asked for in a form, which may take preparing.
    """

    def __call__(
        self, model: Resolved, *, device: str, dtype: str, n_together: int | None, has_forms: bool
    ) -> Backend: ...


def open_backend(model: Resolved, *, device: str, dtype: str, n_together: int | None, has_forms: bool) -> Backend:
    """The local engine with a model's checkpoint; see `OpenBackend`."""
    from moss_cli.backends.local import LocalBackend
    from moss_cli.engine.engine import load_engine

    engine = load_engine(
        model.folder,
        device=device,
        dtype=dtype,
        with_grammars=has_forms,
        revision=model.revision,
        copy=quantised_folder(model),
    )
    return LocalBackend(engine, n_together)


def return_memory() -> None:
    """Hand back to the system and the device what a backend has left behind that was closed and dropped."""
    import torch

    from moss_cli.engine.memory import return_freed

    return_freed()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
