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
    words: list[list[int]]  # of each clip, classes in order


class TrainingModel(nn.Module):
    """`moss` is what is kept; the two heads are dropped at export."""

    def __init__(self, config: MossConfig = TINY) -> None:
        super().__init__()
        self.moss = MossAudio(config)
        self.frame_head = nn.Linear(config.audio.output_dim, N_CLASSES)
        self.ctc_head = nn.Linear(config.audio.output_dim, N_CLASSES)
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
        frame_logits = self.frame_head(features).float()
        frame = F.cross_entropy(frame_logits, batch.frame_words, ignore_index=-100)
        log_probs = self.ctc_head(features).float().log_softmax(-1).split(batch.clip_tokens)
        padded = nn.utils.rnn.pad_sequence(list(log_probs))  # [T, B, classes]
        lengths = torch.tensor(batch.clip_tokens)
        n_words = torch.tensor([len(w) for w in batch.words])
        flat = torch.tensor([w for words in batch.words for w in words], dtype=torch.long)
        ctc = F.ctc_loss(padded, flat, lengths, n_words, blank=SILENCE, reduction="sum", zero_infinity=True)
        return frame, ctc / max(1, int(n_words.sum()))

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
