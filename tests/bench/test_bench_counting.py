"""What a step has to move and a prefill to compute, against counts made by hand."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from moss_cli.bench.counting import held_bytes, kv_bytes, layer_weights, prefill_operations, read_bytes, step_bytes
from moss_cli.bench.shapes import parse_shape
from moss_cli.bench.subject import load_shape
from moss_cli.engine.config import LanguageConfig
from moss_cli.engine.linear import PackedLinear
from moss_cli.engine.nf4 import NF4Linear, quantise_nf4

# Two layers of hidden size 4, 2 query heads and 1 of keys and values, of 3 dimensions each, feed-forward 5, 7 tokens.
SMALL = LanguageConfig(
    hidden_size=4,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=3,
    intermediate_size=5,
    vocab_size=7,
)
# q 6 x 4, k and v 3 x 4, o 4 x 6, gate and up 5 x 4, down 4 x 5
LINEARS = 24 + 12 + 12 + 24 + 20 + 20 + 20
NORMS = 4 + 4 + 3 + 3  # before attention and feed-forward; of queries and keys


def test_the_weights_of_a_layer() -> None:
    assert layer_weights(SMALL) == LINEARS == 132


def test_keys_and_values() -> None:
    # keys and values, 2 layers, 1 head of 3 dimensions, 2 bytes each, for 10 positions
    assert kv_bytes(SMALL, 10, 2) == 2 * 2 * 1 * 3 * 2 * 10 == 240


def test_a_step_moves_the_layers_the_last_norm_the_head_and_every_row_s_cache() -> None:
    shape = parse_shape("tiny")
    shape = replace(shape, config=replace(shape.config, language=SMALL, deepstack_num_inject_layers=2))
    for dtype, itemsize in (("fp32", 4), ("bf16", 2)):
        model = load_shape(shape, device="cpu", dtype=dtype).model
        weights = 2 * (LINEARS + NORMS) + 4 + 7 * 4
        assert step_bytes(model, 3, 10) == itemsize * weights + 3 * kv_bytes(SMALL, 10, itemsize)


def test_4_bit_weights_count_with_their_scales() -> None:
    linear = NF4Linear(quantise_nf4(torch.zeros(32, 128)), torch.float32)
    assert held_bytes(linear) == 32 * 128 // 2 + 32 * 128 // 64 * 2


def test_the_embeddings_are_not_read_in_a_step_but_the_head_is_whatever_holds_it() -> None:
    model = load_shape(parse_shape("128x1:vocab=64"), device="cpu", dtype="int4").model
    assert step_bytes(model, 1, 0) == read_bytes(model.language_model.layers) + read_bytes(
        model.language_model.norm
    ) + read_bytes(model.lm_head)
    assert read_bytes(model.lm_head) >= 64 * 128


def test_what_two_modules_share_counts_once() -> None:
    one, other = nn.Linear(3, 5, bias=False), nn.Linear(3, 5, bias=False)
    other.weight = one.weight
    assert held_bytes(nn.ModuleList([one, other])) == 3 * 5 * 4


def test_what_a_module_keeps_beside_its_parameters_counts() -> None:
    linear = nn.Linear(3, 5, bias=False)
    linear.packed = (torch.zeros(7, dtype=torch.int8),)
    assert held_bytes(linear) == 3 * 5 * 4 + 7


def test_a_weight_that_is_kept_in_two_layouts_is_read_in_one() -> None:
    small = PackedLinear(torch.zeros(64, 32))
    assert small.transposed is not None
    assert read_bytes(small) == 64 * 32 * 4
    assert held_bytes(small) >= 2 * 64 * 32 * 4


def test_the_operations_of_a_prefill() -> None:
    # 2 layers: two for each weight and token, and 4 x 2 heads x 3 dimensions for each of 1 + 2 + 3 pairs of positions
    assert prefill_operations(SMALL, 1, 3) == 2 * (2 * 132 * 3 + 4 * 6 * 6) + 2 * 4 * 7
    assert prefill_operations(SMALL, 5, 3) == 5 * prefill_operations(SMALL, 1, 3)
