"""The model that is measured: a checkpoint's, or one of random weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from moss_cli.bench.memory import MemoryUse, PeakMemory
from moss_cli.bench.shapes import NamedShape
from moss_cli.engine.checkpoint import CheckpointFiles, Tensors, read_headers
from moss_cli.engine.config import MossConfig
from moss_cli.engine.devices import (
    FourBit,
    Placement,
    free_bytes,
    pick_device,
    pick_placement,
    threads_for,
)
from moss_cli.engine.engine import fill_model, load_engine
from moss_cli.engine.fit import HEADROOM
from moss_cli.engine.model import MossAudio
from moss_cli.engine.quantize import EMBEDDINGS, is_quantised
from moss_cli.engine.random_weights import RandomTensors, checkpoint_shapes
from moss_cli.engine.weights import meta_model
from moss_cli.errors import DeviceError


@dataclass(frozen=True)
class Subject:
    """A loaded model. `tensors`: its weights as the checkpoint has them, for a second implementation to load;
    `is_random`: whether they were drawn."""

    name: str
    is_random: bool
    model: MossAudio
    placement: Placement
    tensors: Callable[[], Tensors]
    load_s: float
    load_memory: MemoryUse

    @property
    def config(self) -> MossConfig:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def n_parameters(self) -> int:
        return sum(math.prod(shape) for shape in checkpoint_shapes(self.config).values())


def load_shape(shape: NamedShape, *, device: str, dtype: str) -> Subject:
    """A model of random weights. Raises DeviceError, before it takes memory, where there is not enough of it."""
    n_parameters = sum(map(math.prod, checkpoint_shapes(shape.config).values()))
    asked, four_bit = _split(dtype)
    placement = pick_placement(device, asked, n_parameters, four_bit=four_bit)
    check_room(shape.name, shape.config, placement)
    torch.set_num_threads(threads_for(placement.device, n_parameters))
    began = time.perf_counter()
    with PeakMemory(placement.device) as peak:
        tensors = RandomTensors(shape.config)
        model = meta_model(shape.config, len(tensors.shapes))
        fill_model(model, tensors, placement)
    return Subject(shape.name, True, model, placement, lambda: tensors, time.perf_counter() - began, peak.use)


def load_folder(
    name: str, folder: Path, *, device: str, dtype: str, revision: str | None = None, copy: Path | None = None
) -> Subject:
    """A checkpoint's model; `revision` and `copy`: see `load_engine`. Raises ModelError, DeviceError, UsageError."""
    asked, four_bit = _split(dtype)
    with PeakMemory(pick_device(device)) as peak:
        engine = load_engine(folder, device=device, dtype=asked, four_bit=four_bit, revision=revision, copy=copy)

    def tensors() -> Tensors:
        return CheckpointFiles(read_headers(folder))

    return Subject(name, False, engine.model, engine.placement, tensors, engine.load_seconds, peak.use)


def _split(dtype: str) -> tuple[str, FourBit | None]:
    """A dtype as the engine is asked for it, and which of the 4-bit ones it is to be."""
    kinds: dict[str, FourBit] = {"nf4": "nf4", "int4": "int4"}
    return ("4bit", kinds[dtype]) if dtype in kinds else (dtype, None)


def check_room(what: str, config: MossConfig, placement: Placement) -> None:
    """Raise DeviceError if weights of this size do not fit on the device."""
    needed = int(HEADROOM * weight_bytes(config, placement))
    free = free_bytes(placement.device)
    if needed > free:
        has = f"{placement.device} has {free / 1e9:.1f} GB free"
        raise DeviceError(
            f"{what} takes {needed / 1e9:.1f} GB as {placement.dtype}, and {has}",
            hint="try --dtype 4bit, or a smaller --shape",
            code="out_of_memory",
        )


def weight_bytes(config: MossConfig, placement: Placement) -> int:
    """Bytes of the weights as they are held, at the most: what is in 4 bits has up to 4 bytes of scales for 64 values,
    and the embeddings beside it take a byte each."""
    shapes = checkpoint_shapes(config)
    sizes = {name.removesuffix(".weight"): math.prod(shape) for name, shape in shapes.items()}
    if placement.four_bit is None:
        return sum(sizes.values()) * placement.compute.itemsize
    in_4_bits = sum(size for name, size in sizes.items() if is_quantised(name))
    rest = sum(sizes.values()) - in_4_bits - sizes[EMBEDDINGS]
    return in_4_bits // 2 + in_4_bits // 64 * 4 + sizes[EMBEDDINGS] + rest * placement.compute.itemsize
