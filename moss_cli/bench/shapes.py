"""Sizes that can be measured without weights: the released ones, the embedded model's, and others by their numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from moss_cli.engine.config import AudioConfig, LanguageConfig, MossConfig
from moss_cli.errors import UsageError

_PARTS = re.compile(r"(?P<base>tiny|4b|8b|(?P<hidden>\d{2,5})x(?P<layers>\d{1,3}))(?P<settings>(:[a-z]+=\d{1,6})*)")
_SETTINGS = {"layers": "num_hidden_layers", "vocab": "vocab_size"}
HINT = "tiny, 4b, 8b, HIDDENxLAYERS such as 1024x12; `:layers=4` and `:vocab=2048` change one of them"

_ENCODER = AudioConfig(
    d_model=1280,
    output_dim=1280,
    encoder_layers=32,
    encoder_attention_heads=20,
    encoder_ffn_dim=5120,
    num_mel_bins=128,
    downsample_hidden_size=480,
    deepstack_encoder_layer_indexes=(8, 16, 24),
)
_DECODER_4B = LanguageConfig(
    hidden_size=2560,
    num_hidden_layers=36,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    intermediate_size=9728,
    vocab_size=151_936,
)
_SMALL_ENCODER = AudioConfig(
    d_model=192,
    output_dim=192,
    encoder_layers=5,
    encoder_attention_heads=4,
    encoder_ffn_dim=768,
    num_mel_bins=128,
    downsample_hidden_size=32,
    deepstack_encoder_layer_indexes=(1, 2, 3),
)
_SMALL_DECODER = LanguageConfig(
    hidden_size=192,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=48,
    intermediate_size=576,
    vocab_size=2048,
    rope_theta=10_000.0,
    max_position_embeddings=4096,
)
_NAMED = {
    "tiny": MossConfig(_SMALL_ENCODER, _SMALL_DECODER, adapter_hidden_size=384, deepstack_num_inject_layers=3),
    "4b": MossConfig(_ENCODER, _DECODER_4B, adapter_hidden_size=8192, deepstack_num_inject_layers=3),
    "8b": MossConfig(
        _ENCODER,
        replace(_DECODER_4B, hidden_size=4096, intermediate_size=12_288),
        adapter_hidden_size=8192,
        deepstack_num_inject_layers=3,
    ),
}


@dataclass(frozen=True)
class NamedShape:
    """A size and what it was asked for as."""

    name: str
    config: MossConfig


def parse_shape(text: str) -> NamedShape:
    """`tiny`, `4b`, `8b`, or HIDDENxLAYERS with the small encoder; `4b:layers=4:vocab=2048` changes numbers of it.

    HIDDENxLAYERS has Qwen3's proportions: heads of 128, two query heads for one of keys and values, a feed-forward
    three times as wide. Raises UsageError.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise UsageError(f"no such shape: {text}", hint=HINT)
    sizes = parts["hidden"], parts["layers"]
    config = _proportioned(*map(int, sizes)) if all(sizes) else _NAMED[parts["base"]]
    for setting in filter(None, parts["settings"].split(":")):
        key, number = setting.split("=")
        if key not in _SETTINGS or int(number) == 0:
            raise UsageError(f"{text}: a shape has no {setting}", hint=HINT)
        language = replace(config.language, **{_SETTINGS[key]: int(number)})  # type: ignore[arg-type]
        config = replace(config, language=language)
    n_inject = min(config.deepstack_num_inject_layers, config.language.num_hidden_layers)
    return NamedShape(text, replace(config, deepstack_num_inject_layers=n_inject))


def _proportioned(hidden: int, n_layers: int) -> MossConfig:
    if hidden < 128 or hidden % 128 or n_layers == 0:
        raise UsageError(f"a hidden size of {hidden} cannot be split into heads of 128", hint=HINT)
    language = LanguageConfig(
        hidden_size=hidden,
        num_hidden_layers=n_layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 128,
        head_dim=128,
        intermediate_size=3 * hidden,
        vocab_size=151_936,
    )
    return MossConfig(_SMALL_ENCODER, language, adapter_hidden_size=384, deepstack_num_inject_layers=3)
