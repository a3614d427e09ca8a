"""The sizes of a checkpoint, from its config.json, processor_config.json and generation_config.json.

Unknown keys are ignored; keys that are needed and missing, or that cannot be sizes, are a ModelError.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moss_cli.errors import ModelError, counted

DEFAULT_N_WINDOW = 200


@dataclass(frozen=True)
class AudioConfig:
    """The encoder. `n_window` is half a window, in mel frames: 200 means windows of 400 (4 s)."""

    d_model: int
    output_dim: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    num_mel_bins: int
    downsample_hidden_size: int
    deepstack_encoder_layer_indexes: tuple[int, ...]
    layer_norm_eps: float = 1e-5
    n_window: int = DEFAULT_N_WINDOW

    @property
    def window_frames(self) -> int:
        return 2 * self.n_window


@dataclass(frozen=True)
class LanguageConfig:
    """The Qwen3 decoder. `head_dim` is its own key: heads x head_dim need not be `hidden_size`."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    rope_theta: float = 1e6
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 40960
    tie_word_embeddings: bool = False


@dataclass(frozen=True)
class MossConfig:
    """A whole model."""

    audio: AudioConfig
    language: LanguageConfig
    adapter_hidden_size: int
    deepstack_num_inject_layers: int


@dataclass(frozen=True)
class ProcessorConfig:
    """How samples and text become model input. The ids depend on the checkpoint's vocabulary."""

    sample_rate: int = 16_000
    n_mels: int = 128
    n_fft: int = 400
    hop_length: int = 160
    enable_time_marker: bool = True
    audio_token_id: int = 151_654
    audio_start_id: int = 151_669
    audio_end_id: int = 151_670


class _Reader:
    """Takes typed values out of one JSON object and says which file and key was wrong."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise ModelError(f"{where} is not a JSON object")
        self.values, self.where = values, where

    def size(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        value = self.values.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise ModelError(f"{self.where}: {key} should be a whole number, not {value!r}")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e12:
            raise ModelError(f"{self.where}: {key} should be a positive number, not {value!r}")
        return float(value)

    def only(self, key: str, known: str) -> None:
        """A key that selects a variant of which this engine computes one."""
        value = self.values.get(key)
        if value is not None and value != known:
            raise ModelError(f"{self.where}: {key} {value!r} is not known to this version (only {known!r})")


def read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    """A JSON object from a checkpoint's file; an empty one where an optional file is absent."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not required:
            return {}
        raise ModelError(f"{path.parent} has no {path.name}", hint="is this a checkpoint folder?") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a JSON object")
    return values


def load_config(folder: Path) -> MossConfig:
    """Read and check `config.json`. Raises ModelError."""
    path = folder / "config.json"
    top = _Reader(read_json(path), str(path))
    top.only("model_type", "moss_audio")
    language = _language(_Reader(top.values.get("language_config"), f"{path}: language_config"), top)
    audio = _audio(_Reader(top.values.get("audio_config"), f"{path}: audio_config"))
    n_inject = top.size("deepstack_num_inject_layers", len(audio.deepstack_encoder_layer_indexes), least=0)
    if n_inject > min(len(audio.deepstack_encoder_layer_indexes), language.num_hidden_layers):
        raise ModelError(f"{path}: deepstack_num_inject_layers {n_inject} is more than there are taps or layers")
    return MossConfig(audio, language, top.size("adapter_hidden_size", 8192), n_inject)


def _audio(read: _Reader) -> AudioConfig:
    read.only("activation_function", "gelu")
    taps = read.values.get("deepstack_encoder_layer_indexes", [8, 16, 24])
    n_layers = read.size("encoder_layers")
    if not isinstance(taps, list) or not all(type(i) is int and 0 <= i < n_layers for i in taps):
        raise ModelError(f"{read.where}: deepstack_encoder_layer_indexes should be layers of the encoder, not {taps!r}")
    d_model, heads = read.size("d_model"), read.size("encoder_attention_heads")
    if d_model % heads or d_model % 2:
        raise ModelError(f"{read.where}: d_model {d_model} cannot be split over {counted(heads, 'head')}")
    return AudioConfig(
        d_model=d_model,
        output_dim=read.size("output_dim", d_model),
        encoder_layers=n_layers,
        encoder_attention_heads=heads,
        encoder_ffn_dim=read.size("encoder_ffn_dim"),
        num_mel_bins=read.size("num_mel_bins", 128),
        downsample_hidden_size=read.size("downsample_hidden_size"),
        deepstack_encoder_layer_indexes=tuple(taps),
        layer_norm_eps=read.number("layer_norm_eps", 1e-5),
        n_window=read.size("n_window", DEFAULT_N_WINDOW),
    )


def _language(read: _Reader, top: _Reader) -> LanguageConfig:
    read.only("model_type", "qwen3")
    read.only("hidden_act", "silu")
    if read.values.get("use_sliding_window"):
        raise ModelError(f"{read.where}: sliding windows are not known to this version")
    if read.values.get("rope_scaling"):
        raise ModelError(f"{read.where}: rope_scaling is not known to this version")
    heads, kv_heads = read.size("num_attention_heads"), read.size("num_key_value_heads")
    hidden = read.size("hidden_size")
    if heads % kv_heads:
        raise ModelError(f"{read.where}: {heads} query heads cannot share {kv_heads} key/value heads")
    return LanguageConfig(
        hidden_size=hidden,
        num_hidden_layers=read.size("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=read.size("head_dim", hidden // heads),
        intermediate_size=read.size("intermediate_size"),
        vocab_size=read.size("vocab_size", top.values.get("vocab_size")),
        rope_theta=read.number("rope_theta", 1e6),
        rms_norm_eps=read.number("rms_norm_eps", 1e-6),
        max_position_embeddings=read.size("max_position_embeddings", 40960),
        tie_word_embeddings=bool(top.values.get("tie_word_embeddings", False)),
    )


def load_processor_config(folder: Path) -> ProcessorConfig:
    """Read `processor_config.json`, or `preprocessor_config.json`; absent keys take the published values."""
    path = folder / "processor_config.json"
    if not path.exists():
        path = folder / "preprocessor_config.json"
    values = read_json(path, required=False)
    read = _Reader(values, str(path))
    mel = _Reader(values.get("mel_config") or {}, f"{path}: mel_config")
    default = ProcessorConfig()
    marker = values.get("enable_time_marker", default.enable_time_marker)
    if not isinstance(marker, bool):
        raise ModelError(f"{path}: enable_time_marker should be true or false, not {marker!r}")
    return ProcessorConfig(
        sample_rate=mel.size("mel_sr", default.sample_rate),
        n_mels=mel.size("mel_dim", default.n_mels),
        n_fft=mel.size("mel_n_fft", default.n_fft),
        hop_length=mel.size("mel_hop_length", default.hop_length),
        enable_time_marker=marker,
        audio_token_id=read.size("audio_token_id", default.audio_token_id, least=0),
        audio_start_id=read.size("audio_start_id", default.audio_start_id, least=0),
        audio_end_id=read.size("audio_end_id", default.audio_end_id, least=0),
    )
