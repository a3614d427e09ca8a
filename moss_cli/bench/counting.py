"""What has to be moved and computed, counted: the floor beside which a measured time stands."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from moss_cli.engine.config import LanguageConfig
from moss_cli.engine.linear import PackedLinear
from moss_cli.engine.model import MossAudio


def held_bytes(module: nn.Module) -> int:
    """Bytes of all the tensors that a module and what is in it hold: its parameters and buffers, and what quantised
    and packed layers keep beside them. What is held in two places counts once."""
    return _bytes_of(tensor for part in module.modules() for tensor in _in(vars(part)))


def read_bytes(module: nn.Module) -> int:
    """The same of what is read when the module is called: a weight that is kept in two layouts is read in one."""
    return _bytes_of(tensor for part in module.modules() for tensor in _in(_read(part)))


def _read(part: nn.Module) -> dict[str, object]:
    second = "transposed" if isinstance(part, PackedLinear) else None
    return {name: value for name, value in vars(part).items() if name != second}


def _bytes_of(tensors: Iterator[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in {id(one): one for one in tensors}.values())


def _in(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
        state = getattr(value, "quant_state", None)  # of bitsandbytes' parameters: scales and levels
        if state is not None:
            yield from (held for held in vars(state).values() if isinstance(held, Tensor))
    elif isinstance(value, dict):
        yield from (held for one in value.values() if not isinstance(one, nn.Module) for held in _in(one))
    elif isinstance(value, list | tuple):
        yield from (held for one in value for held in _in(one))


def step_weight_bytes(model: MossAudio) -> int:
    """Weights that a decode step reads: all of the decoder but the table of embeddings, and the head."""
    table = read_bytes(model.language_model.embed_tokens)
    return read_bytes(model.language_model) - table + read_bytes(model.lm_head)


def kv_bytes(language: LanguageConfig, n_positions: int, itemsize: int) -> int:
    """Keys and values of so many positions, over all layers."""
    return 2 * language.num_hidden_layers * language.num_key_value_heads * language.head_dim * itemsize * n_positions


def step_bytes(model: MossAudio, n_rows: int, n_positions: int) -> int:
    """What a decode step of `n_rows`, each of so many positions, has to move: the weights once, and the rows' cache."""
    itemsize = model.dtype.itemsize
    return step_weight_bytes(model) + n_rows * kv_bytes(model.config.language, n_positions, itemsize)


def layer_weights(language: LanguageConfig) -> int:
    """Numbers in the linears of one decoder layer."""
    n_query = language.num_attention_heads * language.head_dim
    n_kv = language.num_key_value_heads * language.head_dim
    return language.hidden_size * (2 * n_query + 2 * n_kv + 3 * language.intermediate_size)


def prefill_operations(language: LanguageConfig, n_rows: int, n_positions: int) -> int:
    """Floating-point operations of a prefill: two for each weight and token, four for each dimension of a head and pair
    of positions of which one sees the other, and the head for the last position of a row."""
    pairs = n_positions * (n_positions + 1) // 2
    attention = 4 * language.num_attention_heads * language.head_dim * pairs
    in_layers = language.num_hidden_layers * (2 * layer_weights(language) * n_positions + attention)
    return n_rows * (in_layers + 2 * language.hidden_size * language.vocab_size)
