"""How much memory a model takes in a dtype, and whether a device has it."""

from __future__ import annotations

from moss_cli.engine.fit import HEADROOM, VALUE_BYTES, DeviceFacts
from moss_cli.models.entry import ModelEntry


def parameters_of(entry: ModelEntry) -> int | None:
    """The number of parameters by what models.toml says of memory, or else of the files; None where it says neither."""
    for dtype, n_bytes in entry.memory.items():
        if dtype in VALUE_BYTES:
            return n_bytes // VALUE_BYTES[dtype]
    return entry.size // 2 if entry.size else None  # released weights are bf16


def weights_bytes(entry: ModelEntry, dtype: str, n_parameters: int | None = None) -> int | None:
    """Bytes of the weights in a dtype; None where that is not known.

    n_parameters: by the checkpoint's headers. Where nothing says what 4bit takes, what bf16 takes, which is more.
    """
    n_parameters = n_parameters or parameters_of(entry)
    if dtype in entry.memory:
        return entry.memory[dtype]
    return None if n_parameters is None else n_parameters * VALUE_BYTES.get(dtype, 2)


def fits(entry: ModelEntry, dtype: str, facts: DeviceFacts, n_parameters: int | None = None) -> bool:
    """Whether the weights fit beside what else a run needs. What is not known is taken to fit."""
    needed = weights_bytes(entry, dtype, n_parameters)
    return needed is None or needed * HEADROOM < facts.free_bytes
