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
from training.copying import told_twice, words
from training.examples import Asked, Example, Segment
from training.mixture import Mix, domains
from training.network import SILENCE, TINY, Answers, Batch
from training.sentences import vocabulary

WINDOW = TINY.audio.window_frames
TOKENS_PER_SECOND = 12.5
MOST_ASKED = 5  # about one clip in one batch
COPIED = 2  # rows of words to copy beside what is asked about each clip
N_STACKS = 3
WORD_CLASS = {word: i + 1 for i, word in enumerate(vocabulary())}
# What an answer's form makes certain should not lead, nor hundredths of a second, which cannot be heard.
KEY_WEIGHT, LAST_DIGIT_WEIGHT = 0.1, 0.3
HEARD_WEIGHT = 0.2  # of what is heard, in a thought on a question: the same for every one on a clip
_KEYS = re.compile(r'(?:\{|, )?"[a-z_]+": "?')
_HEARD = re.compile(r"heard: [^\n]*(?=\nfound: )")
LETTER_WEIGHT = 6.0  # of a choice, which is one token after a whole thought
_LETTER = re.compile(r"(?<=</think>)[A-D]\Z")
_TIMES = re.compile(r"(?<=\.\d)\d(?=\])")

WEIGHTS = ((_KEYS, KEY_WEIGHT), (_TIMES, LAST_DIGIT_WEIGHT), (_HEARD, HEARD_WEIGHT), (_LETTER, LETTER_WEIGHT))


@dataclass(frozen=True)
class _Row:
    """A question and its answer, from what follows the audio on."""

    ids: Tensor
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class _Heard:
    """An example with some of its questions. `ids`: what it begins with, up to the end of the audio; `count` is of
    audio tokens."""

    example: Example
    mel: Tensor
    count: int
    ids: Tensor
    audio_mask: Tensor
    rows: tuple[_Row, ...]

    @property
    def n_tokens(self) -> int:
        return len(self.ids) + sum(len(row.ids) for row in self.rows)


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
        self.pool = words(self.tokenizer)
        drawn = domains(self.banks, self.mix)
        names, shares = list(drawn), [self.mix.shares[name] for name in drawn]
        while True:
            chosen = self.rng.choices(names, shares, k=160)
            heard = [self._hear(drawn[name](self.rng), self.mix.stress.get(name, 1.0)) for name in chosen]
            groups = list(self._grouped(sorted(heard, key=lambda one: one.n_tokens)))
            self.rng.shuffle(groups)
            yield from (self.batch(group) for group in groups)

    def _hear(self, example: Example, stress: float) -> _Heard:
        mel = log_mel(torch.from_numpy(example.samples))
        count = n_audio_tokens(TINY, mel.shape[1])
        questions = list(dict.fromkeys(self.rng.sample(example.asked, len(example.asked))))[:MOST_ASKED]
        prompt = build_prompt(self.tokenizer, self.processor, "", n_audio_tokens=count)
        n_first = int(prompt.audio_mask.nonzero()[-1]) + 1
        n_first += int((prompt.ids[n_first:] == self.processor.audio_end_id).nonzero()[0]) + 1
        rows = [self._row(one, count, n_first, stress) for one in questions]
        rows += [self._copying(prompt.ids[n_first:]) for _ in range(COPIED)]
        return _Heard(example, mel, count, prompt.ids[:n_first], prompt.audio_mask[:n_first], tuple(rows))

    def _grouped(self, heard: Sequence[_Heard]) -> Iterator[list[_Heard]]:
        """Batches of so many tokens; they come in the order of their lengths."""
        group: list[_Heard] = []
        for one in heard:
            if group and (len(group) + 1) * one.n_tokens > self.mix.n_tokens:
                yield group
                group = []
            group.append(one)
        yield group

    def batch(self, heard: Sequence[_Heard]) -> Batch:
        """Examples as tensors, each with its questions."""
        windows, n_frames, clip_tokens, frames, words, tracks = [], [], [], [], [], []
        for one in heard:
            example, count = one.example, one.count
            for part in torch.split(one.mel, WINDOW, dim=1):
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
            pad_sequence([one.ids for one in heard], batch_first=True),
            torch.tensor([len(one.ids) for one in heard]),
            pad_sequence([one.audio_mask for one in heard], batch_first=True),
            _stacked([(place, row) for place, one in enumerate(heard) for row in one.rows]),
            torch.tensor(frames),
            words,
            torch.cat(tracks),
        )

    def _row(self, asked: Asked, count: int, n_first: int, stress: float) -> _Row:
        prompt = build_prompt(self.tokenizer, self.processor, asked.prompt, n_audio_tokens=count, think=asked.think)
        # The prompt has opened the thought already.
        text, given = (t.removeprefix("<think>\n") if asked.think else t for t in (asked.answer, asked.given))
        pieces = re.split(r"(</?think>)", text)
        special = self.tokenizer.special
        answer = [i for p in pieces for i in ([special[p]] if p in special else self.tokenizer.encode(p))]
        ids = torch.cat([prompt.ids[n_first:], torch.tensor([*answer, special["<|im_end|>"]])])
        start = len(prompt.ids) - n_first
        targets = torch.full((len(ids),), -100)
        targets[start - 1 : -1] = ids[start:]
        own = torch.tensor([*self._token_weights(answer, text, len(given.encode())), 1.0])
        weights = torch.zeros(len(ids))
        # Between a weight for each token and one for each answer: long answers should not drown short ones.
        weights[start - 1 : -1] = stress * own / own.sum().sqrt()
        targets[weights == 0] = -100
        return _Row(ids, targets, weights)

    def _copying(self, before: Tensor) -> _Row:
        """Words that are told twice, in place of an answer."""
        tokens, follows = told_twice(self.rng, self.tokenizer, self.pool)
        ids = torch.cat([before, torch.tensor(tokens)])
        told = torch.tensor([False] * len(before) + follows).roll(-1)  # the last of them follows from nothing
        targets = torch.where(told, ids.roll(-1), -100)
        return _Row(ids, targets, told / told.sum().clamp(min=1).sqrt())

    def _token_weights(self, answer: Sequence[int], text: str, n_given: int) -> list[float]:
        """1 for most tokens; WEIGHTS has the others, and what lies in the first `n_given` bytes has none."""
        of_bytes = [1.0] * len(text.encode())
        for pattern, weight in WEIGHTS:
            for match in pattern.finditer(text):
                for i in range(len(text[: match.start()].encode()), len(text[: match.end()].encode())):
                    of_bytes[i] = weight
        of_bytes[:n_given] = [0.0] * n_given
        weights, at = [], 0
        for token in answer:
            length = len(self.tokenizer.token_bytes(token))
            weights.append(max(of_bytes[at : at + length], default=1.0))
            at += length
        return weights


def _stacked(rows: Sequence[tuple[int, _Row]]) -> list[Answers]:
    """Rows with the places of their clips, in N_STACKS parts of like lengths, so that little is padding."""
    rows = sorted(rows, key=lambda one: len(one[1].ids))
    size = -(-len(rows) // N_STACKS)
    return [
        Answers(
            torch.tensor([place for place, _ in part]),
            torch.tensor([len(row.ids) for _, row in part]),
            pad_sequence([row.ids for _, row in part], batch_first=True),
            pad_sequence([row.targets for _, row in part], batch_first=True, padding_value=-100),
            pad_sequence([row.weights for _, row in part], batch_first=True),
        )
        for part in (rows[i : i + size] for i in range(0, len(rows), size))
    ]


def loader(dataset: Batches) -> DataLoader[Batch]:
    return DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=6)
