"""A 4-bit copy of a checkpoint on disk, itself a checkpoint folder: made once, it loads in a quarter of the bytes.

Its tensors are those of `layout`, the same for every device: codes with their scales, rows in 8 bits with theirs, and
everything else in bf16 under its published name. Its index says what it was made of.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from moss_cli.engine.checkpoint import QUANTISED_DTYPES, CheckpointFiles, read_headers, weight_files
from moss_cli.engine.config import load_config, read_json
from moss_cli.engine.devices import FourBit
from moss_cli.engine.int4 import GROUP
from moss_cli.engine.model import MossAudio
from moss_cli.engine.nf4 import BLOCK
from moss_cli.engine.quantize import PARTS, eight_bit_rows, four_bit_weight, in_4_bits, in_8_bits, row_pieces
from moss_cli.engine.weights import (
    Destination,
    Shape,
    empty_model,
    in_threads,
    is_tied,
    merged_shape,
    meta_model,
    wanted,
)
from moss_cli.errors import ModelError, OutputError, UsageError

FORMAT = "moss-4bit-1"
INDEX, WEIGHTS = "model.safetensors.index.json", "model-00001-of-00001.safetensors"
BESIDE = ("*.json", "*.txt", "*.jinja", "LICENSE*")  # copied: configuration, tokenizer, licence
MARGIN = 50_000_000  # bytes that stay free on the disk; chosen
NAMES = {dtype: name for name, dtype in QUANTISED_DTYPES.items()}
HINT = "make it anew with `moss models quantize NAME`"

Progress = Callable[[int, int], None]  # bytes written, of how many


@dataclass(frozen=True)
class SourceFile:
    """A file of weights that a copy was made of. sha256: of its content; size and mtime_ns tell quickly of a change."""

    name: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class CopyInfo:
    """What a copy says of itself: what 4-bit is in it, and what it was made of."""

    kind: FourBit
    revision: str | None
    files: tuple[SourceFile, ...]

    def is_of(self, source: Path, revision: str | None) -> bool:
        """Whether a checkpoint is still what the copy was made of, by revision, names, sizes and times."""
        made_of = {(file.name, file.size, file.mtime_ns) for file in self.files}
        return revision == self.revision and made_of == {_look(path) for path in weight_files(source)}


def _look(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return path.name, stat.st_size, stat.st_mtime_ns


def read_copy_info(folder: Path) -> CopyInfo | None:
    """What a folder says of itself; None if it is no copy. Raises ModelError for one that is damaged."""
    if not (folder / INDEX).exists():
        return None
    values = read_json(folder / INDEX).get("metadata")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        return None
    try:
        files = tuple(SourceFile(**file) for file in values["files"])
        if values["kind"] not in get_args(FourBit):
            raise ValueError(values["kind"])
        return CopyInfo(values["kind"], values["revision"], files)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / INDEX} is damaged", hint=HINT) from error


@dataclass(frozen=True)
class Held:
    """A tensor of a copy."""

    name: str
    shape: Shape
    dtype: torch.dtype

    @property
    def n_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def held_at(to: Destination, shapes: list[Shape], kind: FourBit, *, tied: bool) -> list[Held]:
    """What a copy has for a destination, whose tensors have these shapes in the checkpoint."""
    whole = merged_shape(shapes)
    if in_8_bits(to, tied=tied):
        values = Held(f"{to.module}.int8.values", whole, torch.int8)
        return [values, Held(f"{to.module}.int8.scales", whole[:1], torch.float32)]
    if not in_4_bits(to, whole, kind):
        return [Held(name, shape, torch.bfloat16) for name, shape in zip(to.names, shapes, strict=True)]
    n_out, n_in = whole
    scales: Shape = (n_out * n_in // BLOCK,) if kind == "nf4" else (n_out, n_in // GROUP)
    codes = Held(f"{to.module}.{kind}.codes", (n_out, n_in // 2), torch.uint8)
    return [codes, *(Held(f"{to.module}.{kind}.{part}", scales, torch.bfloat16) for part in PARTS[kind][1:])]


def layout(model: MossAudio, kind: FourBit, *, tied: bool) -> list[tuple[Destination, list[Held]]]:
    """Every tensor of the copy of a model that is on the meta device, in the order in which they are written."""
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    places = wanted(model, tied=tied)
    return [(to, held_at(to, [shapes[name] for name in to.names], kind, tied=tied)) for to in places]


def open_copy(folder: Path, info: CopyInfo) -> tuple[CheckpointFiles, MossAudio]:
    """A copy's tensors, and the empty model that they belong to. Raises ModelError."""
    try:
        infos = read_headers(folder, QUANTISED_DTYPES)
    except ModelError as error:  # whose hint is for what was pulled
        raise ModelError(error.message, hint=HINT) from error
    tensors = CheckpointFiles(infos)
    model = meta_model(load_config(folder), len(infos))
    for _, parts in layout(model, info.kind, tied=is_tied(model, tensors.shapes)):
        for part in parts:
            if part.name not in infos:
                raise ModelError(f"{folder} has no tensor {part.name}", hint=HINT)
            if (infos[part.name].shape, infos[part.name].dtype) != (part.shape, part.dtype):
                raise ModelError(f"{folder}: tensor {part.name} is not as config.json asks for it", hint=HINT)
    return tensors, model


