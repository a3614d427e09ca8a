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


@dataclass(frozen=True, eq=False)
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
class _MelWindow:
    """A window of a mel, padded to the width of its clip's longest: [n_mels, width]; and how much of it is real."""

    padded: Tensor
    n_frames: int


def _joined(pieces: Sequence[EncodedClip]) -> EncodedClip:
    """One after another."""
    taps = zip(*(piece.taps for piece in pieces), strict=True)
    return EncodedClip(torch.cat([piece.features for piece in pieces]), [torch.cat(column) for column in taps])


@dataclass(frozen=True)
class Prompt:
    """Token ids of one request, and its audio, whose features stand at the True places of
    `audio_mask`. ids and audio_mask: [n] on the CPU. Prompts about the same `audio` with the same `n_shared` have so
    many positions at their beginning in common."""

    ids: Tensor
    audio_mask: Tensor
    audio: AudioFeatures | None = None
    n_shared: int = 0


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
        """Encode one clip's mel, [n_mels, T], so many windows at a time: memory grows with them."""
        [clip] = self.encode_all([mel], windows_at_once)
        return clip

    def encode_all(self, mels: Sequence[Tensor], windows_at_once: int = WINDOWS_AT_ONCE) -> list[EncodedClip]:
        """Encode the mels of clips, [n_mels, T] each, so many windows at a time, whosever they are.

        The tail window of a clip is padded to the longest window of its own clip, and windows of different widths are
        not encoded together: so what else is in a batch can never change a clip.
        """
        clips = [self._windows(mel) for mel in mels]
        windows = [window for clip in clips for window in clip]
        encoded: list[EncodedClip | None] = [None] * len(windows)
        for width in sorted({window.padded.shape[1] for window in windows}):
            places = [place for place, window in enumerate(windows) if window.padded.shape[1] == width]
            for at in range(0, len(places), windows_at_once):
                some = places[at : at + windows_at_once]
                for place, one in zip(some, self._encode_windows([windows[i] for i in some]), strict=True):
                    encoded[place] = one
        pieces = iter([one for one in encoded if one is not None])
        return [_joined([next(pieces) for _ in clip]) for clip in clips]

    def _windows(self, mel: Tensor) -> list[_MelWindow]:
        """The windows of one clip."""
        width = min(self.config.audio.window_frames, mel.shape[1])
        windows = torch.split(mel.to(self.device, self.dtype), width, dim=1)
        return [_MelWindow(nn.functional.pad(one, (0, width - one.shape[1])), one.shape[1]) for one in windows]

    def _encode_windows(self, windows: Sequence[_MelWindow]) -> list[EncodedClip]:
        n_frames = [window.n_frames for window in windows]
        padded = torch.stack([window.padded for window in windows])
        features, taps = self.audio_encoder(padded, torch.tensor(n_frames, device=self.device))
        keep = [n_tokens(n) for n in n_frames]
        return [EncodedClip(features[i, :n], [tap[i, :n] for tap in taps]) for i, n in enumerate(keep)]

    def adapt(self, clip: EncodedClip) -> AudioFeatures:
        """Bring a clip's features to the decoder's width."""
        [adapted] = self.adapt_all([clip])
        return adapted

    def adapt_all(self, clips: Sequence[EncodedClip]) -> list[AudioFeatures]:
        """Bring the features of clips to the decoder's width, all at once."""
        n_each, all_of_them = [len(clip.features) for clip in clips], _joined(clips)
        # More taps than mergers are possible: the checkpoint decides how many are injected.
        mergers = zip(self.deepstack_audio_merger_list, all_of_them.taps, strict=False)
        adapted = [self.audio_adapter(all_of_them.features), *(merger(tap) for merger, tap in mergers)]
        columns = [torch.split(features, n_each) for features in adapted]
        if len(clips) > 1:  # a part of a tensor holds all of it, for as long as one of the clips is there
            columns = [tuple(part.clone() for part in column) for column in columns]
        return [AudioFeatures(main, taps) for main, *taps in zip(*columns, strict=True)]

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
