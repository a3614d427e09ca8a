"""Loading a checkpoint's tensors: safetensors only, checked before memory is taken for them.

The model is built on the meta device; each tensor is read, brought to its dtype and device, and
put in its place, so that there is never a second copy of the weights in memory.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from moss_cli.engine.config import MossConfig, read_json
from moss_cli.engine.linear import frozen_linear
from moss_cli.engine.model import MossAudio
from moss_cli.errors import ModelError, counted

MAX_HEADER_BYTES = 100_000_000  # as safetensors itself has it
DTYPE_BYTES = {"BF16": 2, "F16": 2, "F32": 4}
HINT = "delete it and fetch it again with `moss models pull`"
HINT_FOLDER = "is this a checkpoint folder?"

Place = Callable[["MossAudio", "Destination", Tensor], None]  # puts a tensor where it belongs


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
    """Tensors that no part of the model, which is not loaded yet, takes."""
    known = {name for name, _ in model.named_parameters()}
    return sorted(set(found) - known)


@dataclass(frozen=True)
class Destination:
    """What is put into the model at once: a parameter `leaf` of the module `owner`, or, of several tensors, a merged
    linear of that name. `names`: the checkpoint's tensors that it consists of, one above the other."""

    owner: str
    leaf: str
    names: tuple[str, ...]


def destinations(model: MossAudio) -> Iterator[Destination]:
    """Where each of the checkpoint's tensors goes, module by module."""
    for path, module in model.named_modules():
        merged: dict[str, tuple[str, ...]] = getattr(module, "merged", {})
        for leaf, parts in merged.items():
            yield Destination(path, leaf, tuple(f"{path}.{part}.weight" for part in parts))
        parent, _, own = path.rpartition(".")
        if any(own in parts for parts in getattr(model.get_submodule(parent), "merged", {}).values()):
            continue
        for leaf, _ in module.named_parameters(recurse=False):
            yield Destination(path, leaf, (f"{path}.{leaf}",))


def fill(model: MossAudio, found: dict[str, TensorInfo], place: Place) -> None:
    """Read every tensor that the model has and hand it to `place`. Raises ModelError, also for values that
    are no numbers: one of them makes every answer noise."""
    tied = "lm_head.weight" not in found or model.config.language.tie_word_embeddings
    wanted = [to for to in list(destinations(model)) if not (tied and to.names == ("lm_head.weight",))]
    with _Reader(found) as read:
        for destination in wanted:
            parts = [read(name) for name in destination.names]
            place(model, destination, torch.cat(parts) if len(parts) > 1 else parts[0])
    if tied:
        model.lm_head.weight = model.language_model.embed_tokens.weight


class _Reader(ExitStack):
    """Reads tensors by name. Raises ModelError."""

    def __init__(self, found: dict[str, TensorInfo]) -> None:
        super().__init__()
        self._found = found
        self._open: dict[Path, Any] = {}

    def __call__(self, name: str) -> Tensor:
        path = self._found[name].file
        try:
            if path not in self._open:
                self._open[path] = self.enter_context(safe_open(path, framework="pt", device="cpu"))
            tensor: Tensor = self._open[path].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} cannot be read: {error}", hint=HINT) from error
        _check_finite(path, name, tensor)
        return tensor


def _check_finite(path: Path, name: str, tensor: Tensor) -> None:
    # A sum is finite only if every value is, and ten times as quick as isfinite(). Only float16 could overflow in it.
    total = tensor.sum(dtype=torch.float32 if tensor.dtype == torch.float16 else None)
    if not torch.isfinite(total):
        raise ModelError(f"{path}: tensor {name} has values that are no numbers", hint=HINT)


def put(model: MossAudio, to: Destination, tensor: Tensor) -> None:
    """Put a tensor in the place of meta parameters; a linear's weight in the layout that suits its device."""
    owner = model.get_submodule(to.owner)
    if len(to.names) > 1:
        set_merged(model, to, frozen_linear(tensor))
    elif isinstance(owner, nn.Linear) and to.leaf == "weight":
        replace_module(model, to.owner, frozen_linear(tensor, owner.bias))
    else:
        owner.register_parameter(to.leaf, nn.Parameter(tensor, requires_grad=False))


def set_merged(model: MossAudio, to: Destination, linear: nn.Module) -> None:
    """Put a merged linear in the place of those that it does the work of."""
    owner = model.get_submodule(to.owner)
    setattr(owner, to.leaf, linear)
    for part in owner.merged[to.leaf]:  # type: ignore[index]
        delattr(owner, part)


def replace_module(model: MossAudio, path: str, module: nn.Module) -> None:
    """Put a module in the place of the one at `path`."""
    parent, _, leaf = path.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