def write_copy(
    source: Path, target: Path, *, kind: FourBit, revision: str | None = None, progress: Progress | None = None
) -> None:
    """Write the 4-bit copy of a checkpoint folder, whole or not at all. An earlier copy there is replaced.

    Raises ModelError, OutputError, UsageError.
    """
    if read_copy_info(source):
        raise UsageError(f"{source} is a 4-bit copy already")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is not a folder", hint="name another folder with -o")
    if target.exists() and any(target.iterdir()) and not read_copy_info(target):
        raise UsageError(f"{target} is not empty, and no copy that moss made", hint="name another folder with -o")
    tensors = CheckpointFiles(read_headers(source))
    model = empty_model(load_config(source), tensors.shapes)
    parts = layout(model, kind, tied=is_tied(model, tensors.shapes))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(target.parent, sum(part.n_bytes for _, held in parts for part in held))
        with _Draft(target) as draft:
            info = CopyInfo(kind, revision, tuple(_source_file(path) for path in weight_files(source)))
            _copy_beside(source, draft)
            _write_weights(draft / WEIGHTS, tensors, parts, kind, progress)
            _write_index(draft / INDEX, info, [part for _, held in parts for part in held])
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}") from error


def _check_room(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < n_bytes + MARGIN:
        raise OutputError(
            f"the copy takes {n_bytes / 1e9:.1f} GB, and {folder} has room for {free / 1e9:.1f} GB",
            hint="name a folder on another disk with -o",
        )


def _source_file(path: Path) -> SourceFile:
    name, size, mtime_ns = _look(path)
    return SourceFile(name, size, mtime_ns, _sha256(path))


def _sha256(path: Path) -> str:
    real = path.resolve()
    if real.parent.name == "blobs" and len(real.name) == 64:  # the hub's cache calls files by it
        return real.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_beside(source: Path, target: Path) -> None:
    for pattern in BESIDE:
        for path in source.glob(pattern):
            if path.is_file() and path.name != INDEX:
                shutil.copyfile(path, target / path.name)


def _write_weights(
    path: Path,
    tensors: CheckpointFiles,
    parts: list[tuple[Destination, list[Held]]],
    kind: FourBit,
    progress: Progress | None,
) -> None:
    everything = [part for _, held in parts for part in held]
    n_bytes, n_written = sum(part.n_bytes for part in everything), 0
    with path.open("wb") as file:
        file.write(_header(everything))
        for made in in_threads(lambda one: list(_made(tensors, *one, kind)), parts):
            for tensor in made:
                file.write(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
                n_written += tensor.nbytes
            if progress is not None:
                progress(n_written, n_bytes)
        file.flush()
        os.fsync(file.fileno())


def _made(tensors: CheckpointFiles, to: Destination, held: list[Held], kind: FourBit) -> Iterator[Tensor]:
    """The tensors of a destination, in their order."""
    if held[0].dtype == torch.int8:
        rows = [eight_bit_rows(tensors, to.module, *piece) for piece in row_pieces(held[0].shape[0])]
        yield torch.cat([piece.values for piece in rows])
        yield torch.cat([piece.scales for piece in rows])
    elif weight := four_bit_weight(tensors, to, kind, torch.device("cpu")):
        yield from (getattr(weight, part) for part in PARTS[kind])
    else:
        yield from (tensors.read(name).to(torch.bfloat16) for name in to.names)


def _header(parts: list[Held]) -> bytes:
    """Of a safetensors file that has these tensors one after another; its source is named in checkpoint.py."""
    entries, offset = {}, 0
    for part in parts:
        end = offset + part.n_bytes
        entries[part.name] = {"dtype": NAMES[part.dtype], "shape": list(part.shape), "data_offsets": [offset, end]}
        offset = end
    header = json.dumps({"__metadata__": {"format": FORMAT}, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header


def _write_index(path: Path, info: CopyInfo, parts: list[Held]) -> None:
    index: dict[str, Any] = {
        "metadata": {"format": FORMAT, "total_size": sum(part.n_bytes for part in parts), **asdict(info)},
        "weight_map": {part.name: WEIGHTS for part in parts},
    }
    with path.open("w", encoding="utf-8") as file:
        json.dump(index, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


class _Draft:
    """A folder beside the target that takes its place when it is left without an error, and else goes."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder = target.with_name(f".{target.name}.{os.getpid()}.part")
        self._old = target.with_name(f".{target.name}.{os.getpid()}.old")

    def __enter__(self) -> Path:
        for left in self._target.parent.glob(f".{self._target.name}.*.part"):  # by a run that was killed
            if not _is_running(left.name.split(".")[-2]):
                shutil.rmtree(left, ignore_errors=True)
        self._folder.mkdir()
        return self._folder

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        if self._target.exists():
            self._target.rename(self._old)
        self._folder.rename(self._target)
        shutil.rmtree(self._old, ignore_errors=True)
        folder = os.open(self._target.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        pass
    return True
