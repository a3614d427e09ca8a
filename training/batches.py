"""Batches mixed from a bank of sentences, without end, in a process of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, IterableDataset

from moss_cli.audio.mel import log_mel
from moss_cli.engine.config import load_processor_config
from moss_cli.engine.model import n_audio_tokens
from moss_cli.engine.prompt import build_prompt
from moss_cli.engine.tokenizer import load_tokenizer
from moss_cli.tasks.transcribe import PROMPT_PLAIN, PROMPT_SEGMENTS
from training.bank import Bank
from training.clips import Clip, training_clip
from training.network import SILENCE, TINY, Batch
from training.sentences import vocabulary

WINDOW = TINY.audio.window_frames
WORD_CLASS = {word: i + 1 for i, word in enumerate(vocabulary())}
LAST_DIGIT_WEIGHT = 0.3  # hundredths of a second cannot be heard; they should not lead


@dataclass(frozen=True)
class Mix:
    """What clips a stage of training is made of."""

    n_sentences: tuple[int, int]
    max_s: float
    audio_s: float  # of one batch, padding included


def segments_answer(clip: Clip) -> str:
    """`[x.xx]text[y.yy]` for every sentence."""
    return "".join(f"[{s.start:.2f}]{s.text}[{s.end:.2f}]" for s in clip.segments)


def frame_words(clip: Clip, count: int) -> list[int]:
    """The class of the word at the middle of each of `count` audio tokens; -100 where unknown."""
    classes = [SILENCE] * count
    for segment in clip.segments:
        words = segment.text.split()
        known = len(segment.word_starts) == len(words)
        starts = [*segment.word_starts, segment.end] if known else [segment.start, segment.end]
        labels = [WORD_CLASS[w] for w in words] if known else [-100]
        for label, start, end in zip(labels, starts[:-1], starts[1:], strict=True):
            for i in range(round(start * 12.5), min(count, round(end * 12.5))):
                classes[i] = label
    return classes


class Batches(IterableDataset[Batch]):
    """Endless batches; the seed and the worker decide which."""

    def __init__(self, banks: list[Path], vocabulary_folder: Path, mix: Mix, seed: int) -> None:
        self.banks, self.folder, self.mix, self.seed = banks, vocabulary_folder, mix, seed

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        self.tokenizer, self.processor = load_tokenizer(self.folder), load_processor_config(self.folder)
        self.rng = random.Random(self.seed)
        loaded = [Bank(folder) for folder in self.banks]
        sizes = [len(bank) for bank in loaded]

        def draw():  # type: ignore[no-untyped-def]
            bank = self.rng.choices(loaded, sizes)[0]
            return bank[self.rng.randrange(len(bank))]

        while True:
            clips = [training_clip(self.rng, draw, self.mix.n_sentences, self.mix.max_s) for _ in range(192)]
            clips.sort(key=lambda clip: clip.duration_s)
            groups = list(self._grouped(clips))
            self.rng.shuffle(groups)
            yield from (self._batch(group) for group in groups)

    def _grouped(self, clips: list[Clip]) -> Iterator[list[Clip]]:
        group: list[Clip] = []
        for clip in clips:
            if group and (len(group) + 1) * (clip.duration_s + 6) > self.mix.audio_s:  # 6 s: the prompt's share
                yield group
                group = []
            group.append(clip)
        yield group

    def _batch(self, clips: list[Clip]) -> Batch:
        windows, n_frames, clip_tokens, words, frames = [], [], [], [], []
        rows, targets, weights, masks = [], [], [], []
        for clip in clips:
            mel = log_mel(torch.from_numpy(clip.samples))
            for part in mel.split(WINDOW, dim=1):
                windows.append(pad(part, (0, WINDOW - part.shape[1])))
                n_frames.append(part.shape[1])
            count = n_audio_tokens(TINY, mel.shape[1])
            clip_tokens.append(count)
            frames += frame_words(clip, count)
            words.append([WORD_CLASS[w] for s in clip.segments for w in s.text.split()])
            row, mask, target, weight = self._sequence(clip, count)
            rows.append(row)
            masks.append(mask)
            targets.append(target)
            weights.append(weight)
        return Batch(
            torch.stack(windows),
            torch.tensor(n_frames),
            clip_tokens,
            pad_sequence(rows, batch_first=True),
            pad_sequence(masks, batch_first=True),
            pad_sequence(targets, batch_first=True, padding_value=-100),
            pad_sequence(weights, batch_first=True),
            torch.tensor(frames),
            words,
        )

    def _sequence(self, clip: Clip, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        timed = self.rng.random() < 0.7
        text = segments_answer(clip) if timed else " ".join(s.text for s in clip.segments)
        prompt = build_prompt(
            self.tokenizer, self.processor, PROMPT_SEGMENTS if timed else PROMPT_PLAIN, n_audio_tokens=count
        )
        answer = [*self.tokenizer.encode(text), self.tokenizer.special["<|im_end|>"]]
        ids = torch.cat([prompt.ids, torch.tensor(answer)])
        mask = torch.cat([prompt.audio_mask, torch.zeros(len(answer), dtype=torch.bool)])
        target = torch.full((len(ids),), -100)
        weight = torch.ones(len(ids))
        start = len(prompt.ids)
        target[start - 1 : -1] = ids[start:]
        bracket = [i for i, token in enumerate(answer) if self.tokenizer.token_bytes(token).startswith(b"]")]
        for i in bracket if timed else []:
            weight[start - 1 + i - 1] = LAST_DIGIT_WEIGHT
        return ids, mask, target, weight


def loader(dataset: Batches) -> DataLoader[Batch]:
    return DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=6)
