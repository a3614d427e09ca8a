"""One answer while it is decoded: what may come next, what has come, and why it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from moss_cli.answers import FinishReason, Sampling
from moss_cli.engine.loops import LoopWatch
from moss_cli.engine.model import Prompt
from moss_cli.errors import AnswerError, UsageError

if TYPE_CHECKING:
    from llguidance import LLMatcher


@dataclass(frozen=True)
class Thought:
    """How an answer may think before it begins.

    `open_id` and `end_id` enclose the thought. After `budget` of its tokens, if there is a budget, `closing` ends it
    (its last token is `end_id`). `is_open`: the prompt has begun the thought. `room`: how many of its tokens do not
    count towards the answer's limit.
    """

    open_id: int
    end_id: int
    budget: int | None = None
    closing: Sequence[int] = ()
    is_open: bool = False
    room: int = 0


@dataclass(frozen=True)
class DecodeRequest:
    """One answer to decode.

    `seed` is of this answer alone (see `draw_seed`). `matcher` holds the answer to its grammar, and is used up by it;
    a thought is free of it. `max_new_tokens` counts what of a thought goes beyond its room. `prefix` is what the answer
    begins with. `stop_loops`: end where the answer repeats itself. `thought` None: none can begin. `more_follow`: more
    questions about its clip are known to come.
    """

    prompt: Prompt
    max_new_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    matcher: LLMatcher | None = None
    stop_loops: bool = False
    thought: Thought | None = None
    prefix: Sequence[int] = ()
    more_follow: bool = False

    @property
    def most_tokens(self) -> int:
        """How many tokens may be decoded, the thought's among them."""
        return self.max_new_tokens + (self.thought.room if self.thought is not None else 0)

    @property
    def most_positions(self) -> int:
        """How many positions of the cache the request may take."""
        return len(self.prompt.ids) + self.most_tokens


def check_fits(request: DecodeRequest, limit: int) -> None:
    """Raises UsageError for a prompt that leaves no room for an answer in `limit` positions."""
    n_audio = int(request.prompt.audio_mask.sum())
    n_text = len(request.prompt.ids) - n_audio
    needed = request.most_positions
    if needed <= limit:
        return
    what, hint = "the input", "try a shorter --chunk, or analyse a part of it with --start and --end"
    if request.max_new_tokens > limit // 2:
        what, hint = "the answer", f"try --max-new-tokens {limit // 2} at most"
    elif n_text > n_audio:
        what, hint = "the instruction", "say it in fewer words; those of --context count, too"
    raise UsageError(
        f"{what} is too long for this model at once: {needed} positions are needed, and there are {limit}",
        code="too_long",
        hint=hint,
    )


@dataclass(frozen=True)
class Generation:
    """The tokens of an answer, without the stop token, and why it ended. `n_settled`: how many of them stand even if
    the answer is decoded again because it repeats itself."""

    ids: list[int]
    finish_reason: FinishReason
    n_settled: int = 0


class Row:
    """A request on its way. It takes one token after another until it has a `finish_reason`.

    Its draws come from a generator of its own, so that they depend on its seed and nothing else.
    """

    def __init__(self, ticket: int, request: DecodeRequest, stop_ids: frozenset[int]) -> None:
        self.ticket, self.request = ticket, request
        self.ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.is_over = False  # its end, or what broke it, has been told
        self.n_stored = 0  # positions of what its prompt shares with others that lie in its slot
        self._stop_ids = stop_ids
        self._generator = torch.Generator("cpu").manual_seed(request.seed)
        self._draw: float | None = None
        self._watch = LoopWatch()
        self._thinking = request.thought is not None and request.thought.is_open
        self._n_thought = 0
        self._n_closing = 0  # tokens of the closing that were taken

    @property
    def shares(self) -> bool:
        """Whether its prompt begins as those of other questions about the same clip do."""
        return self.request.prompt.n_shared > 0

    def begins_like(self, other: Row) -> bool:
        """Whether it shares the beginning of its prompt with another."""
        mine, its = self.request.prompt, other.request.prompt
        return self.shares and mine.audio is its.audio and mine.n_shared == its.n_shared

    @property
    def more_follow(self) -> bool:
        """Whether, once it has ended, another question about its clip is to be expected: also the same one again."""
        return self.request.more_follow or self.finish_reason == "loop"

    @property
    def n_positions(self) -> int:
        """Positions of its prompt and of what was taken so far."""
        return len(self.request.prompt.ids) + len(self.ids)

    @property
    def so_far(self) -> Prompt:
        """Its prompt and what was taken so far, as one prompt."""
        prompt, n_new = self.request.prompt, len(self.ids)
        mask = torch.cat([prompt.audio_mask, torch.zeros(n_new, dtype=torch.bool)])
        ids = torch.cat([prompt.ids, torch.tensor(self.ids, dtype=prompt.ids.dtype)])
        return Prompt(ids, mask, prompt.audio, prompt.n_shared)

    @property
    def n_settled(self) -> int:
        return self._watch.n_settled

    @property
    def generation(self) -> Generation:
        """What came of it, once it has ended."""
        return Generation(self.ids, self.finish_reason or "stop", self.n_settled)

    @property
    def forced(self) -> int | None:
        """The next token, where there is no choice: of the words that end a thought over its budget."""
        thought = self.request.thought
        if thought is None or not self._thinking or thought.budget is None or not thought.closing:
            return None
        return thought.closing[self._n_closing] if self._n_thought >= thought.budget else None

    @property
    def matcher(self) -> LLMatcher | None:
        """What the next token is bound to: nothing inside a thought."""
        return None if self._thinking else self.request.matcher

    @property
    def may_open(self) -> int | None:
        """The token that begins a thought, where one may begin now."""
        thought = self.request.thought
        return thought.open_id if thought is not None and not thought.is_open and not self.ids else None

    @property
    def draw(self) -> float:
        """The number in [0, 1) that decides the next token: the same one until a token is taken, so that an attempt
        that failed costs no draw."""
        if self._draw is None:
            self._draw = float(torch.rand((), generator=self._generator, dtype=torch.float64))
        return self._draw

    def take_prefix(self) -> None:
        """Take what the answer begins with, as far as it has room. AnswerError where the grammar forbids it."""
        for token in self.request.prefix:
            if self.finish_reason is not None:
                return
            self.take(token)

    def take(self, token: int) -> None:
        """Take note of the next token. Raises AnswerError for one that the grammar forbids."""
        thought = self.request.thought
        self._draw = None
        if token in self._stop_ids and self._thinking and thought is not None:
            token = thought.end_id  # an answer may not end before it has begun
        if token in self._stop_ids:
            self.finish_reason = "stop"
            return
        self._follow(token)
        self.ids.append(token)
        self._watch.push(token)
        if self.request.stop_loops and self._watch.in_loop:
            self.finish_reason = "loop"
        elif self._is_full:
            self.finish_reason = "length"

    def _follow(self, token: int) -> None:
        """In the thought, into it, out of it, or on in the grammar."""
        thought = self.request.thought
        if thought is not None and self._thinking:
            self._n_closing += token == self.forced
            self._n_thought += 1
            self._thinking = token != thought.end_id
        elif thought is not None and token == self.may_open:
            self._thinking = True
        elif self.request.matcher is not None and not self.request.matcher.consume_token(token):
            raise AnswerError(
                f"the answer cannot go on in its grammar: {self.request.matcher.get_error()}", code="grammar"
            )

    @property
    def _is_full(self) -> bool:
        room = self.request.thought.room if self.request.thought is not None else 0
        return len(self.ids) - min(self._n_thought, room) >= self.request.max_new_tokens
