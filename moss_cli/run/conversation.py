"""Asking the model about pieces: together, again where an answer went wrong, and reading what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from moss_cli.answers import Sampling, draw_seed
from moss_cli.engine.engine import Engine
from moss_cli.engine.generate import FinishReason, Generation, Request, Thought
from moss_cli.engine.grammar import END_THINK, THINK, Constraint
from moss_cli.engine.loops import without_loop
from moss_cli.engine.model import Prompt
from moss_cli.engine.thinking import split_tokens
from moss_cli.errors import AnswerError
from moss_cli.run.job import Job
from moss_cli.run.speech_pieces import Piece, halves
from moss_cli.schema import Notice
from moss_cli.span import Span
from moss_cli.tasks.catalogue import entry
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

MOST_ATTEMPTS = 3
AGAIN = Sampling(temperature=1.0, top_k=50)  # what gets the model out of a loop
SHOWN_EVERY = 4  # tokens; reading what has come so far takes time
THOUGHT_TOKENS = 2048  # of a thought without a budget: what is more counts as the answer's

ENDINGS = (*get_args(FinishReason), "no_speech")

OnTokens = Callable[[int], None]  # how many tokens were decoded so far, of all answers
OnShown = Callable[[str], None]  # what of the answer can be shown so far


@dataclass(frozen=True)
class Answered:
    """What came of one piece. `finish_reason` is that of the answer that ended worst; tokens are those of all
    attempts."""

    span: Span
    reading: Reading
    finish_reason: FinishReason | Literal["no_speech"]
    attempts: int = 1
    thought: str | None = None
    n_prompt: int = 0
    n_generated: int = 0

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON, to be kept until the whole input is done."""
        reading = self.reading
        return {
            "span": [self.span.start_s, self.span.end_s],
            "result": reading.result.model_dump(mode="json"),
            "text": reading.text,
            "notices": [notice.model_dump(mode="json") for notice in reading.notices],
            "complete": reading.complete,
            "finish_reason": self.finish_reason,
            "attempts": self.attempts,
            "thought": self.thought,
            "tokens": [self.n_prompt, self.n_generated],
        }

    @classmethod
    def from_json(cls, task: str, kept: dict[str, Any]) -> Answered:
        """What `to_json` made. Raises KeyError, TypeError, ValueError or OverflowError for anything else."""
        notices = tuple(Notice.model_validate(notice) for notice in kept["notices"])
        result = entry(task).load().result_type.model_validate(kept["result"])
        reading = Reading(result, str(kept["text"]), notices, bool(kept["complete"]))
        start_s, end_s = map(float, kept["span"])
        n_prompt, n_generated = map(int, kept["tokens"])
        thought, ended, attempts = kept["thought"], kept["finish_reason"], int(kept["attempts"])
        is_whole = 0 <= start_s <= end_s < math.inf and attempts >= 1 and min(n_prompt, n_generated) >= 0
        if not (is_whole and isinstance(thought, str | None) and ended in ENDINGS):
            raise ValueError("no answer that was kept")
        return cls(
            Span(start_s, end_s),
            reading,
            ended,
            attempts,
            thought,
            n_prompt,
            n_generated,
        )

    @property
    def part(self) -> Part:
        return Part(self.span, self.reading)

    @property
    def complete(self) -> bool:
        return self.reading.complete and self.finish_reason in ("stop", "no_speech")

    def notices(self) -> Iterator[Notice]:
        """What is to be said of how the answers ended."""
        if self.finish_reason == "length" and self.thought and not self.reading.text:
            code, message = "cut", "the thought took all the length there was, so that no answer came"
        elif self.finish_reason == "length":
            code, message = "cut", "the answer reached its longest length and was cut; what follows it is missing"
        elif self.finish_reason == "loop":
            code = "loop"
            message = f"the answer went round in circles in all of {self.attempts} attempts and was cut there"
        elif self.attempts > 1:
            code = "retried"
            message = f"the answer went wrong and was decoded again; attempt {self.attempts} stands"
        else:
            return
        yield Notice(code=code, message=message, start=self.span.start_s, end=self.span.end_s)


