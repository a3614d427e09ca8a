"""Batches mixed from the domains, without end, in a process of their own."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, IterableDataset

from moss_cli.audio.mel import log_mel
from moss_cli.engine.config import load_processor_config
from moss_cli.engine.model import n_audio_tokens
from moss_cli.engine.prompt import build_prompt
from moss_cli.engine.tokenizer import load_tokenizer
from training.examples import Asked, Example, Segment
from training.mixture import Mix, domains
from training.network import SILENCE, TINY, Batch
from training.sentences import vocabulary

WINDOW = TINY.audio.window_frames
TOKENS_PER_SECOND = 12.5
WORD_CLASS = {word: i + 1 for i, word in enumerate(vocabulary())}
# What an answer's form makes certain should not lead, nor hundredths of a second, which cannot be heard.
KEY_WEIGHT, LAST_DIGIT_WEIGHT = 0.1, 0.3
_KEYS = re.compile(r'(?:\{|, )?"[a-z_]+": "?')
_TIMES = re.compile(r"(?<=\.\d)\d(?=\])")


@dataclass(frozen=True)
class _Row:
    ids: Tensor
    audio_mask: Tensor
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class _Asked:
    """An example with one of its questions; `count` is of audio tokens."""

    example: Example
    mel: Tensor
    count: int
    row: _Row


def frame_words(segments: Sequence[Segment], count: int) -> list[int]:
    """The class of the word at the middle of each of `count` audio tokens; -100 where unknown."""
    classes = [SILENCE] * count
    for segment in segments:
        words = segment.text.split()
        known = len(segment.word_starts) == len(words)
        starts = [*segment.word_starts, segment.end] if known else [segment.start, segment.end]
        labels = [WORD_CLASS[w] for w in words] if known else [-100]
        for label, start, end in zip(labels, starts[:-1], starts[1:], strict=True):
            for i in range(round(start * TOKENS_PER_SECOND), min(count, round(end * TOKENS_PER_SECOND))):
                classes[i] = label
    return classes


def track_targets(example: Example, count: int, labels: Sequence[str]) -> Tensor:
    """[count, labels] int8: 1 where a track holds at the middle of an audio token, -1 where its family is unknown."""
    families = [label.split("/", 1)[0] for label in labels]
    known = torch.tensor([family in example.families for family in families], dtype=torch.bool)
    targets = torch.where(known, 0, -1).to(torch.int8).repeat(count, 1)
    places = {label: i for i, label in enumerate(labels)}
    for track in example.tracks:
        first, last = (round(t * TOKENS_PER_SECOND) for t in (track.start_s, track.end_s))
        if track.label in places:
            targets[max(0, first) : max(first + 1, last), places[track.label]] = 1
    return targets


class Batches(IterableDataset[Batch]):
    """Endless batches; the seed and the worker decide which. `labels` are the tracks' that are learned."""

    def __init__(self, banks: Path, vocabulary_folder: Path, mix: Mix, seed: int, labels: Sequence[str] = ()) -> None:
        self.banks, self.folder, self.mix, self.seed, self.labels = banks, vocabulary_folder, mix, seed, labels

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        self.tokenizer, self.processor = load_tokenizer(self.folder), load_processor_config(self.folder)
        self.rng = random.Random(self.seed)
        drawn = domains(self.banks, self.mix)
        names, shares = list(drawn), [self.mix.shares[name] for name in drawn]
        while True:
            examples = [drawn[name](self.rng) for name in self.rng.choices(names, shares, k=160)]
            asked = [self._ask(example) for example in examples]
            groups = list(self._grouped(sorted(asked, key=lambda one: len(one.row.ids))))
            self.rng.shuffle(groups)
            yield from (self.batch(group) for group in groups)

    def _ask(self, example: Example) -> _Asked:
        mel = log_mel(torch.from_numpy(example.samples))
        count = n_audio_tokens(TINY, mel.shape[1])
        return _Asked(example, mel, count, self._row(self.rng.choice(example.asked), count))

    def _grouped(self, asked: Sequence[_Asked]) -> Iterator[list[_Asked]]:
        """Batches of so many tokens, padding included; the sequences come in the order of their lengths."""
        group: list[_Asked] = []
        for one in asked:
            if group and (len(group) + 1) * len(one.row.ids) > self.mix.n_tokens:
                yield group
                group = []
            group.append(one)
        yield group

    def batch(self, asked: Sequence[_Asked]) -> Batch:
        """Examples as tensors, each with one of its questions."""
        windows, n_frames, clip_tokens, frames, words, tracks = [], [], [], [], [], []
        rows = [one.row for one in asked]
        for one in asked:
            example, count = one.example, one.count
            for part in one.mel.split(WINDOW, dim=1):
                windows.append(pad(part, (0, WINDOW - part.shape[1])))
                n_frames.append(part.shape[1])
            clip_tokens.append(count)
            spoken = example.spoken
            frames += [-100] * count if spoken is None else frame_words(spoken, count)
            words.append(None if spoken is None else [WORD_CLASS[w] for s in spoken for w in s.text.split()])
            tracks.append(track_targets(example, count, self.labels))
        return Batch(
            torch.stack(windows),
            torch.tensor(n_frames),
            clip_tokens,
            pad_sequence([row.ids for row in rows], batch_first=True),
            pad_sequence([row.audio_mask for row in rows], batch_first=True),
            pad_sequence([row.targets for row in rows], batch_first=True, padding_value=-100),
            pad_sequence([row.weights for row in rows], batch_first=True),
            torch.tensor(frames),
            words,
            torch.cat(tracks),
        )

    def _row(self, asked: Asked, count: int) -> _Row:
        prompt = build_prompt(self.tokenizer, self.processor, asked.prompt, n_audio_tokens=count, think=asked.think)
        # The prompt has opened the thought already.
        text = asked.answer.removeprefix("<think>\n") if asked.think else asked.answer
        pieces = re.split(r"(</?think>)", text)
        special = self.tokenizer.special
        answer = [i for p in pieces for i in ([special[p]] if p in special else self.tokenizer.encode(p))]
        ids = torch.cat([prompt.ids, torch.tensor([*answer, special["<|im_end|>"]])])
        mask = torch.cat([prompt.audio_mask, torch.zeros(len(answer) + 1, dtype=torch.bool)])
        start = len(prompt.ids)
        targets = torch.full((len(ids),), -100)
        targets[start - 1 : -1] = ids[start:]
        own = torch.tensor([*self._token_weights(answer, text), 1.0])
        weights = torch.zeros(len(ids))
        # Between a weight for each token and one for each answer: long answers should not drown short ones.
        weights[start - 1 : -1] = own / own.sum().sqrt()
        return _Row(ids, mask, targets, weights)

    def _token_weights(self, answer: Sequence[int], text: str) -> list[float]:
        """1 for most tokens, less for those that lie in keys and last digits."""
        light = [1.0] * len(text.encode())
        for pattern, weight in ((_KEYS, KEY_WEIGHT), (_TIMES, LAST_DIGIT_WEIGHT)):
            for match in pattern.finditer(text):
                for i in range(len(text[: match.start()].encode()), len(text[: match.end()].encode())):
                    light[i] = weight
        weights, at = [], 0
        for token in answer:
            length = len(self.tokenizer.token_bytes(token))
            weights.append(max(light[at : at + length], default=1.0))
            at += length
        return weights


def loader(dataset: Batches) -> DataLoader[Batch]:
    return DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=6)
