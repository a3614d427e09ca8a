"""The engine of this package as a backend: text to tokens and back, thoughts, limits, and the loop that decodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moss_cli.answers import Cost, Form
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.torch_threads import usual_threads
from moss_cli.backends.answer_text import AnswerText
from moss_cli.backends.protocol import (
    MOST_PROMPT_TOKENS,
    THOUGHT_TOKENS,
    Answered,
    BackendInfo,
    Clip,
    Delta,
    Event,
    Failed,
    Reply,
    Request,
)
from moss_cli.engine import decoding, row
from moss_cli.engine.engine import Engine
from moss_cli.engine.loops import without_loop
from moss_cli.engine.memory import is_out_of_memory, out_of_memory
from moss_cli.engine.model import AudioFeatures
from moss_cli.engine.thinking import END_THINK, THINK, split_tokens
from moss_cli.errors import MossError, UsageError, as_moss_error

if TYPE_CHECKING:
    from llguidance import LLMatcher


@dataclass(frozen=True)
class LocalClip:
    """What the encoder made of a clip."""

    features: AudioFeatures
    duration_s: float


@dataclass(frozen=True)
class LocalReply(Reply):
    """An answer with its tokens, of which `n_settled` stand if it is gone on from."""

    ids: Sequence[int] = ()
    n_settled: int = 0


@dataclass
class _Asked:
    """A request that is being answered."""

    request: Request
    n_prompt: int
    prefix: Sequence[int]
    text: AnswerText
    n_told: int = 0  # tokens whose text was told


class LocalBackend:
    """One loaded checkpoint. `n_together` None: as many requests together as memory allows."""

    def __init__(self, engine: Engine, n_together: int | None = None) -> None:
        self.engine = engine
        self._decoding = engine.decoding(n_together)
        self._asked: dict[int, _Asked] = {}

    @property
    def info(self) -> BackendInfo:
        engine = self.engine
        return BackendInfo(
            dtype=engine.placement.dtype,
            device=str(engine.placement.device),
            load_seconds=engine.load_seconds,
            time_markers=engine.processor.enable_time_marker,
            can_think=engine.can_think,
            warnings=engine.warnings,
        )

    @property
    def n_together(self) -> int:
        return self._decoding.n_slots

    @property
    def listens_beside(self) -> bool:
        """A small model on a CPU leaves cores free; on others both would want the same ones."""
        return self.engine.placement.device.type == "cpu" and self.engine.n_threads < usual_threads()

    def fits(self, prompt: str) -> bool:
        return len(self.engine.tokenizer.encode(prompt)) <= min(MOST_PROMPT_TOKENS, _n_positions(self.engine) // 2)

    def listen(self, clips: Sequence[Samples]) -> list[Clip | MossError]:
        self.engine.compute_here()
        heard = zip(clips, self.engine.hear_all(clips), strict=True)
        return [
            as_moss_error(found) if isinstance(found, Exception) else LocalClip(found, len(samples) / SAMPLE_RATE)
            for samples, found in heard
        ]

    def submit(self, request: Request) -> int:
        asked = engine_request(self.engine, request)
        ticket = self._decoding.submit(asked)
        text = AnswerText(self.engine.tokenizer, is_open=bool(request.think))
        self._asked[ticket] = _Asked(request, len(asked.prompt.ids), asked.prefix, text)
        return ticket

    def step(self) -> list[Event]:
        self.engine.compute_here()
        return [self._event(event) for event in self._decoding.step()]

    def cancel(self, ticket: int) -> None:
        if self._asked.pop(ticket, None) is not None:
            self._decoding.cancel(ticket)

    def close(self) -> None:
        for ticket in list(self._asked):
            self.cancel(ticket)

    def _event(self, event: decoding.Event) -> Event:
        if isinstance(event, decoding.Decoded):
            asked = self._asked[event.ticket]
            return Delta(event.ticket, self._more(asked, event.ids, event.n_settled), len(event.ids))
        if isinstance(event, decoding.Ended):
            return Answered(event.ticket, self._answer(self._asked.pop(event.ticket), event.generation))
        del self._asked[event.ticket]
        return Failed(event.ticket, self._failure(event.error))

    def _failure(self, error: Exception) -> MossError:
        """Why a request has no answer; memory may run out in any place."""
        if is_out_of_memory(error):
            return out_of_memory(self.engine.placement.device, error)
        return as_moss_error(error)

    def _more(self, asked: _Asked, ids: Sequence[int], n_settled: int) -> str:
        """The text of tokens that have become certain since the last time, where it is wanted."""
        if not asked.request.tells:
            return ""
        more = "".join(asked.text.push(token) for token in ids[asked.n_told : n_settled])
        asked.n_told = max(asked.n_told, n_settled)
        return more

    def _answer(self, asked: _Asked, made: row.Generation) -> LocalReply:
        is_loop = made.finish_reason == "loop"
        settled = made.ids[: made.n_settled]
        thought, text = self._split(asked, without_loop(made.ids) if is_loop else made.ids)
        return LocalReply(
            text=text,
            finish_reason=made.finish_reason,
            thought=thought,
            settled=self._split(asked, settled)[1] if is_loop else text,
            cost=Cost(asked.n_prompt, len(made.ids) - len(asked.prefix)),
            ids=made.ids,
            n_settled=made.n_settled,
        )

    def _split(self, asked: _Asked, ids: Sequence[int]) -> tuple[str | None, str]:
        return split_tokens(ids, self.engine.tokenizer, is_open=bool(asked.request.think))


def engine_request(engine: Engine, request: Request) -> row.DecodeRequest:
    """A request in tokens: its prompt, how long the answer and its thought may become, and what they begin with."""
    features = request.clip.features if isinstance(request.clip, LocalClip) else None
    prompt = engine.ask(
        request.prompt, features, time_markers=request.time_markers, think=request.think, turns=request.turns
    )
    before = request.goes_on_from
    prefix = before.ids[: before.n_settled] if isinstance(before, LocalReply) else ()
    if max(prefix, default=0) >= engine.model.config.language.vocab_size:
        raise UsageError("the answer is to begin with a token that the model does not have", code="prefix")
    n_left = _n_positions(engine) - len(prompt.ids)
    if request.max_new_tokens is not None:
        n_new = request.max_new_tokens
    else:  # a token is a character at least
        n_new = max(min(request.n_characters, n_left), request.n_least)
    return row.DecodeRequest(
        prompt,
        n_new,
        request.sampling,
        request.seed,
        _matcher(engine, request.form) if request.form is not None else None,
        stop_loops=True,
        thought=_thought(engine, request, n_left - n_new),
        prefix=prefix,
        more_follow=request.more_follow,
    )


def _matcher(engine: Engine, form: Form) -> LLMatcher:
    try:
        return engine.grammars.matcher(form)
    except ValueError as error:
        raise UsageError(f"the form of the answer cannot be compiled: {error}", code="form") from error


def _thought(engine: Engine, request: Request, n_spare: int) -> row.Thought | None:
    """How an answer may think; None where it cannot, or is not to. Its room is in the `n_spare` positions that the
    answer does not need, and is nothing where the user says how long all may become."""
    may_think = request.may_think if request.think is None else request.think
    if not engine.can_think or not may_think:
        return None
    special, budget = engine.tokenizer.special, request.thinking_budget
    closing = engine.closing_words() if budget is not None else []
    wanted = THOUGHT_TOKENS if budget is None else budget + len(closing)
    room = max(0, min(wanted, n_spare)) if request.max_new_tokens is None else 0
    return row.Thought(special[THINK], special[END_THINK], budget, closing, is_open=bool(request.think), room=room)


def _n_positions(engine: Engine) -> int:
    return engine.model.config.language.max_position_embeddings
