"""A server as a backend: each request is one over HTTP, so many of them at a time, each in a thread of its own.

A request that comes to nothing is made again, later and later, as long as it may do better; then its input fails. The
engine, the tokenizer and torch are on the other side, and are not loaded here.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException

from moss_cli.answers import Grammar, JsonSchema
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.backends.abilities import Abilities
from moss_cli.backends.chat_body import CHAT, ChatRequest, body
from moss_cli.backends.chat_stream import Incoming, ServerReply, events
from moss_cli.backends.protocol import (
    MOST_PROMPT_TOKENS,
    THOUGHT_TOKENS,
    Answered,
    BackendInfo,
    Clip,
    Delta,
    Event,
    Failed,
    Request,
)
from moss_cli.backends.wire import Extra
from moss_cli.errors import MossError, UsageError, as_moss_error
from moss_cli.models.connection import Connection, Retry, Stream
from moss_cli.models.served import Served
from moss_cli.models.server_fault import ServerFault, as_model_error

STEP_S = 0.05  # that a step waits for something to come: meanwhile the next piece may have been read
TOKENS_PER_SECOND = 15  # of audio, with its time markers: 12.5 and the digits of a number every 2 s
TEMPLATE_TOKENS = 64  # around a question
_BYTES_PER_TOKEN = 3  # English has four, Chinese three
_TOO_LONG = ("context", "too long", "too large", "maximum length", "max_model_len", "longer than")


@dataclass(frozen=True)
class ServerClip:
    """Audio that goes with each question about it."""

    samples: Samples = field(repr=False, compare=False)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(eq=False)
class _Posted:
    """A request on its way. `told`: what of its text was told. `is_short`: its answer gets as little room as it can."""

    ticket: int
    request: Request
    is_cancelled: threading.Event = field(default_factory=threading.Event)
    response: Stream | None = None
    told: str = ""
    is_short: bool = False


class ServerBackend:
    """One model on a server."""

    def __init__(
        self,
        served: Served,
        connection: Connection,
        able: Abilities,
        *,
        n_together: int,
        thinks: bool | None = None,
        info: BackendInfo,
        retry: Retry | None = None,
    ) -> None:
        self.info, self.n_together = info, n_together
        self._served, self._connection, self._able, self._thinks = served, connection, able, thinks
        self._retry = retry or Retry()
        self._asked: dict[int, _Posted] = {}
        self._todo: queue.SimpleQueue[_Posted | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._n_tickets = self._n_workers = 0
        self._is_gone = threading.Event()  # nobody listened there for as long as a request waits
        self._said: set[str] = set()

    @property
    def listens_beside(self) -> bool:
        return False

    def fits(self, prompt: str) -> bool:
        most = MOST_PROMPT_TOKENS
        if self._served.n_positions is not None:
            most = min(most, self._served.n_positions // 2)
        return _n_tokens(prompt) <= most

    def listen(self, clips: Sequence[Samples]) -> list[Clip | MossError]:
        return [ServerClip(samples) for samples in clips]

    def submit(self, request: Request) -> int:
        self._n_tickets += 1
        asked = _Posted(self._n_tickets, request)
        self._asked[asked.ticket] = asked
        self._todo.put(asked)
        if self._n_workers < min(self.n_together, len(self._asked)):
            self._n_workers += 1
            # A daemon: a run that is interrupted does not wait for a server.
            threading.Thread(target=self._work, name="server", daemon=True).start()
        self._note_what_is_lost(request)
        return asked.ticket

    def step(self) -> list[Event]:
        found: list[Event] = []
        if not self._asked:
            return found
        try:
            found.append(self._events.get(timeout=STEP_S))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            pass
        found = [event for event in found if event.ticket in self._asked]  # not of one that was cancelled
        for event in found:
            if not isinstance(event, Delta):
                self._asked.pop(event.ticket, None)
        return found

    def cancel(self, ticket: int) -> None:
        asked = self._asked.pop(ticket, None)
        if asked is not None:
            asked.is_cancelled.set()
            _hang_up(asked)

    def close(self) -> None:
        for ticket in list(self._asked):
            self.cancel(ticket)
        for _ in range(self._n_workers):
            self._todo.put(None)
        self._n_workers = 0

    def _work(self) -> None:
        while (asked := self._todo.get()) is not None:
            if asked.is_cancelled.is_set():
                continue
            try:
                event: Event = Answered(asked.ticket, self._answered(asked))
            except Exception as error:  # noqa: BLE001 - told as the request's own
                event = Failed(asked.ticket, as_moss_error(error))
            self._events.put(event)

    def _answered(self, asked: _Posted) -> ServerReply:
        """The answer to a request, made again where it comes to nothing. Raises MossError."""
        able, n_made = self._able, 0
        while True:
            n_made += 1
            try:
                reply = self._once(asked, able)
            except ServerFault as fault:
                if fault.status == 413 and able.has("float_audio"):
                    able = able.less("float_audio")  # half as large
                    continue
                if _is_too_long(fault) and not asked.is_short and asked.request.max_new_tokens is None:
                    asked.is_short = True  # this server has not said how much it can hold
                    continue
                wait_s = None if self._is_gone.is_set() else self._retry.wait_s(fault, n_made, random.random())
                if wait_s is None or asked.is_cancelled.wait(wait_s):
                    if fault.kind in ("unreachable", "silent"):
                        self._is_gone.set()  # the next ones try once
                    raise self._failure(fault) from fault
            else:
                self._is_gone.clear()
                return reply

    def _once(self, asked: _Posted, able: Abilities) -> ServerReply:
        request = asked.request
        answer, budget = Incoming(), None if self._served.is_moss else request.thinking_budget
        response = self._connection.post(CHAT, body(self._chat_request(asked), able))
        asked.response = response
        try:
            if not asked.is_cancelled.is_set():
                for event in events(response):
                    self._tell(asked, answer, answer.take(event))
                    if budget is not None and answer.n_thought > budget:
                        break
                    if asked.is_cancelled.is_set() or (answer.is_looping and not self._served.is_moss):
                        break
        except (HTTPException, OSError, ValueError) as error:  # ValueError: it was hung up on while it was read
            raise self._connection.fault(error) from error
        finally:
            asked.response = None
            response.close()  # also of one that was left in the middle, whose rest the next answer must not find
        if budget is not None and answer.n_thought > budget and request.think is not False:
            asked.request = replace(request, think=False, may_think=False)  # the thought has used up its budget
            return replace(self._once(asked, able), thought=answer.thought.strip() or None)
        return answer.reply(may_think=request.think is not False and request.may_think)

    def _tell(self, asked: _Posted, answer: Incoming, text: str) -> None:
        """Tell what has come; its text only of a server that does not take it back for a loop."""
        more = ""
        is_wanted = asked.request.tells and self._served.is_moss and bool(text)
        if is_wanted and answer.text.startswith(asked.told):  # of an answer that is made again, only what is new
            more, asked.told = answer.text[len(asked.told) :], answer.text
        self._events.put(Delta(asked.ticket, more, answer.n_decoded))

    def _chat_request(self, asked: _Posted) -> ChatRequest:
        request = asked.request
        clip, before = request.clip, request.goes_on_from
        prefix = before.prefix if isinstance(before, ServerReply) else ()
        extra = Extra.of(request, prefix).as_json() if self._served.is_moss else None
        return ChatRequest(
            self._served.id,
            request.prompt,
            min(request.n_least, request.n_characters) if asked.is_short else self._max_tokens(request),
            clip.samples if isinstance(clip, ServerClip) else None,
            request.form,
            request.sampling,
            request.seed,
            self.info.time_markers if request.time_markers is None else request.time_markers,
            request.think,
            extra,
            request.turns,
        )

    def _max_tokens(self, request: Request) -> int:
        """Room for the answer, and for a thought; a token is a character at least."""
        if request.max_new_tokens is not None:
            return request.max_new_tokens
        wanted = max(request.n_characters, request.n_least)
        may_think = request.may_think if request.think is None else request.think
        if may_think and self._thinks is not False:
            wanted += THOUGHT_TOKENS if request.thinking_budget is None else request.thinking_budget
        if self._served.n_positions is None:
            return wanted
        audio_s = request.clip.duration_s if request.clip is not None else 0.0
        texts = [request.prompt, *(text for turn in request.turns for text in (turn.question, turn.answer))]
        n_prompt = sum(map(_n_tokens, texts)) + TEMPLATE_TOKENS * len(texts) + round(audio_s * TOKENS_PER_SECOND)
        return max(min(wanted, self._served.n_positions - n_prompt), min(request.n_least, wanted))

    def _note_what_is_lost(self, request: Request) -> None:
        """Warn, once of each, of what is asked for and this server does not do."""
        able, lost = self._able, []
        if isinstance(request.form, JsonSchema) and not able.has("response_format"):
            lost.append("it does not hold answers to a JSON schema, so more of them may be unreadable")
        if isinstance(request.form, Grammar) and able.grammar is None:
            lost.append("it does not hold answers to a grammar, so times may be missing or out of order")
        if not request.sampling.greedy:
            lost += [f"it does not know {name}" for name in ("seed", "top_k") if not able.has(name)]
        if request.time_markers is not None and not able.has("mm_processor_kwargs"):
            lost.append("it decides about time markers itself")
        if request.think is not None and not able.has("chat_template_kwargs"):
            lost.append("it decides itself whether the model thinks")
        fresh = [message for message in lost if message not in self._said]
        self._said.update(fresh)
        warnings = tuple(f"{self._served.server.origin}: {message}" for message in fresh)
        if warnings:
            self.info = replace(self.info, warnings=(*self.info.warnings, *warnings))

    def _failure(self, fault: ServerFault) -> MossError:
        """Why a request has no answer."""
        if fault.status == 413 or _is_too_long(fault):
            message = f"{self._served.server.url} finds it too long ({fault.status}): {fault.said}"
            return UsageError(message, hint="try a shorter --chunk", code="too_long")
        if fault.status in (400, 422):
            return UsageError(
                f"{self._served.server.url} refuses it ({fault.status}): {fault.said}", code="request_refused"
            )
        return as_model_error(fault, self._served.server)


def _hang_up(asked: _Posted) -> None:
    """Wake the thread that reads an answer: the server then frees its place."""
    response = asked.response
    if response is not None:
        response.hang_up()


def _is_too_long(fault: ServerFault) -> bool:
    """Whether a prompt and the room for its answer are more than the model takes."""
    return fault.status == 400 and any(word in fault.said.lower() for word in _TOO_LONG)


def _n_tokens(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN + 1
