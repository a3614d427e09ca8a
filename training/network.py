"""The model with what only training needs: word heads on the encoder, and the losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.functional import pad

from moss_cli.engine.config import AudioConfig, LanguageConfig, MossConfig
from moss_cli.engine.decoder import DecoderLayer
from moss_cli.engine.encoder import n_tokens
from moss_cli.engine.model import MossAudio
from moss_cli.engine.rotary import rotary
from training.packed import Attend, layout
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
        num_hidden_layers=6,
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
STATE_LAYERS = 4  # of the decoder, after which the tracks are learned once more
# Tracks of what was heard so far: the encoder, which hears 4 s at a time, cannot know them.
STATES = frozenset({"sentences", "sounds", "runs", "topics", "topic"})
SILENCE = 0  # class of the word heads; the words follow
N_CLASSES = 1 + len(vocabulary())


@dataclass
class Answers:
    """N questions with their answers, from what follows the audio on, padded on the right to L tokens."""

    clip: Tensor  # [N]: the place of the clip that each is about
    lengths: Tensor  # [N]: how many tokens are no padding
    ids: Tensor  # [N, L]
    targets: Tensor  # [N, L]: the next token where it counts, -100 elsewhere
    weights: Tensor  # [N, L]


@dataclass
class Batch:
    """B clips. windows [W, n_mels, frames] of all clips one after another, with their real frames [W];
    token sequences padded on the right. What a clip begins with, up to the end of its audio, stands once however much
    is asked about it."""

    windows: Tensor
    n_frames: Tensor  # [W]
    clip_tokens: list[int]  # audio tokens of each clip
    ids: Tensor  # [B, P]: of what each clip begins with
    lengths: Tensor  # [B]: how many of them are no padding
    audio_mask: Tensor  # [B, P]
    answers: list[Answers]  # of like lengths together
    frame_words: Tensor  # [all audio tokens]: class of the word spoken, -100 where unknown
    words: list[list[int] | None]  # of each clip, classes in order; None where unknown
    tracks: Tensor  # [all audio tokens, labels] int8: 1, 0, or -1 where unknown


def before_attention(layer: DecoderLayer, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [T, H, D], keys and values [T, K, D] of tokens x [T, C]."""
    q, k, v = layer.self_attn.project(layer.input_layernorm(x)[None], cos, sin)
    q, k, v = (one[0].to(v.dtype).contiguous() for one in (q, k, v))
    return q, k, v


def after_attention(layer: DecoderLayer, x: Tensor, out: Tensor) -> Tensor:
    """The rest of a decoder layer: x [T, C] and what attention found, [T, H, D]."""
    x = x + layer.self_attn.merge(out[None])[0]
    added: Tensor = layer.mlp(layer.post_attention_layernorm(x))
    return x + added


class TrainingModel(nn.Module):
    """`moss` is what is kept; the heads are dropped at export. `labels` are those of the domains' tracks."""

    def __init__(self, config: MossConfig = TINY, labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.moss = MossAudio(config)
        self.before_attention, self.after_attention = before_attention, after_attention
        self.frame_head = nn.Linear(config.audio.output_dim, N_CLASSES)
        self.ctc_head = nn.Linear(config.audio.output_dim, N_CLASSES)
        self.track_head = nn.Linear(config.audio.output_dim, len(labels))
        self.state_head = nn.Linear(config.language.hidden_size, len(labels))
        self.is_state = torch.tensor([label.split("/", 1)[0] in STATES for label in labels], dtype=torch.bool)
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
        """How far the encoder's features are from what the tracks say of each audio token; see `state_loss`."""
        return self._binary(self.track_head(features), batch.tracks, (batch.tracks >= 0) & ~self.is_state)

    def state_loss(self, heard: Tensor, batch: Batch) -> Tensor:
        """The same of what the decoder makes of the audio, `heard` [all audio tokens, C]: it knows all that came
        before, so it can also count. Binary cross-entropy, summed over labels: those that hold weigh four times as
        much, for they are few."""
        heard = F.rms_norm(heard.float(), heard.shape[-1:])
        return self._binary(self.state_head(heard), batch.tracks, batch.tracks >= 0)

    @staticmethod
    def _binary(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        if not known.any():
            return logits.sum() * 0
        each = F.binary_cross_entropy_with_logits(
            logits.float(), targets.clamp(min=0).float(), reduction="none", pos_weight=torch.tensor(4.0)
        )
        return (each * known).sum() / known.any(1).sum()

    def answer_loss(self, features: Tensor, taps: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Weighted cross-entropy of the answers' tokens, the share of them that is right, and what the decoder makes
        of the audio after STATE_LAYERS layers, [all audio tokens, C]."""
        moss, decoder = self.moss, self.moss.language_model
        laid = layout(batch.lengths, [(asked.clip, asked.lengths) for asked in batch.answers])
        x, is_audio = self._embedded(features, batch)
        laid = laid.in_type(x.dtype if not torch.is_autocast_enabled("cpu") else torch.get_autocast_dtype("cpu"))
        angles = self._rotary(laid.positions)
        deepstack = [m(t) for m, t in zip(moss.deepstack_audio_merger_list, taps, strict=True)]
        heard = x[is_audio]
        for i, layer in enumerate(cast(Iterable[DecoderLayer], decoder.layers)):
            q, k, v = self.before_attention(layer, x, *angles)
            x = self.after_attention(layer, x, Attend.apply(q, k, v, laid))  # type: ignore[no-untyped-call]
            if i < len(deepstack):
                added = torch.zeros_like(x)
                added[is_audio] = deepstack[i].to(x.dtype)
                x = x + added
            if i + 1 == STATE_LAYERS:
                heard = x[is_audio]
        targets, weights = (
            _end_to_end([(getattr(asked, name), asked.lengths) for asked in batch.answers])
            for name in ("targets", "weights")
        )
        counted = targets >= 0
        answers = x[-1 - len(targets) : -1]  # the last token is padding's
        logits = moss.lm_head(decoder.norm(answers[counted])).float()
        targets, weights = targets[counted], weights[counted]
        loss = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
        return loss, (logits.argmax(-1) == targets).float().mean(), heard

    def _embedded(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """All tokens end to end with one of zeros after them, [T, C], and which are audio, [T]."""
        ids = _end_to_end([(batch.ids, batch.lengths)] + [(asked.ids, asked.lengths) for asked in batch.answers])
        mask = _end_to_end([(batch.audio_mask, batch.lengths)])
        is_audio = pad(mask, (0, len(ids) + 1 - len(mask)))
        x = pad(self.moss.language_model.embed_tokens(ids), (0, 0, 0, 1))
        x[is_audio] = self.moss.audio_adapter(features).to(x.dtype)
        return x, is_audio

    def _rotary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """[1, T, 1, D] each."""
        config = self.moss.config.language
        cos, sin = rotary(positions, config.head_dim, config.rope_theta)
        return cos[None, :, None], sin[None, :, None]


def _end_to_end(padded: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Rows [N, L] of so many tokens each, without their padding."""
    return torch.cat([rows[torch.arange(rows.shape[1]) < n[:, None]] for rows, n in padded])
