"""The whole model: encoder, adapter, DeepStack mergers, decoder and output head.

It knows mel and token ids; not text, not files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moss_cli.engine.adapter import GatedMLP
from moss_cli.engine.cache import CacheRows
from moss_cli.engine.config import MossConfig
from moss_cli.engine.decoder import Decoder
from moss_cli.engine.encoder import AudioEncoder, n_tokens

WINDOWS_AT_ONCE = 64  # chosen: the released sizes' first convolution then gives 0.8 GB in bf16


@dataclass(frozen=True)
class AudioFeatures:
    """One clip as the decoder sees it. `adapter` and each of `deepstack`: [n_tokens, hidden]."""

    adapter: Tensor
    deepstack: list[Tensor]

    @property
    def n_tokens(self) -> int:
        return self.adapter.shape[0]


@dataclass(frozen=True)
class EncodedClip:
    """The encoder's own output for one clip, before the adapter: [n_tokens, output_dim] each."""

    features: Tensor
    taps: list[Tensor]


@dataclass(frozen=True)
class Prompt:
    """Token ids of one request, and its audio, whose features stand at the True places of
    `audio_mask`. ids and audio_mask: [n] on the CPU."""

    ids: Tensor
    audio_mask: Tensor
    audio: AudioFeatures | None = None


@dataclass(frozen=True)
class Tokens:
    """S tokens for each of B rows, padded on the right: ids [B, S] and each row's last one, [B], on the model's device.

    The features of `audio`, row by row, stand at the True places of `audio_mask` [B, S].
    """

    ids: Tensor
    last: Tensor
    audio_mask: Tensor | None = None
    audio: Sequence[AudioFeatures] = ()


def n_audio_tokens(config: MossConfig, n_frames: int) -> int:
    """Audio tokens of a clip of `n_frames`, window by window."""
    full, tail = divmod(n_frames, config.audio.window_frames)
    return full * n_tokens(config.audio.window_frames) + (n_tokens(tail) if tail else 0)


class MossAudio(nn.Module):
    """A MOSS-Audio model; parameter names are the checkpoint's."""

    def __init__(self, config: MossConfig) -> None:
        super().__init__()
        self.config = config
        n_in, n_hidden, n_out = config.audio.output_dim, config.adapter_hidden_size, config.language.hidden_size
        self.audio_encoder = AudioEncoder(config.audio)
        self.audio_adapter = GatedMLP(n_in, n_hidden, n_out)
        self.deepstack_audio_merger_list = nn.ModuleList(
            GatedMLP(n_in, n_hidden, n_out) for _ in range(config.deepstack_num_inject_layers)
        )
        self.language_model = Decoder(config.language)
        self.lm_head = nn.Linear(n_out, config.language.vocab_size, bias=False)

    @property
    def device(self) -> torch.device:
        return self.language_model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of everything that is not quantised."""
        return self.language_model.norm.weight.dtype

    def encode(self, mel: Tensor, windows_at_once: int = WINDOWS_AT_ONCE) -> EncodedClip:
        """Encode one clip's mel, [n_mels, T], so many windows at a time: memory grows with them.

        Clips are encoded one at a time: the tail window is padded to the longest window of its own
        clip, so that what else is in a batch can never change it.
        """
        width = min(self.config.audio.window_frames, mel.shape[1])
        windows = torch.split(mel.to(self.device, self.dtype), width, dim=1)
        n_frames = torch.tensor([w.shape[1] for w in windows], device=self.device)
        padded = torch.stack([nn.functional.pad(w, (0, width - w.shape[1])) for w in windows])
        pieces, tap_pieces = [], []
        for some, lengths in zip(
            torch.split(padded, windows_at_once), torch.split(n_frames, windows_at_once), strict=True
        ):
            features, taps = self.audio_encoder(some, lengths)
            keep = [n_tokens(int(n)) for n in lengths]
            pieces += [f[:n] for f, n in zip(features, keep, strict=True)]
            tap_pieces += [[t[i, :n] for t in taps] for i, n in enumerate(keep)]
        taps_joined = [torch.cat(column) for column in zip(*tap_pieces, strict=True)]
        return EncodedClip(torch.cat(pieces), taps_joined)

    def adapt(self, clip: EncodedClip) -> AudioFeatures:
        """Bring a clip's features to the decoder's width."""
        # More taps than mergers are possible: the checkpoint decides how many are injected.
        mergers = zip(self.deepstack_audio_merger_list, clip.taps, strict=False)
        return AudioFeatures(self.audio_adapter(clip.features), [merger(tap) for merger, tap in mergers])

    def forward(self, tokens: Tokens, past: CacheRows | None = None) -> Tensor:
        """Logits [B, vocab] that follow each row's last token."""
        x = self.language_model.embed_tokens(tokens.ids)
        deepstack: list[Tensor] = []
        if tokens.audio:
            x[tokens.audio_mask] = torch.cat([clip.adapter for clip in tokens.audio]).to(x.dtype)
            deepstack = [torch.cat(column) for column in zip(*(clip.deepstack for clip in tokens.audio), strict=True)]
        hidden = self.language_model(x, past, deepstack, tokens.audio_mask)
        last = hidden[torch.arange(len(hidden), device=hidden.device), tokens.last]
        logits: Tensor = self.lm_head(last)
        return logits
