"""Shapes that are measured without weights."""

from __future__ import annotations

import math

import pytest

from moss_cli.bench.shapes import parse_shape
from moss_cli.engine.config import load_config
from moss_cli.engine.random_weights import checkpoint_shapes
from moss_cli.errors import UsageError
from moss_cli.models.registry import resolve


@pytest.mark.parametrize(("name", "n_tensors", "n_bytes"), [("4b", 901, 10_445_641_472), ("8b", 901, 18_104_926_976)])
def test_the_released_sizes_have_the_tensors_and_bytes_of_the_published_checkpoints(
    name: str, n_tensors: int, n_bytes: int
) -> None:
    shapes = checkpoint_shapes(parse_shape(name).config)
    assert len(shapes) == n_tensors
    assert 2 * sum(map(math.prod, shapes.values())) == n_bytes


def test_tiny_has_the_sizes_of_the_embedded_model() -> None:
    assert parse_shape("tiny").config == load_config(resolve("tiny").folder)


def test_numbers_of_a_shape_can_be_changed() -> None:
    shape = parse_shape("4b:layers=4:vocab=2048")
    assert shape.name == "4b:layers=4:vocab=2048"
    assert (shape.config.language.num_hidden_layers, shape.config.language.vocab_size) == (4, 2048)
    assert shape.config.language.hidden_size == 2560
    assert shape.config.audio == parse_shape("4b").config.audio


def test_no_more_taps_are_injected_than_there_are_layers() -> None:
    assert parse_shape("4b:layers=2").config.deepstack_num_inject_layers == 2


def test_a_size_by_its_numbers_has_the_proportions_of_qwen3() -> None:
    language = parse_shape("1024x12").config.language
    assert (language.hidden_size, language.num_hidden_layers, language.intermediate_size) == (1024, 12, 3072)
    assert (language.num_attention_heads, language.num_key_value_heads, language.head_dim) == (16, 8, 128)
    assert language.vocab_size == 151_936


@pytest.mark.parametrize(
    "text", ["", "2b", "4B", "tiny:", "4b:layers=0", "4b:heads=2", "4b:layers", "1000x4", "1024x0", "x4", "4b layers=4"]
)
def test_another_shape_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_shape(text)
    assert "HIDDENxLAYERS" in str(caught.value.hint)
