"""The model that is measured: a checkpoint's, or one of random weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from moss_cli.bench.memory import MemoryUse, PeakMemory
from moss_cli.bench.shapes import NamedShape
from moss_cli.engine.config import MossConfig
from moss_cli.engine.devices import HEADROOM, Placement, free_bytes, pick_device, pick_placement, threads_for
from moss_cli.engine.engine import load_engine
from moss_cli.engine.model import MossAudio
from moss_cli.engine.quantize import BLOCK_SIZE, is_quantised, place_nf4
from moss_cli.engine.random_weights import checkpoint_shapes, random_weights
from moss_cli.engine.weights import destinations, put, read_headers
from moss_cli.errors import DeviceError

Weights = Callable[[], Iterator[tuple[str, Tensor]]]  # a checkpoint's tensors, from the first on, as often as asked


@dataclass(frozen=True)
class Subject:
    """A loaded model. `weights`: its tensors under the checkpoint's names, for a second implementation to load;
    `is_random`: whether they were drawn."""

    name: str
    is_random: bool
    model: MossAudio
    placement: Placement
    weights: Weights
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
    shapes = checkpoint_shapes(shape.config)
    n_parameters = sum(map(math.prod, shapes.values()))
    placement = pick_placement(device, dtype, n_parameters)
    check_room(shape.name, shape.config, placement)
    torch.set_num_threads(threads_for(placement.device, n_parameters))
    began = time.perf_counter()
    with PeakMemory(placement.device) as peak:
        model = _random_model(shape.config, placement)
    return Subject(
        shape.name,
        True,
        model,
        placement,
        lambda: random_weights(shape.config),
        time.perf_counter() - began,
        peak.use,
    )


def load_folder(name: str, folder: Path, *, device: str, dtype: str) -> Subject:
    """A checkpoint's model. Raises ModelError, DeviceError, UsageError."""
    with PeakMemory(pick_device(device)) as peak:
        engine = load_engine(folder, device=device, dtype=dtype)
    return Subject(
        name, False, engine.model, engine.placement, lambda: _of_folder(folder), engine.load_seconds, peak.use
    )


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
    """Bytes of the weights as they are held: 4-bit ones with a float32 scale a block."""
    shapes = checkpoint_shapes(config)
    in_4bit = placement.dtype == "4bit"
    small = sum(
        math.prod(shape) for name, shape in shapes.items() if in_4bit and is_quantised(name.removesuffix(".weight"))
    )
    rest = sum(map(math.prod, shapes.values())) - small
    return rest * placement.compute.itemsize + small // 2 + small // BLOCK_SIZE * 4


def _random_model(config: MossConfig, placement: Placement) -> MossAudio:
    with torch.device("meta"):
        model = MossAudio(config).eval()
    places = {name: to for to in list(destinations(model)) for name in to.names}
    parts: dict[str, Tensor] = {}
    for drawn, tensor in random_weights(config):
        parts[drawn] = tensor
        to = places[drawn]
        if all(name in parts for name in to.names):
            own = [parts.pop(name) for name in to.names]
            whole = torch.cat(own) if len(own) > 1 else own[0]
            del own, tensor
            if placement.dtype == "4bit":
                place_nf4(model, to, whole, placement.device, placement.compute)
            else:
                put(model, to, whole.to(placement.device, placement.compute))
    return model


def _of_folder(folder: Path) -> Iterator[tuple[str, Tensor]]:
    from safetensors import safe_open

    for path in sorted({info.file for info in read_headers(folder).values()}):
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dict
                yield name, file.get_tensor(name)
