"""The model with what only training needs: word heads on the encoder, and the losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moss_cli.engine.config import AudioConfig, LanguageConfig, MossConfig
from moss_cli.engine.encoder import n_tokens
from moss_cli.engine.model import MossAudio
from training.sentences import vocabulary
from training.vocabulary import VOCAB_SIZE

TINY = MossConfig(
    AudioConfig(
        d_model=192,
        output_dim=192,
        encoder_layers=5,
        encoder_attention_heads=4,
        encoder_ffn_dim=768,
        num_mel_bins=128,
        downsample_hidden_size=32,
        deepstack_encoder_layer_indexes=(1, 2, 3),
    ),
    LanguageConfig(
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=48,
        intermediate_size=576,
        vocab_size=VOCAB_SIZE,
        rope_theta=1e4,
        max_position_embeddings=4096,
    ),
    adapter_hidden_size=384,
    deepstack_num_inject_layers=3,
)
SILENCE = 0  # class of the word heads; the words follow
N_CLASSES = 1 + len(vocabulary())


@dataclass
class Batch:
    """B clips. windows [W, n_mels, frames] of all clips one after another, with their real frames [W];
    token sequences padded on the right."""

    windows: Tensor
    n_frames: Tensor  # [W]
    clip_tokens: list[int]  # audio tokens of each clip
    ids: Tensor  # [B, S]
    audio_mask: Tensor  # [B, S]
    targets: Tensor  # [B, S]: the next token where it counts, -100 elsewhere
    weights: Tensor  # [B, S]
    frame_words: Tensor  # [all audio tokens]: class of the word spoken, -100 where unknown
    words: list[list[int] | None]  # of each clip, classes in order; None where unknown
    tracks: Tensor  # [all audio tokens, labels] int8: 1, 0, or -1 where unknown


class TrainingModel(nn.Module):
    """`moss` is what is kept; the heads are dropped at export. `n_tracks`: labels of the domains' tracks."""

    def __init__(self, config: MossConfig = TINY, n_tracks: int = 0) -> None:
        super().__init__()
        self.moss = MossAudio(config)
        self.frame_head = nn.Linear(config.audio.output_dim, N_CLASSES)
        self.ctc_head = nn.Linear(config.audio.output_dim, N_CLASSES)
        self.track_head = nn.Linear(config.audio.output_dim, n_tracks)
        self._initialise(config)

    def _initialise(self, config: MossConfig) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                std = 0.02 if "embed" in name or "lm_head" in name else parameter.shape[1] ** -0.5 * 0.8
                if name.endswith(("o_proj.weight", "down_proj.weight", "out_proj.weight", "fc2.weight")):
                    std *= 0.3
                nn.init.normal_(parameter, std=std)

    def encode(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Features of all clips end to end, [all audio tokens, output_dim], and the taps."""
        features, taps = self.moss.audio_encoder(batch.windows, batch.n_frames)
        kept = torch.tensor([n_tokens(int(n)) for n in batch.n_frames])
        real = torch.arange(features.shape[1])[None, :] < kept[:, None]
        return features[real], [tap[real] for tap in taps]

    def word_losses(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the word at each audio token, and CTC over each clip's words."""
        known = [i for i, words in enumerate(batch.words) if words is not None]
        if not known:
            return features.sum() * 0, features.sum() * 0
        frame_logits = self.frame_head(features).float()
        frame = F.cross_entropy(frame_logits, batch.frame_words, ignore_index=-100)
        log_probs = self.ctc_head(features).float().log_softmax(-1).split(batch.clip_tokens)
        padded = nn.utils.rnn.pad_sequence([log_probs[i] for i in known])  # [T, B, classes]
        lengths = torch.tensor([batch.clip_tokens[i] for i in known])
        said = [batch.words[i] or [] for i in known]
        n_words = torch.tensor([len(words) for words in said])
        flat = torch.tensor([w for words in said for w in words], dtype=torch.long)
        ctc = F.ctc_loss(padded, flat, lengths, n_words, blank=SILENCE, reduction="sum", zero_infinity=True)
        return frame, ctc / max(1, int(n_words.sum()))

    def track_loss(self, features: Tensor, batch: Batch) -> Tensor:
        """Binary cross-entropy of what the tracks say of each audio token, summed over labels: those that hold
        weigh four times as much, for they are few."""
        logits = self.track_head(features).float()
        known = batch.tracks >= 0
        if not known.any():
            return features.sum() * 0
        each = F.binary_cross_entropy_with_logits(
            logits, batch.tracks.clamp(min=0).float(), reduction="none", pos_weight=torch.tensor(4.0)
        )
        return (each * known).sum() / known.any(1).sum()

    def answer_loss(self, features: Tensor, taps: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Weighted cross-entropy of the answers' tokens, and the share of them that is right."""
        moss = self.moss
        x = moss.language_model.embed_tokens(batch.ids)
        x = x.clone()
        x[batch.audio_mask] = moss.audio_adapter(features).to(x.dtype)
        deepstack = [m(t) for m, t in zip(moss.deepstack_audio_merger_list, taps, strict=True)]
        hidden = moss.language_model.prefill(x, None, deepstack, batch.audio_mask)
        counted = batch.targets >= 0
        logits = moss.lm_head(hidden[counted]).float()
        targets, weights = batch.targets[counted], batch.weights[counted]
        loss = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
        return loss, (logits.argmax(-1) == targets).float().mean()
