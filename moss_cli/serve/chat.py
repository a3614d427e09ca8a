"""`POST /v1/chat/completions`"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse

from moss_cli.answers import Cost
from moss_cli.audio.results import Audio
from moss_cli.backends.local import LocalReply
from moss_cli.backends.protocol import Answered, Delta, Failed, Reply, Request
from moss_cli.backends.wire import KEY, Ending, Extra
from moss_cli.serve.bodies import blocks, check_kind, check_length, declared_bytes
from moss_cli.serve.chat_answer import ChatAnswer
from moss_cli.serve.chat_body import ChatQuestion, read_chat
from moss_cli.serve.desk import Desk, of_request
from moss_cli.serve.refusals import Refusal, bad_request, refusal_of
from moss_cli.serve.spool import decoded
from moss_cli.serve.waiting import too_slow, unless_gone

USUAL_CHARACTERS = 4096  # an answer has room for, unless the client says; as of a task's question
ALIVE_EVERY_S = 15.0  # a stream that waits says so, for proxies that close what is silent; chosen


async def chat(http: HttpRequest, desk: Desk) -> Response:
    """Answer a chat request, in one piece or as a stream. Raises Refusal, ClientGone."""
    limits = desk.config.limits
    check_kind(http.headers, "application/json")
    check_length(http.headers, limits.max_json_bytes)
    with desk.admission.held(declared_bytes(http.headers) or limits.max_json_bytes):
        raw = b"".join([block async for block in blocks(http, limits.max_json_bytes, limits.stall_s)])
        question = read_chat(raw, desk.config.model.entry.name)
        del raw
        audio = await _decoded(question, desk)
    begun = _Completion(desk, question, audio)
    request, samples = engine_request(question, desk), None
    if audio is not None:
        samples = audio.samples
        of_request(http).enter_context(desk.admission.held(samples.nbytes))
    answer = ChatAnswer(desk.engine, request, samples)
    del audio, samples  # they are the engine's, until it has listened
    if question.streams:
        return StreamingResponse(begun.stream(answer), media_type="text/event-stream", headers=_UNBUFFERED)
    try:
        event = await unless_gone(answer.event(), http.receive, limits.timeout_s)
    except BaseException:
        answer.cancel()
        raise
    return JSONResponse(begun.whole(_reply(event)))


_UNBUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}


async def _decoded(question: ChatQuestion, desk: Desk) -> Audio | None:
    if question.audio is None:
        if not desk.config.model.entry.text_only:
            raise bad_request("this model answers only about audio; give it some", param="messages")
        return None
    longest_s = min(desk.config.model.entry.max_seconds, desk.config.job.max_duration_s)
    read = partial(decoded, question.audio, max_duration_s=longest_s, param=question.audio_param)
    return await desk.read(read)


def engine_request(question: ChatQuestion, desk: Desk) -> Request:
    """What the engine is asked, but for the clip."""
    entry = desk.config.model.entry
    if question.think and not desk.engine.info.can_think:
        raise bad_request(f"{entry.name} does not support thinking", param="chat_template_kwargs.enable_thinking")
    may_think = entry.thinking is not False if question.may_think is None else question.may_think
    request = Request(
        prompt=question.prompt,
        turns=question.turns,
        form=question.form,
        n_characters=USUAL_CHARACTERS,
        max_new_tokens=question.max_tokens,
        time_markers=question.time_markers,
        think=question.think,
        may_think=may_think,
        thinking_budget=question.thinking_budget,
        sampling=question.sampling,
        seed=secrets.randbits(63) if question.seed is None else question.seed,
        tells=question.streams,
    )
    return request if question.extra is None else with_extra(request, question.extra)


def with_extra(request: Request, extra: Extra) -> Request:
    """A request with what our own client says of it."""
    prefix = extra.prefix
    return replace(
        request,
        n_characters=extra.n_characters,
        n_least=extra.n_least,
        max_new_tokens=extra.max_new_tokens,
        may_think=extra.may_think,
        thinking_budget=extra.thinking_budget,
        goes_on_from=LocalReply("", ids=prefix, n_settled=len(prefix)) if prefix else None,
    )


def _reply(event: object) -> Reply:
    if isinstance(event, Answered):
        return event.reply
    assert isinstance(event, Failed)
    raise refusal_of(event.error)


class _Completion:
    """One answer as the API shows it."""

    def __init__(self, desk: Desk, question: ChatQuestion, audio: Audio | None) -> None:
        self._desk, self._question = desk, replace(question, audio=None)
        self._audio_s = audio.duration_s if audio else 0.0
        self._warnings = audio.warnings if audio else ()
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time())}
        self._model = desk.config.model.entry.name

    def whole(self, reply: Reply) -> dict[str, Any]:
        """The answer in one piece."""
        self._count(reply.cost)
        message = {"role": "assistant", "content": reply.text, "reasoning_content": reply.thought}
        choice = {"index": 0, "message": message, "logprobs": None, **self._ending(reply)}
        return {
            **self._head,
            "object": "chat.completion",
            "model": self._model,
            "choices": [choice],
            "usage": _usage(reply.cost),
            **self._notices(),
        }

    async def stream(self, answer: ChatAnswer) -> AsyncGenerator[str, None]:
        """The answer as server-sent events. Leaving it gives the answer's slot back."""
        is_whole = False
        try:
            async with aclosing(self._chunks(answer)) as chunks:
                async for chunk in chunks:
                    yield chunk
            is_whole = True
        except Refusal as refusal:
            is_whole = True
            self._desk.metrics.refused_in_stream(refusal.status)
            yield _event(refusal.body)
        finally:
            self._desk.metrics.n_cancelled += not is_whole
            answer.cancel()

    async def _chunks(self, answer: ChatAnswer) -> AsyncGenerator[str, None]:
        yield self._chunk({"role": "assistant", "content": ""})
        ends_at, told = time.monotonic() + self._desk.config.limits.timeout_s, ""
        while True:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                raise too_slow()
            event = await answer.event_within(min(left_s, ALIVE_EVERY_S))
            if event is None:
                yield ": waiting\n\n"
            elif isinstance(event, Delta):
                told += event.text
                yield self._chunk({"content": event.text})
            else:
                break
        reply = _reply(event)
        self._count(reply.cost)
        if reply.thought:
            yield self._chunk({"reasoning_content": reply.thought})
        if len(reply.text) > len(told) and reply.text.startswith(told):
            yield self._chunk({"content": reply.text[len(told) :]})
        yield self._chunk({}, self._ending(reply), self._notices())
        if self._question.includes_usage:
            yield _event({**self._chunk_head, "choices": [], "usage": _usage(reply.cost)})
        yield "data: [DONE]\n\n"

    @property
    def _chunk_head(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk", "model": self._model}

    def _chunk(
        self, delta: dict[str, Any], ending: dict[str, Any] | None = None, notices: dict[str, Any] | None = None
    ) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, **(ending or {"finish_reason": None})}
        usage = {"usage": None} if self._question.includes_usage else {}
        return _event({**self._chunk_head, "choices": [choice], **usage, **(notices or {})})

    def _count(self, cost: Cost) -> None:
        self._desk.metrics.answered(cost, self._audio_s)

    def _ending(self, reply: Reply) -> dict[str, Any]:
        """Why an answer ended; our own client is told all of it. One that repeats itself was cut, as `stop_reason`
        says."""
        is_loop = reply.finish_reason == "loop"
        ending: dict[str, Any] = {"finish_reason": "length" if is_loop else reply.finish_reason}
        ending["stop_reason"] = "loop" if is_loop else None
        if self._question.extra is not None:
            prefix = reply.ids[: reply.n_settled] if isinstance(reply, LocalReply) else ()
            told = Ending(reply.finish_reason, reply.text, reply.thought, reply.settled, tuple(prefix))
            ending[KEY] = told.as_json()
        return ending

    def _notices(self) -> dict[str, Any]:
        """What was wrong with the audio, where something was: a field of our own."""
        found = [{"code": one.code, "message": one.message} for one in self._warnings]
        return {"warnings": found} if found else {}


def _usage(cost: Cost) -> dict[str, int]:
    return {
        "prompt_tokens": cost.prompt,
        "completion_tokens": cost.generated,
        "total_tokens": cost.prompt + cost.generated,
    }


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
