"""The tensors of a checkpoint on disk: safetensors only, checked before memory is taken for them.

They are read, not mapped: what has been copied into the model leaves nothing behind in the process.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from moss_cli.engine.config import read_json
from moss_cli.errors import ModelError, counted

MAPPED_BYTES = 1_000_000  # chosen
MAX_HEADER_BYTES = 100_000_000  # as safetensors itself has it
DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
QUANTISED_DTYPES = {"BF16": torch.bfloat16, "U8": torch.uint8, "I8": torch.int8, "F32": torch.float32}
HINT = "copy it here again; of a model from the hub, `moss models pull NAME` mends what is damaged"
HINT_FOLDER = "is this a checkpoint folder?"


class Tensors(Protocol):
    """Tensors by name, read when they are asked for, from several threads at a time."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of each."""

    def read(self, name: str, first: int = 0, last: int | None = None) -> Tensor:
        """The rows [first, last) of one, on the CPU. Raises ModelError."""


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies, and what its header says of it. `offset`: of its first byte in the file."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype
    offset: int


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, all present. Raises ModelError naming a missing one."""
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if not index.exists():
        if not single.exists():
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth"))
            hint = "pickled weights are not read: convert them to safetensors" if pickled else HINT_FOLDER
            raise ModelError(f"{folder} has no model.safetensors", hint=hint)
        return [single]
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ModelError(f"{index} has no weight_map")
    files = []
    for name in sorted(set(names.values())):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"{index} names {name!r}, which is not a file of the checkpoint")
        if not (folder / name).exists():
            raise ModelError(f"{folder} has no {name}, which its index names", hint=HINT)
        files.append(folder / name)
    return files


def read_header(path: Path, dtypes: Mapping[str, torch.dtype] = DTYPES) -> dict[str, TensorInfo]:
    """Names, shapes and dtypes in one file, after checking that the file is as long as they need.

    Source of the format: huggingface/safetensors README: u64 length, JSON header, data.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            n_header = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
            if n_header > min(MAX_HEADER_BYTES, size - 8):
                raise ModelError(
                    f"{path} is cut short or is not a safetensors file ({counted(size, 'byte')})", hint=HINT
                )
            header: dict[str, Any] = json.loads(file.read(n_header))
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        tensors = {name: _tensor_info(path, name, entry, 8 + n_header, dtypes) for name, entry in entries.items()}
        ends = [entry["data_offsets"][1] for entry in entries.values()]
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError(f"the header of {path} is damaged", hint=HINT) from error
    needed = 8 + n_header + max(ends, default=0)
    if size < needed:
        raise ModelError(f"{path} is cut short: {size} of {needed} bytes", hint=HINT)
    return tensors


def _tensor_info(
    path: Path, name: str, entry: dict[str, Any], data: int, dtypes: Mapping[str, torch.dtype]
) -> TensorInfo:
    shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
    if entry["dtype"] not in dtypes:
        *others, last = dtypes
        known = f"{', '.join(others)} and {last}"
        raise ModelError(f"{path}: {name} has dtype {entry['dtype']}; only {known} are known")
    if not all(type(n) is int and n >= 0 for n in (*shape, start, end)):
        raise ValueError(name)
    if end - start != prod(shape) * dtypes[entry["dtype"]].itemsize:
        raise ModelError(f"{path}: {name} has {counted(end - start, 'byte')} for shape {list(shape)}", hint=HINT)
    return TensorInfo(path, shape, dtypes[entry["dtype"]], data + start)


def read_headers(folder: Path, dtypes: Mapping[str, torch.dtype] = DTYPES) -> dict[str, TensorInfo]:
    """Every tensor of a checkpoint. Raises ModelError."""
    tensors: dict[str, TensorInfo] = {}
    for path in weight_files(folder):
        tensors.update(read_header(path, dtypes))
    return tensors


@dataclass(frozen=True)
class CheckpointFiles:
    """The tensors of a checkpoint folder, by their headers."""

    infos: Mapping[str, TensorInfo]

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: info.shape for name, info in self.infos.items()}

    def read(self, name: str, first: int = 0, last: int | None = None) -> Tensor:
        """The rows [first, last) of a tensor. Raises ModelError, also for values that are no numbers: one of them makes
        every answer noise."""
        info = self.infos[name]
        rows = info.shape[:1] and (len(range(info.shape[0])[first:last]),)
        tensor = _mapped(rows + info.shape[1:], info.dtype)
        row_bytes = prod(info.shape[1:]) * info.dtype.itemsize
        _read_into(tensor, info.file, info.offset + first * row_bytes)
        if info.dtype.is_floating_point:
            _check_finite(info.file, name, tensor)
        return tensor


def _mapped(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor in memory of its own, which goes back to the system with it: the C library would keep much of it."""
    n_bytes = prod(shape) * dtype.itemsize
    if n_bytes < MAPPED_BYTES:
        return torch.empty(shape, dtype=dtype)
    memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # shared is what it is by itself
    return torch.frombuffer(memory, dtype=dtype).view(shape)


def _read_into(tensor: Tensor, path: Path, offset: int) -> None:
    buffer = tensor.view(-1).view(torch.uint8).numpy()
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            while buffer.size:
                n_read = file.readinto(buffer.data)
                if not n_read:
                    raise ModelError(f"{path} has become shorter while it was read", hint=HINT)
                buffer = buffer[n_read:]
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _check_finite(path: Path, name: str, tensor: Tensor) -> None:
    # A sum is finite only if every value is, and ten times as quick as isfinite(). Only float16 could overflow in it.
    total = tensor.sum(dtype=torch.float32 if tensor.dtype == torch.float16 else None)
    if not torch.isfinite(total):
        raise ModelError(f"{path}: tensor {name} has values that are no numbers", hint=HINT)
