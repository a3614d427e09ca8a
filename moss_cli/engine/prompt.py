"""The conversation that the model sees: system, audio with its time markers, the question."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from moss_cli.answers import Turn
from moss_cli.engine.config import ProcessorConfig
from moss_cli.engine.model import AudioFeatures, Prompt
from moss_cli.engine.tokenizer import Tokenizer

TOKENS_PER_SECOND = 12.5
MARKER_SECONDS = 2
TOKENS_PER_MARKER = 25

_BEFORE = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
_AFTER = "<|im_end|>\n<|im_start|>assistant\n"
# How Qwen3 is told to think, or not to: its thought is opened for it, or closed before it begins.
_THOUGHT = {None: "", True: "<think>\n", False: "<think>\n\n</think>\n\n"}


def audio_span(tokenizer: Tokenizer, n_tokens: int, *, time_markers: bool) -> list[int | None]:
    """Ids between audio start and audio end; None where an audio feature stands.

    After every 25 audio tokens the elapsed seconds are written in plain digits, up to the last
    whole second that the clip reaches.
    """
    if not time_markers:
        return [None] * n_tokens
    span: list[int | None] = []
    n_markers = int(n_tokens / TOKENS_PER_SECOND) // MARKER_SECONDS
    for i in range(1, n_markers + 1):
        span += [None] * TOKENS_PER_MARKER
        for digit in str(MARKER_SECONDS * i):
            span += tokenizer.encode(digit)
    return span + [None] * (n_tokens - n_markers * TOKENS_PER_MARKER)


def build_prompt(
    tokenizer: Tokenizer,
    processor: ProcessorConfig,
    text: str,
    *,
    n_audio_tokens: int | None = None,
    audio: AudioFeatures | None = None,
    time_markers: bool = True,
    think: bool | None = None,
    turns: Sequence[Turn] = (),
) -> Prompt:
    """The ids of a request. `text` is encoded as plain text: nothing in it becomes a special token, nor in `turns`,
    which come before it, the audio before them all.

    Placeholders carry the processor's audio_token_id, but are found by `audio_mask`: in the
    released vocabulary that id is also an ordinary special token's. `think` begins the answer with
    a thought (True) or without one (False).
    """
    before, after = tokenizer.encode_template(_BEFORE), tokenizer.encode_template(_AFTER + _THOUGHT[think])
    count = audio.n_tokens if audio is not None else n_audio_tokens
    if count is None:
        head = tokenizer.encode_template(_BEFORE.removesuffix("user\n"))
        ids = head + _texts(tokenizer, "user\n", turns, text) + after
        return Prompt(torch.tensor(ids), torch.zeros(len(ids), dtype=torch.bool))
    span = audio_span(tokenizer, count, time_markers=time_markers)
    head = [*before, processor.audio_start_id]
    tail = [processor.audio_end_id, *_texts(tokenizer, "\n", turns, text), *after]
    ids = head + [processor.audio_token_id if i is None else i for i in span] + tail
    mask = [False] * len(head) + [i is None for i in span] + [False] * len(tail)
    n_shared = 0 if audio is None else len(head) + len(span) + 1  # the end of the audio too; the text after it differs
    return Prompt(torch.tensor(ids), torch.tensor(mask), audio, n_shared)


def _texts(tokenizer: Tokenizer, before: str, turns: Sequence[Turn], text: str) -> list[int]:
    """The ids of a conversation from its first question on, without the mark that ends the last one. Of earlier
    answers Qwen3 is shown the text without the thought."""
    ends, begins = tokenizer.encode_template("<|im_end|>\n<|im_start|>"), before
    ids: list[int] = []
    for turn in turns:
        ids += tokenizer.encode(begins + turn.question) + ends + tokenizer.encode("assistant\n" + turn.answer) + ends
        begins = "user\n"
    return ids + tokenizer.encode(begins + text)
