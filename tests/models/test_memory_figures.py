"""What models.toml says of memory is what the engine takes."""

from __future__ import annotations

import pytest

from moss_cli.bench.shapes import parse_shape
from moss_cli.engine.quantised_copy import layout
from moss_cli.engine.weights import meta_model
from moss_cli.models.registry import load_registry

RELEASED = [name for name, entry in load_registry().entries.items() if entry.hub]


@pytest.mark.parametrize("name", RELEASED)
def test_the_figures_of_the_released_models(name: str) -> None:
    shape = "4b" if name.startswith("4b") else "8b"
    model = meta_model(parse_shape(shape).config, 901)
    memory = load_registry().entries[name].memory
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    header = memory["bf16"] - 2 * n_parameters  # of the files, and what the shape differs by
    assert 0 <= header < 7_000_000
    in_4_bits = [sum(one.n_bytes for _, held in layout(model, kind, tied=False) for one in held) for kind in KINDS]
    assert memory["4bit"] == max(in_4_bits)


KINDS = ("nf4", "int4")
