"""The decode loop: prompts in, tokens out, for a batch whose rows end when they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from moss_cli.answers import Sampling
from moss_cli.engine.cache import KVCache
from moss_cli.engine.grammar import Constraint, mask_logits
from moss_cli.engine.loops import LoopWatch
from moss_cli.engine.model import MossAudio, Prompt
from moss_cli.engine.sampler import RowSampler
from moss_cli.errors import UsageError


@dataclass(frozen=True)
class Thought:
    """What encloses a thought. After `budget` tokens, if there is one, `closing` ends it (the last of which is
    `end_id`). `is_open`: the prompt has begun it. `room`: how many of its tokens do not count as the answer's."""

    open_id: int
    end_id: int
    budget: int | None = None
    closing: Sequence[int] = ()
    is_open: bool = False
    room: int = 0


@dataclass(frozen=True)
class Request:
    """One answer to decode. `seed` is of this answer alone (see `draw_seed`); a `constraint` is used up by it.
    `max_new_tokens` counts what of a thought goes beyond its room. `prefix` is what the answer begins with."""

    prompt: Prompt
    max_new_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    constraint: Constraint | None = None
    stop_loops: bool = False
    thought: Thought | None = None
    prefix: Sequence[int] = ()

    @property
    def most_tokens(self) -> int:
        """How many tokens may be decoded, the thought's among them."""
        return self.max_new_tokens + (self.thought.room if self.thought is not None else 0)


FinishReason = Literal["stop", "length", "loop"]


@dataclass(frozen=True)
class Generation:
    """The tokens of an answer, without the stop token, and why it ended. `n_settled`: how many of them
    stand even if the answer is decoded again because it went round in circles."""

    ids: list[int]
    finish_reason: FinishReason
    n_settled: int = 0


OnToken = Callable[[int, Sequence[int], int], None]  # (index of the request, tokens so far, n_settled)


class _Row:
    def __init__(self, index: int, request: Request) -> None:
        self.index = index
        self.request = request
        self.sampler = RowSampler(request.sampling, request.seed)
        self.position = len(request.prompt.ids)
        self.ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self._thinking = request.thought is not None and request.thought.is_open
        self._n_thought = 0
        self._forced: list[int] = list(request.prefix)
        self.watch = LoopWatch()

    def _choose(self, logits: Tensor) -> int:
        """The next token: the sampler's, but for a prefix and the words that end a thought over its budget."""
        thought = self.request.thought
        if thought is not None and self._thinking and not self._forced and self._is_over_budget(thought):
            self._forced = list(thought.closing)
        return self._forced.pop(0) if self._forced else self.sampler.choose(logits)

    def _is_over_budget(self, thought: Thought) -> bool:
        return thought.budget is not None and self._n_thought >= thought.budget

    def _follow_thought(self, token: int) -> None:
        """Take note of the next token's place: in the thought or not."""
        thought = self.request.thought
        if thought is None:
            return
        self._n_thought += self._thinking
        if token == thought.open_id and not self.ids:
            self._thinking = True
        elif token == thought.end_id:
            self._thinking = False

    @property
    def _is_full(self) -> bool:
        room = self.request.thought.room if self.request.thought is not None else 0
        return len(self.ids) - min(self._n_thought, room) >= self.request.max_new_tokens

    def take(self, logits: Tensor, stop_ids: frozenset[int]) -> int | None:
        """Choose the next token; None when the answer is at its end."""
        token = self._choose(logits)
        if token in stop_ids and self._thinking and self.request.thought is not None:
            token = self.request.thought.end_id  # an answer may not end before it has begun
        if token in stop_ids:
            self.finish_reason = "stop"
            return None
        self._follow_thought(token)
        self.ids.append(token)
        if self.request.constraint is not None:
            self.request.constraint.consume(token)
        self.watch.push(token)
        if self.request.stop_loops and self.watch.in_loop:
            self.finish_reason = "loop"
        elif self._is_full:
            self.finish_reason = "length"
        return token


def check_fits(model: MossAudio, request: Request) -> None:
    """Raises UsageError for a prompt that leaves no room for an answer."""
    limit = model.config.language.max_position_embeddings
    n_audio = int(request.prompt.audio_mask.sum())
    n_text = len(request.prompt.ids) - n_audio
    needed = n_audio + n_text + request.most_tokens
    if needed <= limit:
        return
    what, hint = "the input", "try a shorter --chunk, or analyse a part of it with --start and --end"
    if request.max_new_tokens > limit // 2:
        what, hint = "the answer", f"try --max-new-tokens {limit // 2} at most"
    elif n_text > n_audio:
        what, hint = "the instruction", "say it in fewer words"
    raise UsageError(
        f"{what} is too long for this model at once: {needed} positions are needed, and there are {limit}",
        code="too_long",
        hint=hint,
    )


@torch.inference_mode()
def generate(
    model: MossAudio, requests: Sequence[Request], stop_ids: frozenset[int], on_token: OnToken | None = None
) -> list[Generation]:
    """Decode all requests together. Raises UsageError for one that does not fit the model."""
    for request in requests:
        check_fits(model, request)
    rows = [_Row(i, request) for i, request in enumerate(requests)]
    if not rows:
        return []
    n_positions = max(row.position + row.request.most_tokens for row in rows)
    cache = KVCache.allocate(
        model.config.language, batch=len(rows), n_positions=n_positions, device=model.device, dtype=model.dtype
    )
    logits = model.prefill([row.request.prompt for row in rows], cache)
    running = rows
    while running:
        logits = mask_logits(logits, [row.request.constraint for row in running])
        for row, row_logits in zip(running, logits, strict=True):
            token = row.take(row_logits, stop_ids)
            if token is not None and on_token is not None:
                on_token(row.index, row.ids, row.watch.n_settled)
        still = [i for i, row in enumerate(running) if row.finish_reason is None]
        if 0 < len(still) < len(running):
            cache = cache.keep_rows(torch.tensor(still, device=model.device))
        running = [running[i] for i in still]
        if running:
            logits = _step(model, running, cache)
    return [Generation(row.ids, row.finish_reason or "stop", row.watch.n_settled) for row in rows]


def _step(model: MossAudio, rows: list[_Row], cache: KVCache) -> Tensor:
    ids = torch.tensor([row.ids[-1] for row in rows], device=model.device)
    positions = torch.tensor([row.position for row in rows], device=model.device)
    n_seen = max(row.position for row in rows) + 1
    for row in rows:
        row.position += 1
    return model.step(ids, cache, positions, n_seen)