@dataclass
class _Asked:
    """The answers about one piece so far."""

    piece: Piece | None
    prompts: list[Prompt]
    answers: list[Generation] = field(default_factory=list)
    attempts: int = 1
    n_generated: int = 0

    @property
    def n_prompt(self) -> int:
        return sum(len(prompt.ids) for prompt in self.prompts)


class Answerer:
    """Asks one engine what one job wants to know."""

    def __init__(self, engine: Engine, job: Job, on_tokens: OnTokens | None = None) -> None:
        self.engine, self.job = engine, job
        self._on_tokens = on_tokens or (lambda n_tokens: None)
        self._n_tokens = 0

    def answer(
        self, task: Task, pieces: Sequence[Piece], *, on_shown: OnShown | None = None
    ) -> list[list[Answered] | AnswerError]:
        """Ask every question about each piece. What came of it is several where an answer was cut, and was asked for
        again in halves, and an error where no attempt could be read.
        """
        asked = [self._listen(task, piece) for piece in pieces]
        self._ask(task, asked, on_shown)
        return [self._settled(task, one, piece) for one, piece in zip(asked, pieces, strict=True)]

    def _settled(self, task: Task, asked: _Asked, piece: Piece) -> list[Answered] | AnswerError:
        try:
            answered = self._read(task, asked, piece.span)
        except AnswerError as error:
            return error
        parts = halves(piece) if task.is_divisible and answered.finish_reason == "length" else []
        found: list[Answered] = []
        for half in self.answer(task, parts):
            if isinstance(half, AnswerError):
                return half
            found += half
        if not found:
            return [answered]
        spent = replace(
            found[0],
            n_prompt=found[0].n_prompt + answered.n_prompt,
            n_generated=found[0].n_generated + answered.n_generated,
        )
        return [replace(one, attempts=one.attempts + 1) for one in (spent, *found[1:])]

    def answer_text(self, task: Task, *, on_shown: OnShown | None = None) -> Answered:
        """Ask the task's questions without audio. Raises AnswerError."""
        prompts = [self.engine.ask(question.prompt, None, think=self.job.think) for question in task.questions]
        asked = _Asked(None, prompts)
        self._ask(task, [asked], on_shown)
        return self._read(task, asked, Span(0.0, 0.0))

    def _listen(self, task: Task, piece: Piece) -> _Asked:
        features = self.engine.hear(piece.samples)
        markers, think = self.job.time_markers, self.job.think
        prompts = [self.engine.ask(q.prompt, features, time_markers=markers, think=think) for q in task.questions]
        return _Asked(piece, prompts)

    def _ask(self, task: Task, asked: Sequence[_Asked], on_shown: OnShown | None) -> None:
        """Decode the answers to each question together; then again those that went round in circles."""
        for place, question in enumerate(task.questions):
            first = self._generate(task, question, place, asked, 1, [()] * len(asked), on_shown)
            for one, answer in zip(asked, first, strict=True):
                one.answers.append(answer)
            for attempt in range(2, MOST_ATTEMPTS + 1):
                looping = [one for one in asked if one.answers[place].finish_reason == "loop"]
                if not looping:
                    break
                # What was shown stands: such an answer goes on from there instead of beginning anew.
                kept = [one.answers[place].ids[: one.answers[place].n_settled] if task.shows else () for one in looping]
                again = self._generate(task, question, place, looping, attempt, kept, on_shown)
                for one, answer in zip(looping, again, strict=True):
                    one.attempts = attempt
                    if answer.finish_reason != "loop" or task.shows:
                        one.answers[place] = answer
            for one in asked:
                one.answers[place] = _without_loop(one.answers[place], shown=task.shows)

    def _generate(
        self,
        task: Task,
        question: Question,
        place: int,
        asked: Sequence[_Asked],
        attempt: int,
        prefixes: Sequence[Sequence[int]],
        on_shown: OnShown | None,
    ) -> list[Generation]:
        requests = [
            self._request(question, place, one, attempt, prefix) for one, prefix in zip(asked, prefixes, strict=True)
        ]

        def on_token(index: int, ids: Sequence[int], n_settled: int) -> None:
            self._n_tokens += 1
            self._on_tokens(self._n_tokens)
            if on_shown is not None and len(ids) % SHOWN_EVERY == 0:
                shown = task.shown(self._split(ids[:n_settled])[1])
                if shown:
                    on_shown(shown)

        answers = self.engine.generate(requests, on_token)
        for one, answer, prefix in zip(asked, answers, prefixes, strict=True):
            one.n_generated += len(answer.ids) - len(prefix)
        return answers

    def _request(self, question: Question, place: int, asked: _Asked, attempt: int, prefix: Sequence[int]) -> Request:
        prompt = asked.prompts[place]
        most = self._max_new_tokens(question, asked, len(prompt.ids))
        return Request(
            prompt,
            most,
            self.job.sampling if attempt == 1 else AGAIN,
            draw_seed(self.job.seed, *_draw_names(asked, place), attempt),
            self._constraint(question),
            stop_loops=True,
            thought=self._thought(self._n_positions - len(prompt.ids) - most),
            prefix=prefix,
        )

    def _max_new_tokens(self, question: Question, asked: _Asked, n_prompt: int) -> int:
        """What the user says; else what the audio may need, as far as the model has room for it."""
        if self.job.max_new_tokens is not None:
            return self.job.max_new_tokens
        needed = question.room(asked.piece.span.duration_s if asked.piece else 0.0)
        return max(min(needed, self._n_positions - n_prompt), question.n_least)

    @property
    def _n_positions(self) -> int:
        return self.engine.model.config.language.max_position_embeddings

    def _read(self, task: Task, asked: _Asked, span: Span) -> Answered:
        """Read the answers, decoding again those that are of another form than was asked for."""
        for attempt in range(asked.attempts, MOST_ATTEMPTS + 1):
            reasons = [a.finish_reason for a in asked.answers if a.finish_reason != "stop"]
            thoughts, texts = zip(*(self._split(a.ids) for a in asked.answers), strict=True)
            reading = task.read(texts, span)
            if reading.complete or reasons:
                thought = "\n\n".join(thought for thought in thoughts if thought)
                reason = reasons[-1] if reasons else "stop"
                return Answered(span, reading, reason, attempt, thought or None, asked.n_prompt, asked.n_generated)
            if attempt < MOST_ATTEMPTS:
                asked.answers = [
                    self._generate(task, question, place, [asked], attempt + 1, [()], None)[0]
                    for place, question in enumerate(task.questions)
                ]
        raise AnswerError(f"none of {MOST_ATTEMPTS} answers has the form that was asked for", code="unreadable")

    def _split(self, ids: Sequence[int]) -> tuple[str | None, str]:
        return split_tokens(ids, self.engine.tokenizer, is_open=bool(self.job.think))

    def _constraint(self, question: Question) -> Constraint | None:
        if question.form is None:
            return None
        in_thought = bool(self.job.think)
        return self.engine.grammars.constrain(question.form, thinking=self._may_think, in_thought=in_thought)

    def _thought(self, n_spare: int) -> Thought | None:
        """How an answer may think; None where it cannot, or is not to. Its room is in the `n_spare` positions that
        the answer does not need, and is nothing where the user says how long all may become."""
        if not self.engine.can_think or not self._may_think:
            return None
        special, budget = self.engine.tokenizer.special, self.job.thinking_budget
        closing = self.engine.closing_words() if budget is not None else []
        wanted = THOUGHT_TOKENS if budget is None else budget + len(closing)
        room = max(0, min(wanted, n_spare)) if self.job.max_new_tokens is None else 0
        return Thought(special[THINK], special[END_THINK], budget, closing, is_open=bool(self.job.think), room=room)

    @property
    def _may_think(self) -> bool:
        job = self.job
        return job.model.entry.may_think(job.task.name) if job.think is None else job.think


def _draw_names(asked: _Asked, place: int) -> tuple[str, str]:
    """What the draws of an answer depend on: the input, and the piece; a second question has draws of its own."""
    if asked.piece is None:
        return f"/{place}" if place else "", "0"
    input_id = asked.piece.input_id
    return (f"{input_id}/{place}" if place else input_id), asked.piece.name


def _without_loop(answer: Generation, *, shown: bool) -> Generation:
    if answer.finish_reason != "loop":
        return answer
    return replace(answer, ids=answer.ids[: answer.n_settled] if shown else without_loop(answer.ids))
