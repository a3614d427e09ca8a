"""Putting a checkpoint's tensors into the model.

The model is built on the meta device; each tensor is read, brought to its dtype and device and laid out for its kernel
in one of several threads, and put in its place, so that there is never a second copy of the weights in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from moss_cli.engine.checkpoint import HINT, Tensors
from moss_cli.engine.config import MossConfig
from moss_cli.engine.linear import frozen_linear
from moss_cli.engine.model import MossAudio
from moss_cli.errors import ModelError, counted

LARGE = 100_000_000  # values; read first, while there is still room for what they need beside themselves
MOST_THREADS = 8  # each holds a tensor or two; chosen

Item = TypeVar("Item")
Result = TypeVar("Result")
Shape = tuple[int, ...]
Made = nn.Module | Tensor  # a module for the place of another, or the values of a parameter
Make = Callable[[nn.Module, "Destination"], Made]  # what is to stand at a destination, whose owner is given


def empty_model(config: MossConfig, shapes: Mapping[str, Shape]) -> MossAudio:
    """The model on the meta device, its names and shapes compared with those of a checkpoint. Raises ModelError."""
    model = meta_model(config, len(shapes))
    for name, parameter in model.named_parameters():
        if name == "lm_head.weight" and config.language.tie_word_embeddings:
            continue
        if name not in shapes:
            raise ModelError(f"the checkpoint has no tensor {name}", hint=HINT)
        if shapes[name] != tuple(parameter.shape):
            raise ModelError(
                f"tensor {name} has shape {list(shapes[name])}; config.json asks for {list(parameter.shape)}"
            )
    return model


def meta_model(config: MossConfig, n_tensors: int) -> MossAudio:
    """The model on the meta device. Raises ModelError for more layers than there are tensors."""
    n_layers = config.audio.encoder_layers + config.language.num_hidden_layers
    if n_layers > n_tensors:  # before a module is built for each
        held = counted(n_tensors, "tensor")
        raise ModelError(f"config.json asks for {n_layers} layers, and the checkpoint has only {held}")
    try:
        with torch.device("meta"):
            return MossAudio(config).eval()
    except RuntimeError as error:  # the product of two sizes is beyond 64 bits
        raise ModelError("config.json asks for tensors larger than any memory") from error


def unknown_tensors(model: MossAudio, found: Mapping[str, Shape]) -> list[str]:
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

    @property
    def module(self) -> str:
        """The module that it is, or is a parameter of."""
        return f"{self.owner}.{self.leaf}" if len(self.names) > 1 else self.owner


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


def is_tied(model: MossAudio, shapes: Mapping[str, Shape]) -> bool:
    """Whether the embeddings are the output head, too."""
    return model.config.language.tie_word_embeddings or not any(name.startswith("lm_head.") for name in shapes)


def wanted(model: MossAudio, *, tied: bool) -> list[Destination]:
    """All destinations, the large ones first, and without a head that is the embeddings."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    all_of_them = [to for to in destinations(model) if not (tied and to.names == ("lm_head.weight",))]
    return sorted(all_of_them, key=lambda to: sum(sizes[name] for name in to.names) < LARGE)


def fill(model: MossAudio, make: Make, *, tied: bool) -> None:
    """Put what `make` gives, called in several threads, at every destination. Raises what `make` raises."""
    places = wanted(model, tied=tied)
    owners = [model.get_submodule(to.owner) for to in places]  # before the first of them is replaced
    made = in_threads(lambda i: make(owners[i], places[i]), range(len(places)))
    for to, one in zip(places, made, strict=True):
        _put(model, to, one)
    if tied:
        model.lm_head.weight = model.language_model.embed_tokens.weight


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of `work`, in order, made in as many threads as torch computes with.

    There are never more items begun and not yet taken than threads, so that no more is held at a time.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        yield from map(work, items)
        return
    begun: deque[Future[Result]] = deque()
    with _restored(n_threads), ThreadPoolExecutor(min(n_threads, MOST_THREADS), initializer=_compute_alone) as pool:
        try:
            for item in items:
                if len(begun) == min(n_threads, MOST_THREADS):
                    yield begun.popleft().result()
                begun.append(pool.submit(work, item))
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def _compute_alone() -> None:
    torch.set_num_threads(1)


@contextmanager
def _restored(n_threads: int) -> Iterator[None]:
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)  # what threads set for themselves is also the default of those that come later


def merged_shape(shapes: Sequence[Shape]) -> Shape:
    """The shape of weights one above the other."""
    return (sum(shape[0] for shape in shapes if shape), *shapes[0][1:])


def read_whole(tensors: Tensors, to: Destination) -> Tensor:
    """What is to stand at a destination, as the checkpoint has it."""
    parts = [tensors.read(name) for name in to.names]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


@dataclass(frozen=True)
class MakePlain:
    """Takes tensors as they are, in `dtype` on `device`; linears in the layout that suits them there."""

    tensors: Tensors
    device: torch.device
    dtype: torch.dtype

    def __call__(self, owner: nn.Module, to: Destination) -> Made:
        tensor = read_whole(self.tensors, to).to(self.device, self.dtype)
        if len(to.names) > 1:
            return frozen_linear(tensor)
        if isinstance(owner, nn.Linear) and to.leaf == "weight":
            return frozen_linear(tensor, owner.bias)
        return tensor


def _put(model: MossAudio, to: Destination, made: Made) -> None:
    owner = model.get_submodule(to.owner)
    if isinstance(made, Tensor):
        owner.register_parameter(to.leaf, nn.Parameter(made, requires_grad=False))
    elif len(to.names) > 1:
        setattr(owner, to.leaf, made)
        for part in owner.merged[to.leaf]:  # type: ignore[index]
            delattr(owner, part)
    else:
        parent, _, leaf = to.owner.rpartition(".")
        setattr(model.get_submodule(parent), leaf, made)
