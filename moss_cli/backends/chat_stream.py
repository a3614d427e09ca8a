"""A streamed answer of an OpenAI-compatible server: server-sent events to text, thought, and how it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from moss_cli.answers import Cost, FinishReason
from moss_cli.backends.protocol import Reply
from moss_cli.backends.wire import KEY, ending_from
from moss_cli.engine.loops import LoopWatch, without_loop
from moss_cli.models.server_fault import ServerFault

THINK, END_THINK = "<think>", "</think>"
_ENDINGS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "length": "length",
    "repetition": "loop",
    "loop": "loop",
}
_WORD = re.compile(r"\d|[^\W\d]+|\s+|[^\w\s]")


@dataclass(frozen=True)
class ServerReply(Reply):
    """An answer of a server. `prefix`: the tokens of what is settled, by which `moss serve` can go on from it."""

    prefix: Sequence[int] = ()


@dataclass
class Incoming:
    """What has come of an answer. `is_looping`: it repeats itself, and nothing more is worth waiting for."""

    text: str = ""
    thought: str = ""
    n_decoded: int = 0
    n_thought: int = 0
    is_looping: bool = False
    _finish_reason: str = ""
    _is_over: bool = False
    _cost: Cost | None = None
    _ending: Any = None
    _words: Words = field(default_factory=lambda: Words())

    def take(self, event: Any) -> str:
        """Take note of an event; the text that came with it. Raises ServerFault for one that is an error."""
        if not isinstance(event, dict):
            raise ServerFault("garbage", "an event is no object")
        if event.get("error") or event.get("object") == "error":
            raise _failure(event)
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._cost = Cost(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return ""
        choice = choices[0] if isinstance(choices[0], dict) else {}
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        thought = _text(delta.get("reasoning_content")) or _text(delta.get("reasoning"))
        text = _text(delta.get("content"))
        self.thought, self.text = self.thought + thought, self.text + text
        self.n_decoded += bool(thought or text)
        self.n_thought += bool(thought)
        self.is_looping = self._words.push(thought + text)
        if choice.get("finish_reason"):
            self._finish_reason, self._is_over = str(choice["finish_reason"]), True
            self._ending = choice.get(KEY)
        return text

    def reply(self, *, may_think: bool) -> ServerReply:
        """The whole of it. Raises ServerFault where it has no end, or not one of its own."""
        cost = self._cost or Cost(0, self.n_decoded)
        if self._ending is not None:
            return self._as_told(cost)
        if not self._is_over and not self.is_looping:
            raise ServerFault("cut", "it has no end")
        if not self.is_looping and self._finish_reason not in _ENDINGS:
            raise ServerFault("status", f"it ended the answer: {self._finish_reason}", status=400)
        finish_reason = "loop" if self.is_looping else _ENDINGS[self._finish_reason]
        thought, text = self.thought.strip() or None, self.text
        if thought is None and may_think:
            thought, text = split_thought(text)
        if finish_reason == "loop":
            text = once(text)
        return ServerReply(text.lstrip() if thought else text, finish_reason, thought, text, cost)

    def _as_told(self, cost: Cost) -> ServerReply:
        try:
            ending = ending_from(self._ending)
        except ValueError as error:
            raise ServerFault("garbage", str(error)) from error
        return ServerReply(
            ending.text, ending.finish_reason, ending.thought, ending.settled, cost, prefix=tuple(ending.prefix)
        )


class Words:
    """Watches the words of an answer for a loop, as `LoopWatch` does its tokens."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._watch, self._rest = LoopWatch(), ""

    def push(self, text: str) -> bool:
        """Whether with this much more the answer repeats itself."""
        *whole, self._rest = _WORD.findall(self._rest + text) or [""]
        for word in whole:
            self._watch.push(self._numbers.setdefault(word, len(self._numbers)))
            if self._watch.in_loop:
                return True
        return self._watch.in_loop


def once(text: str) -> str:
    """A text that ends in a loop, with one round of it."""
    words = _WORD.findall(text)
    numbers: dict[str, int] = {}
    ids = [numbers.setdefault(word, len(numbers)) for word in words]
    for n_last in range(min(len(ids), 64)):  # the last round may be cut anywhere
        kept = without_loop(ids[: len(ids) - n_last])
        if len(kept) < len(ids) - n_last:
            return "".join(words[: len(kept)])
    return text


def split_thought(text: str) -> tuple[str | None, str]:
    """The thought and the answer in a text in which a server has left the marks; the first may be in the prompt."""
    before, mark, answer = text.partition(END_THINK)
    if mark:
        return before.strip().removeprefix(THINK).strip() or None, answer.lstrip()
    if text.lstrip().startswith(THINK):
        return text.lstrip().removeprefix(THINK).strip() or None, ""
    return None, text


def events(lines: Iterable[bytes]) -> Iterator[Any]:
    """The JSON of each event of a stream, until it says that it is over. Raises ServerFault for what is none.

    A field is `data: …`, an event ends with an empty line, a line that begins with a colon is a comment (HTML Living
    Standard, 9.2.6).
    """
    data: list[bytes] = []
    for line in lines:
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        if line or not data:
            if not line.startswith((b"data:", b":", b"event:", b"id:", b"retry:")) and line:
                raise ServerFault("garbage", "it is no stream of events")
            continue
        event, data = b"\n".join(data), []
        if event.strip() == b"[DONE]":
            return
        yield _json(event)
    if data and b"\n".join(data).strip() != b"[DONE]":
        yield _json(b"\n".join(data))


def _json(event: bytes) -> Any:
    try:
        return json.loads(event)
    except (ValueError, RecursionError) as error:
        raise ServerFault("garbage", "an event is not JSON") from error


def _failure(event: dict[str, Any]) -> ServerFault:
    """An error in the middle of an answer, whose status was 200."""
    error = event.get("error")
    inner = error if isinstance(error, dict) else event
    code = inner.get("code")
    said = inner.get("message") or error
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return ServerFault("status", " ".join(str(said).split())[:300], status=status)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
