"""Random weights under a checkpoint's names: to measure a size, or write it to disk, without anybody's weights."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

from moss_cli.engine.config import AudioConfig, LanguageConfig, MossConfig
from moss_cli.engine.encoder import n_tokens

# Numbers that are drawn once and handed out to all tensors. A prime, so that the rows of a matrix begin at other places
# of it; chosen: 8 MB in bf16.
POOL = 4_194_301

Shape = tuple[int, ...]


def checkpoint_shapes(config: MossConfig) -> dict[str, Shape]:
    """The shape of every tensor of a checkpoint of this size, by its published name."""
    shapes = _audio_shapes(config.audio)
    n_in, n_hidden, n_out = config.audio.output_dim, config.adapter_hidden_size, config.language.hidden_size
    mergers = [f"deepstack_audio_merger_list.{i}" for i in range(config.deepstack_num_inject_layers)]
    for owner in ("audio_adapter", *mergers):
        shapes |= _gated_mlp(owner, n_in, n_hidden, n_out)
    return shapes | _language_shapes(config.language)


def _audio_shapes(audio: AudioConfig) -> dict[str, Shape]:
    channels, width = audio.downsample_hidden_size, audio.d_model
    shapes: dict[str, Shape] = {}
    for i, n_in in enumerate((1, channels, channels), 1):
        shapes |= _with_bias(f"audio_encoder.conv{i}", (channels, n_in, 3, 3))
    shapes |= _with_bias("audio_encoder.stem_proj", (width, channels * n_tokens(audio.num_mel_bins)))
    for i in range(audio.encoder_layers):
        layer = f"audio_encoder.layers.{i}"
        for name in ("q_proj", "v_proj", "out_proj"):
            shapes |= _with_bias(f"{layer}.self_attn.{name}", (width, width))
        shapes[f"{layer}.self_attn.k_proj.weight"] = (width, width)
        shapes |= _with_bias(f"{layer}.self_attn_layer_norm", (width,))
        shapes |= _with_bias(f"{layer}.fc1", (audio.encoder_ffn_dim, width))
        shapes |= _with_bias(f"{layer}.fc2", (width, audio.encoder_ffn_dim))
        shapes |= _with_bias(f"{layer}.final_layer_norm", (width,))
    shapes |= _with_bias("audio_encoder.layer_norm", (width,))
    if audio.output_dim != width:
        shapes["audio_encoder.out_proj.weight"] = (audio.output_dim, width)
    return shapes


def _language_shapes(language: LanguageConfig) -> dict[str, Shape]:
    width, head = language.hidden_size, language.head_dim
    n_query, n_kv = language.num_attention_heads * head, language.num_key_value_heads * head
    shapes: dict[str, Shape] = {"language_model.embed_tokens.weight": (language.vocab_size, width)}
    for i in range(language.num_hidden_layers):
        layer = f"language_model.layers.{i}"
        shapes[f"{layer}.input_layernorm.weight"] = (width,)
        for name, rows in (("q_proj", n_query), ("k_proj", n_kv), ("v_proj", n_kv)):
            shapes[f"{layer}.self_attn.{name}.weight"] = (rows, width)
        shapes[f"{layer}.self_attn.o_proj.weight"] = (width, n_query)
        shapes[f"{layer}.self_attn.q_norm.weight"] = shapes[f"{layer}.self_attn.k_norm.weight"] = (head,)
        shapes[f"{layer}.post_attention_layernorm.weight"] = (width,)
        shapes |= _gated_mlp(f"{layer}.mlp", width, language.intermediate_size, width)
    shapes["language_model.norm.weight"] = (width,)
    if not language.tie_word_embeddings:
        shapes["lm_head.weight"] = (language.vocab_size, width)
    return shapes


def _with_bias(owner: str, weight: Shape) -> dict[str, Shape]:
    return {f"{owner}.weight": weight, f"{owner}.bias": weight[:1]}


def _gated_mlp(owner: str, n_in: int, n_hidden: int, n_out: int) -> dict[str, Shape]:
    return {
        f"{owner}.gate_proj.weight": (n_hidden, n_in),
        f"{owner}.up_proj.weight": (n_hidden, n_in),
        f"{owner}.down_proj.weight": (n_out, n_hidden),
    }


class RandomTensors:
    """The tensors of a checkpoint of this size, in bf16, the same ones for the same seed; see `Tensors`.

    Norms are 1 and biases 0. Everything else is normal, with a variance of one over the length of a row, so that
    activations keep their size. The numbers come from one pool: that is as quick as copying, and no two rows are alike.
    """

    def __init__(self, config: MossConfig, *, seed: int = 0) -> None:
        self.shapes: Mapping[str, Shape] = checkpoint_shapes(config)
        self._pool = torch.empty(POOL).normal_(generator=torch.Generator("cpu").manual_seed(seed))

    def read(self, name: str, first: int = 0, last: int | None = None) -> Tensor:
        """The rows [first, last) of a tensor, on the CPU."""
        shape = self.shapes[name]
        rows = len(range(shape[0])[first:last])
        if len(shape) == 1:
            return torch.full((rows,), float(name.endswith(".weight")), dtype=torch.bfloat16)
        n_in = math.prod(shape[1:])
        scaled = (self._pool / math.sqrt(n_in)).to(torch.bfloat16)
        start = zlib.crc32(name.encode()) + first * n_in
        return _from_pool(scaled, start % POOL, (rows, *shape[1:]))


def _from_pool(pool: Tensor, start: int, shape: Shape) -> Tensor:
    """The numbers of the pool from `start` on, round and round."""
    tensor = torch.empty(shape, dtype=pool.dtype)
    flat, at = tensor.view(-1), 0
    while at < len(flat):
        piece = pool[start : start + len(flat) - at]
        flat[at : at + len(piece)] = piece
        at, start = at + len(piece), 0
    return tensor
