"""Loading a checkpoint's tensors: safetensors only, checked before memory is taken for them.

The model is built on the meta device; each tensor is read, brought to its dtype and device, and
put in its place, so that there is never a second copy of the weights in memory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from moss_cli.engine.config import MossConfig, read_json
from moss_cli.engine.model import MossAudio
from moss_cli.errors import ModelError, counted

MAX_HEADER_BYTES = 100_000_000  # as safetensors itself has it
DTYPE_BYTES = {"BF16": 2, "F16": 2, "F32": 4}
HINT = "delete it and fetch it again with `moss models pull`"
HINT_FOLDER = "is this a checkpoint folder?"

Place = Callable[[MossAudio, str, Tensor], None]  # puts one tensor of a name into the model


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies, and what its header says of it."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


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


def read_header(path: Path) -> dict[str, TensorInfo]:
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
        tensors = {name: _tensor_info(path, name, entry) for name, entry in header.items() if name != "__metadata__"}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError(f"the header of {path} is damaged", hint=HINT) from error
    needed = 8 + n_header + max(ends, default=0)
    if size < needed:
        raise ModelError(f"{path} is cut short: {size} of {needed} bytes", hint=HINT)
    return tensors


def _tensor_info(path: Path, name: str, entry: dict[str, Any]) -> TensorInfo:
    shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
    if entry["dtype"] not in DTYPE_BYTES:
        raise ModelError(f"{path}: {name} has dtype {entry['dtype']}; only BF16, F16 and F32 are known")
    if not all(type(n) is int and n >= 0 for n in (*shape, start, end)):
        raise ValueError(name)
    if end - start != prod(shape) * DTYPE_BYTES[entry["dtype"]]:
        raise ModelError(f"{path}: {name} has {counted(end - start, 'byte')} for shape {list(shape)}", hint=HINT)
    return TensorInfo(path, shape, entry["dtype"])


def read_headers(folder: Path) -> dict[str, TensorInfo]:
    """Every tensor of a checkpoint. Raises ModelError."""
    tensors: dict[str, TensorInfo] = {}
    for path in weight_files(folder):
        tensors.update(read_header(path))
    return tensors


def empty_model(config: MossConfig, found: dict[str, TensorInfo]) -> MossAudio:
    """The model on the meta device, its names and shapes compared with what the files hold."""
    n_layers = config.audio.encoder_layers + config.language.num_hidden_layers
    if n_layers > len(found):  # before a module is built for each
        held = counted(len(found), "tensor")
        raise ModelError(f"config.json asks for {n_layers} layers, and the checkpoint has only {held}")
    try:
        with torch.device("meta"):
            model = MossAudio(config)
    except RuntimeError as error:  # the product of two sizes is beyond 64 bits
        raise ModelError("config.json asks for tensors larger than any memory") from error
    for name, parameter in model.named_parameters():
        if name == "lm_head.weight" and config.language.tie_word_embeddings:
            continue
        if name not in found:
            raise ModelError(f"the checkpoint has no tensor {name}", hint=HINT)
        if found[name].shape != tuple(parameter.shape):
            raise ModelError(
                f"tensor {name} has shape {list(found[name].shape)}; config.json asks for {list(parameter.shape)}"
            )
    return model.eval()


def unknown_tensors(model: MossAudio, found: dict[str, TensorInfo]) -> list[str]:
    """Tensors that no part of the model takes."""
    known = {name for name, _ in model.named_parameters()}
    return sorted(set(found) - known)


def fill(model: MossAudio, found: dict[str, TensorInfo], place: Place) -> None:
    """Read every tensor that the model has and hand it to `place`. Raises ModelError, also for values that
    are no numbers: one of them makes every answer noise."""
    wanted = [name for name, _ in model.named_parameters() if name in found]
    tied = "lm_head.weight" not in found or model.config.language.tie_word_embeddings
    for name, tensor in _tensors(found, wanted):
        if not (tied and name == "lm_head.weight"):
            _check_finite(found[name].file, name, tensor)
            place(model, name, tensor)
    if tied:
        model.lm_head.weight = model.language_model.embed_tokens.weight


def _check_finite(path: Path, name: str, tensor: Tensor) -> None:
    # A sum is finite only if every value is, and ten times as quick as isfinite(). Only float16 could overflow in it.
    total = tensor.sum(dtype=torch.float32 if tensor.dtype == torch.float16 else None)
    if not torch.isfinite(total):
        raise ModelError(f"{path}: tensor {name} has values that are no numbers", hint=HINT)


def _tensors(found: dict[str, TensorInfo], wanted: list[str]) -> Iterator[tuple[str, Tensor]]:
    for path in sorted({found[name].file for name in wanted}):
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for name in wanted:
                    if found[name].file == path:
                        yield name, file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} cannot be read: {error}", hint=HINT) from error


def put(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Replace the meta parameter `name` by `tensor`, without a copy."""
    owner, _, leaf = name.rpartition(".")
    model.get_submodule(owner).register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
