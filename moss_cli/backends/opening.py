"""Which backend answers for a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from moss_cli.backends.protocol import Backend
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
    """The local engine with a model's checkpoint, or the server that has one; see `OpenBackend`."""
    if model.served is not None:
        return _server(model, device, dtype, n_together, has_forms=has_forms)
    from moss_cli.backends.local import LocalBackend
    from moss_cli.engine.engine import load_engine
    from moss_cli.models.quantised import quantised_folder

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


def _server(model: Resolved, device: str, dtype: str, n_together: int | None, *, has_forms: bool) -> Backend:
    from moss_cli.backends.server_opening import open_server

    backend = open_server(model, n_together=n_together, has_forms=has_forms)
    chosen = [name for name, value in (("--device", device), ("--dtype", dtype)) if value != "auto"]
    if chosen:
        message = f"{' and '.join(chosen)} cannot be chosen here: the server has loaded the model"
        backend.info = replace(backend.info, warnings=(*backend.info.warnings, message))
    return backend
