"""A conversation about one chunk: every question, again where an answer went wrong, in halves where one was cut, and
for what an answer leaves untold.

A conversation is a generator. It yields what it wants of a backend, `Listen` or a `Request`, and is sent the clip or
the answer; whoever drives it may have any number of them going at once.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from moss_cli.answers import Cost, Sampling, draw_seed
from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.backends.protocol import Clip, Reply, Request
from moss_cli.errors import AnswerError, MossError
from moss_cli.run.context import beside
from moss_cli.run.job import Job
from moss_cli.run.speech_pieces import halves, inside
from moss_cli.run.untold import MARGIN_S, asked_again, duration_s, heard_in, is_most, longest
from moss_cli.schema import Notice
from moss_cli.span import Span, joined, less
from moss_cli.tasks.reading.task import Part, Question, Reading, Task
from moss_cli.tasks.reading.untold import still_untold

MOST_ATTEMPTS = 3
MOST_AGAIN = 32  # questions for what is untold of one chunk; chosen: 4 halvings, or all of two minutes 8 s at a time
AGAIN = Sampling(temperature=1.0, top_k=50)  # the published sampling: it gets the model out of a loop

T = TypeVar("T")


@dataclass(frozen=True)
class Listen:
    """Wanted: these samples, [n] float32 at 16 kHz, as a clip. `piece` stands for them, where others may want the same
    ones."""

    samples: Samples
    piece: Hashable = None


Conversation = Generator[Listen | Request, Any, T]


@dataclass(frozen=True)
class _Answers:
    """The answers to all questions of a task, in their order."""

    answers: tuple[Reply, ...]
    attempts: int
    cost: Cost
    n_left_out: int = 0  # of the task's turns, the oldest, because the model had no room for them


@dataclass(frozen=True)
class Asking:
    """One task, asked as a job says. `input_id` is the file's own: draws depend on it. `tells`: answers are wanted as
    they come, if the task shows them. `source` stands for the samples of which chunks are made. `clips`: what the
    tasks that are asked about the same chunk have listened to, where there are several; kept while one of them lasts.
    """

    task: Task[Any]
    job: Job
    input_id: str = ""
    tells: bool = False
    source: Hashable = None
    clips: dict[Hashable, Clip] | None = None

    def about(self, chunk: Chunk, n_again: int = MOST_AGAIN) -> Conversation[list[Part[Any]]]:
        """What comes of a chunk: several parts where an answer was cut, or left something untold, and was asked for
        again in pieces. For what is untold there are `n_again` questions at most.

        Raises AnswerError where no attempt can be read, and what the backend raises.
        """
        parts = yield from self._told(chunk, n_again)
        return [replace(part, channel=chunk.channel) for part in parts]

    def _told(self, chunk: Chunk, n_again: int) -> Conversation[list[Part[Any]]]:
        """See `about`."""
        clip = yield from self._clip(chunk)
        part = yield from self._part(clip, chunk.span, chunk.name)
        del clip  # its memory, before that of its pieces is taken
        heard = heard_in(chunk, self.task)
        part = replace(part, untold=self.task.untold(part.reading, chunk.span, heard))
        again: list[Part[Any]] = []
        if self.task.is_divisible and part.finish_reason == "length":
            again = yield from self._in_pieces(halves(chunk), n_again)
        elif self.task.is_divisible and part.finish_reason == "stop" and part.untold:
            again = yield from self._again(chunk, part, n_again)
        if not again:
            return [part]
        cost = sum((one.cost for one in again), part.cost)
        merged = self.task.merge(again)
        left = joined([*still_untold(again), *self.task.untold_of_parts(merged, chunk.span, heard)])
        still = self.task.untold(merged, chunk.span, heard)
        if part.finish_reason == "stop" and duration_s(still) >= duration_s(part.untold):
            # No more came of it than of the whole: all is well if the model, asked for the rest, finds nothing in it.
            return [replace(part, cost=cost, untold=part.untold if left else ())]
        again = [replace(one, cost=Cost(), untold=inside(left, one.span)) for one in again]
        return [replace(again[0], cost=cost), *again[1:]]

    def _clip(self, chunk: Chunk) -> Conversation[Clip]:
        piece = self._piece(chunk)
        known = self.clips.get(piece) if self.clips is not None else None
        clip: Clip = (yield Listen(chunk.samples, piece)) if known is None else known
        if self.clips is not None:
            self.clips[piece] = clip
        return clip

    def _piece(self, chunk: Chunk) -> Hashable:
        if self.source is None:
            return None
        return self.source, chunk.channel, round(chunk.span.start_s * SAMPLE_RATE), len(chunk.samples)

    def _in_pieces(self, pieces: Sequence[Chunk], n_again: int) -> Conversation[list[Part[Any]]]:
        """What comes of pieces of a chunk; [] where one of them fails: what came of the whole is more than nothing."""
        parts: list[Part[Any]] = []
        try:
            for piece in pieces:
                parts += yield from self.about(piece, n_again // len(pieces))
        except MossError:
            return []
        return [replace(one, attempts=one.attempts + 1) for one in parts]

    def _again(self, chunk: Chunk, part: Part[Any], n_again: int) -> Conversation[list[Part[Any]]]:
        """What an answer tells of a chunk, and what comes of asking for what it leaves untold, by itself; in halves
        where that is most of the chunk. [] where nothing is asked."""
        untold = longest(part.untold, n_again)
        pieces = asked_again(chunk, untold)
        if is_most(untold, chunk):
            pieces = [half for piece in pieces for half in halves(piece)]
        if not 0 < len(pieces) <= n_again:
            return []
        found = yield from self._in_pieces(pieces, n_again - len(pieces))
        if not found:
            return []
        told = less([chunk.span], untold)
        kept = [
            Part(span, reading, part.finish_reason, part.attempts, untold=inside(part.untold, span))
            for span, reading in zip(told, self.task.told(part.reading, told), strict=True)
        ]
        kept[:1] = [replace(one, thought=part.thought) for one in kept[:1]]
        scraps = [one for one in kept[1:] if not one.reading.text and one.span.duration_s <= MARGIN_S]  # heard again
        parts = [*(one for one in kept if one not in scraps), *found]
        return sorted(parts, key=lambda one: (one.span.start_s, one.span.end_s))

    def without_audio(self) -> Conversation[Part[Any]]:
        """What comes of the task's questions alone. Raises AnswerError, and what the backend raises."""
        return (yield from self._part(None, Span(0.0, 0.0), "0"))

    def _part(self, clip: Clip | None, span: Span, name: str) -> Conversation[Part[Any]]:
        """Ask all questions, and all of them again while the answers are not of the form that was asked for."""
        asked = yield from self._ask_all(clip, span, name)
        for attempt in range(asked.attempts, MOST_ATTEMPTS + 1):
            reading = self.task.read([self._text(answer) for answer in asked.answers], span)
            endings = [answer.finish_reason for answer in asked.answers if answer.finish_reason != "stop"]
            if reading.complete or endings:
                notices = (*reading.notices, *_left_out(asked.n_left_out, span))
                reading = replace(reading, cut=self._cut(reading, asked.answers), notices=notices)
                thoughts = [answer.thought for answer in asked.answers if answer.thought]
                ending = endings[-1] if endings else "length" if reading.cut else "stop"
                return Part(span, reading, ending, attempt, "\n\n".join(thoughts) or None, asked.cost)
            if attempt < MOST_ATTEMPTS:
                asked = yield from self._ask_again(asked, clip, span, name, attempt + 1)
        raise AnswerError(f"none of the model's {MOST_ATTEMPTS} answers had the required form", code="unreadable")

    def _ask_all(self, clip: Clip | None, span: Span, name: str) -> Conversation[_Answers]:
        answers, attempts, cost, n_left_out = [], 1, Cost(), 0
        for place, question in enumerate(self.task.questions):
            request = self._request(question, place, clip, span, name, 1)
            answer, n_left_out = yield from _answered(request)
            cost += answer.cost
            attempt = 1
            while answer.finish_reason == "loop" and attempt < MOST_ATTEMPTS:
                attempt += 1
                # What was shown stands: such an answer goes on from there instead of beginning anew.
                before = answer if self.task.shows else None
                again, _ = yield from _answered(self._request(question, place, clip, span, name, attempt, before))
                cost += Cost(0, again.cost.generated)
                if again.finish_reason != "loop" or self.task.shows:
                    answer = again
            answers.append(answer)
            attempts = max(attempts, attempt)
        return _Answers(tuple(answers), attempts, cost, n_left_out)

    def _ask_again(
        self, asked: _Answers, clip: Clip | None, span: Span, name: str, attempt: int
    ) -> Conversation[_Answers]:
        answers, cost = [], asked.cost
        for place, question in enumerate(self.task.questions):
            answer, _ = yield from _answered(self._request(question, place, clip, span, name, attempt))
            answers.append(answer)
            cost += Cost(0, answer.cost.generated)
        return _Answers(tuple(answers), attempt, cost, asked.n_left_out)

    def _cut(self, reading: Reading[Any], answers: Sequence[Reply]) -> tuple[str, ...]:
        """The fields that were cut: those that the reading names, and those of answers whose text does not tell."""
        asked = zip(self.task.questions, answers, strict=True)
        untold = [question.fills for question, answer in asked if question.fills and answer.finish_reason == "length"]
        return tuple(dict.fromkeys([*untold, *reading.cut]))

    def _text(self, answer: Reply) -> str:
        is_loop = answer.finish_reason == "loop"
        return answer.settled if is_loop and self.task.shows else answer.text

    def _request(
        self,
        question: Question,
        place: int,
        clip: Clip | None,
        span: Span,
        name: str,
        attempt: int,
        goes_on_from: Reply | None = None,
    ) -> Request:
        job = self.job
        draws_of = f"{self.input_id}/{place}" if place else self.input_id  # a second question has draws of its own
        return Request(
            prompt=beside(question.prompt, job.context),
            clip=clip,
            form=question.form,
            n_characters=question.room(span.duration_s),
            n_least=question.n_least,
            max_new_tokens=job.max_new_tokens,
            time_markers=job.time_markers,
            think=job.think,
            may_think=job.model.entry.may_think(self.task.name),
            thinking_budget=job.thinking_budget,
            sampling=job.sampling if attempt == 1 else AGAIN,
            seed=draw_seed(job.seed, draws_of, name, attempt),
            goes_on_from=goes_on_from,
            tells=self.tells and self.task.shows,
            more_follow=place < len(self.task.questions) - 1 or self.clips is not None,
            turns=self.task.turns,
        )


def _answered(request: Request) -> Conversation[tuple[Reply, int]]:
    """The answer, and how many of the oldest turns had to be left out to have room for it."""
    n_left_out = 0
    while True:
        try:
            reply = yield request
        except MossError as error:
            if error.code != "too_long" or not request.turns:
                raise
            request, n_left_out = replace(request, turns=request.turns[1:]), n_left_out + 1
        else:
            return reply, n_left_out


def _left_out(n: int, span: Span) -> Iterator[Notice]:
    if n:
        message = f"the model had no room for the oldest of the earlier questions; {n} left out"
        yield Notice(code="turns_left_out", message=message, start=span.start_s, end=span.end_s)
