"""A model that stops early, begins late, leaves something out, repeats itself or says nothing: what it leaves untold is
asked for again, and every second of speech is in the result or in a warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_speech import SpokenWord, spoken_in, talk, transcript, understood
from scripted import asked
from scripted_backend import HeardClip, Said, ScriptedBackend, loop, noise, opening

from moss_cli.audio.chunk import Chunk
from moss_cli.audio.results import SAMPLE_RATE, Samples
from moss_cli.audio.vad import FRAME_SAMPLES
from moss_cli.backends.protocol import Request
from moss_cli.errors import DeviceError
from moss_cli.models.registry import resolve
from moss_cli.run.conversation import MOST_AGAIN, MOST_ATTEMPTS
from moss_cli.run.envelopes import ending_notices
from moss_cli.run.inputs import Input
from moss_cli.run.job import Job
from moss_cli.run.kept_parts import from_json, to_json
from moss_cli.run.runner import Runner
from moss_cli.schema import Envelope
from moss_cli.span import Span
from moss_cli.tasks.emotion import DescribeEmotion
from moss_cli.tasks.reading.task import Part
from moss_cli.tasks.reading.untold import EDGE_S, LEAST_UNTOLD_S, still_untold
from moss_cli.tasks.scene import DescribeScene
from moss_cli.tasks.summarize import Summarize
from moss_cli.tasks.transcribe import Transcribe

Fault = Callable[[Sequence[SpokenWord]], Said]
# So much speech may be left out without a word: less is not told from times that are wrong.
MOST_UNNOTICED_S = LEAST_UNTOLD_S + 2 * EDGE_S


def heard(request: Request) -> list[SpokenWord]:
    assert isinstance(request.clip, HeardClip)
    return understood(request.clip.samples)


def duration_s(request: Request) -> float:
    assert isinstance(request.clip, HeardClip)
    return request.clip.duration_s


def chunk_of(n_words: int, first: int = 0, start_s: float = 0.0) -> Chunk:
    samples = talk(n_words, first)
    span = Span(start_s, start_s + len(samples) / SAMPLE_RATE)
    return Chunk(samples, span, str(first), spoken_in(samples, start_s))


def parts_of(say: Callable[[Request, int], Said], chunk: Chunk, task: Any = None) -> tuple[list[Part[Any]], Any]:
    [parts], backend = asked(task or Transcribe(), say, chunk)
    assert isinstance(parts, list)
    return parts, backend


def words(first: int, last: int) -> str:
    return " ".join(f"word{number}" for number in range(first, last))


def test_the_end_that_an_answer_leaves_out_is_asked_for_by_itself() -> None:
    chunk = chunk_of(24)  # 11.7 s
    parts, backend = parts_of(lambda r, n: transcript(heard(r)[:12] if n == 1 else heard(r)), chunk)
    assert [(p.span.start_s, p.span.end_s, p.attempts) for p in parts] == [
        (0.0, pytest.approx(6.0), 1),
        (pytest.approx(5.5), pytest.approx(11.7), 2),
    ]
    assert Transcribe().merge(parts).text == words(0, 24)
    assert still_untold(parts) == ()
    assert len(backend.asked) == 2
    assert [notice.code for part in parts for notice in ending_notices(part)] == ["retried"]


@pytest.mark.parametrize(
    "left_out", [slice(0, 12), slice(8, 20), slice(4, 12), slice(0, 24)], ids=["start", "middle", "early", "all"]
)
def test_what_is_found_is_put_in_its_place(left_out: slice) -> None:
    def say(request: Request, n: int) -> str:
        said = heard(request)
        return transcript([word for word in said if n > 1 or word not in said[left_out]])

    parts, backend = parts_of(say, chunk_of(24))
    merged = Transcribe().merge(parts)
    assert merged.text == words(0, 24)
    for first, second in pairwise(merged.result.segments):
        assert first.end <= second.start
    assert still_untold(parts) == ()
    assert len(backend.asked) <= 3


def test_two_holes_are_asked_for_in_one_go_each() -> None:
    def say(request: Request, n: int) -> str:
        return transcript([word for word in heard(request) if n > 1 or word.number // 8 % 2 == 0])

    parts, backend = parts_of(say, chunk_of(40))
    assert Transcribe().merge(parts).text == words(0, 40)
    assert len(backend.asked) == 3


def test_a_model_that_hears_only_the_first_seconds_is_asked_piece_by_piece() -> None:
    def say(request: Request, n: int) -> str:
        return transcript([word for word in heard(request) if word.end_s < 8])

    parts, backend = parts_of(say, chunk_of(120))  # a minute
    assert Transcribe().merge(parts).text == words(0, 120)
    assert len(backend.asked) <= 1 + MOST_AGAIN


def test_a_plain_text_that_is_empty_is_asked_for_in_halves() -> None:
    def say(request: Request, n: int) -> str:
        return "" if n == 1 else " ".join(word.text for word in heard(request))

    task = Transcribe("none")
    parts, _ = parts_of(say, chunk_of(24), task)
    assert task.merge(parts).text == words(0, 24)
    assert [part.attempts for part in parts] == [2, 2]


def test_what_stays_without_text_is_told_and_the_questions_are_bounded() -> None:
    chunk = chunk_of(256)  # two minutes
    parts, backend = parts_of(lambda *_: "", chunk)
    [part] = parts
    assert part.untold == (Span(chunk.speech[0].start_s, chunk.speech[-1].end_s),)
    assert len(backend.asked) <= 1 + MOST_AGAIN
    assert part.cost.prompt == sum(len(request.prompt.split()) for request in backend.asked)


def test_a_model_that_loops_when_it_is_asked_again_does_not_multiply_the_questions() -> None:
    parts, backend = parts_of(lambda r, n: transcript(heard(r)[:20]) if n == 1 else loop(""), chunk_of(128))
    [part] = parts
    assert (part.finish_reason, part.reading.text) == ("stop", words(0, 20))
    assert part.untold == (Span(pytest.approx(9.8), pytest.approx(60.8)),)
    assert len(backend.asked) == 1 + 3 * MOST_ATTEMPTS  # pauses make three "halves" of it


def test_a_failure_while_asking_again_leaves_what_there_was_with_a_warning() -> None:
    failure = DeviceError("out of memory")
    parts, _ = parts_of(lambda r, n: transcript(heard(r)[:12]) if n == 1 else failure, chunk_of(24))
    [part] = parts
    assert (part.reading.text, part.finish_reason) == (words(0, 12), "stop")
    assert part.untold == (Span(pytest.approx(6.0), pytest.approx(11.4)),)


def test_where_nobody_speaks_nothing_is_untold() -> None:
    parts, backend = parts_of(lambda *_: "", Chunk(noise(20.0), Span(0.0, 20.0)))
    assert (still_untold(parts), len(backend.asked)) == ((), 1)


def test_what_is_untold_is_kept_with_its_part() -> None:
    [part], _ = parts_of(lambda *_: "", chunk_of(24))
    assert part.untold
    assert from_json(Transcribe(), to_json(part)) == part
    assert from_json(Transcribe(), to_json(part) | {"untold": [[2, 1]]}) is None


# --- timelines ---


def test_the_rest_of_a_timeline_that_ends_early_is_asked_for_by_itself() -> None:
    def say(request: Request, n: int) -> str:
        ends = 4.0 if n == 1 else duration_s(request)
        label = "calm" if n == 1 else "angry"
        item = f'{{"start": 0, "end": {ends}, "emotion": "{label}", "cue": null}}'
        return f'{{"overall": "{label}", "evidence": null, "segments": [{item}]}}'

    task, chunk = DescribeEmotion(), chunk_of(32)
    parts, backend = parts_of(say, chunk, task)
    segments = task.merge(parts).result.segments
    assert [(one.start, round(one.end, 2), one.emotion) for one in segments] == [(0, 4, "calm"), (3.5, 15.5, "angry")]
    assert (still_untold(parts), len(backend.asked)) == ((), 2)


def test_events_that_end_while_something_is_heard_are_asked_for_again_and_none_is_an_answer() -> None:
    whole = '{"setting": null, "atmosphere": null, "summary": "Rain."}'

    def say(request: Request, n: int) -> str:
        return whole if "Describe this audio" in request.prompt else "0 - 9: rain" if n == 1 else ""

    parts, backend = parts_of(say, Chunk(noise(30.0), Span(0.0, 30.0)), DescribeScene())
    [part] = parts
    assert (part.attempts, part.reading.result.summary, still_untold(parts)) == (1, "Rain.", ())
    assert len(backend.asked) == 4
    silent = np.concatenate([noise(10.0), np.zeros(20 * SAMPLE_RATE, np.float32)])
    parts, backend = parts_of(say, Chunk(silent, Span(0.0, 30.0)), DescribeScene())
    assert (len(parts), len(backend.asked)) == (1, 2)


def test_events_found_in_the_rest_follow_the_others() -> None:
    whole = '{"setting": null, "atmosphere": null, "summary": "Rain."}'

    def say(request: Request, n: int) -> str:
        return whole if "Describe this audio" in request.prompt else "0 - 9: rain" if n == 1 else "1 - 3: hail"

    parts, _ = parts_of(say, Chunk(noise(16.0), Span(0.0, 16.0)), DescribeScene())
    events = DescribeScene().merge(parts).result.events
    assert [(one.start, one.end, one.label) for one in events] == [(0, 9, "rain"), (9.5, 11.5, "hail")]
    assert still_untold(parts) == ()


# --- whole recordings ---


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Input]:
    """Five recordings of ten pieces each, more or less; made-up speech is heard as speech."""

    def probability(samples: Samples) -> Any:
        frames = np.zeros(-(-len(samples) // FRAME_SAMPLES) * FRAME_SAMPLES, np.float32)
        frames[: len(samples)] = np.abs(samples)
        return np.where(frames.reshape(-1, FRAME_SAMPLES).max(axis=1) > 0.01, 0.99, 0.0).astype(np.float32)

    monkeypatch.setattr("moss_cli.run.speech_pieces.speech_probability", probability)
    monkeypatch.setattr("moss_cli.audio.pauses.speech_probability", probability)
    paths = [tmp_path / f"{name}.wav" for name in "abcde"]
    for path in paths:
        soundfile.write(path, talk(160), SAMPLE_RATE, subtype="FLOAT")
    return [Input(path) for path in paths]


def envelopes(recordings: list[Input], task: Any, say: Callable[[Request, int], Said]) -> list[Envelope[Any]]:
    runner = Runner(Job(task, resolve("tiny")), open_backend=opening(ScriptedBackend(say)))
    return [outcome.envelope for outcome in runner.run(recordings)]


def missing_s(envelope: Envelope[Any], spoken: Sequence[SpokenWord]) -> float:
    """The longest that somebody speaks without a word in the result, outside of what warnings tell."""
    ranges = [Span(one.start, one.end) for one in envelope.warnings if one.start is not None and one.end is not None
              and one.code in ("untranscribed", "loop", "cut")]  # fmt: skip
    told = set((envelope.text or "").split())
    most = in_a_row = 0.0
    for word in spoken:
        is_warned = any(one.start_s < word.end_s and word.start_s < one.end_s for one in ranges)
        in_a_row = 0.0 if word.text in told or is_warned else in_a_row + word.end_s - word.start_s
        most = max(most, in_a_row)
    return most


SPOKEN = understood(talk(160))


def test_a_model_that_says_what_it_hears_is_asked_once_a_piece(recordings: list[Input]) -> None:
    for envelope in envelopes(recordings, Transcribe(), lambda r, n: transcript(heard(r))):
        assert (envelope.status, envelope.warnings, envelope.text) == ("ok", (), words(0, 160))
        assert {chunk.attempts for chunk in envelope.chunks} == {1}


def test_speech_that_stays_without_text_is_partial_and_the_warning_says_where(recordings: list[Input]) -> None:
    def say(request: Request, n: int) -> str:
        return transcript([word for word in heard(request) if not 60 <= word.number < 84])

    for envelope in envelopes(recordings[:1], Transcribe(), say):
        assert envelope.status == "partial"
        warnings = [one for one in envelope.warnings if one.code == "untranscribed"]  # one a piece
        assert {one.message for one in warnings} == {"somebody speaks here, and the model gave no text for it"}
        assert warnings[0].start == pytest.approx(SPOKEN[60].start_s, abs=0.05)
        assert warnings[-1].end == pytest.approx(SPOKEN[83].end_s, abs=0.05)
        assert missing_s(envelope, SPOKEN) == 0
        assert envelope.text == f"{words(0, 60)} {words(84, 160)}"


def test_chapters_that_end_early_are_partial(recordings: list[Input]) -> None:
    chapter = '{"start": 0, "end": 5, "title": "a", "summary": null}'
    said = f'{{"summary": "x", "key_points": [], "chapters": [{chapter}]}}'
    [envelope] = envelopes(recordings[:1], Summarize("chapters"), lambda *_: said)
    assert envelope.status == "partial"
    assert {one.code for one in envelope.warnings} == {"uncovered"}
    assert envelope.warnings[0].start == 5.0


FAULTS: dict[str, Fault] = {
    "stops early": lambda said: transcript(said[: len(said) // 3]),
    "begins late": lambda said: transcript(said[len(said) // 2 :]),
    "leaves out": lambda said: transcript([*said[: len(said) // 4], *said[-len(said) // 4 :]]),
    "stops late": lambda said: transcript(said) + "[9998.00]thanks for watching[9999.00]",
    "repeats": lambda said: loop(transcript(said[: len(said) // 2])),
    "says nothing": lambda said: "",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("is_lasting", [False, True], ids=["once", "always"])
def test_a_fault_in_one_piece_of_five_leaves_no_speech_untold_without_a_warning(
    recordings: list[Input], fault: str, is_lasting: bool
) -> None:
    """The faulty pieces are known by the words in them, so that they are faulty again when they are asked for again."""
    found: set[int] = set()

    def say(request: Request, n: int) -> Said:
        said = heard(request)
        number = min((word.number for word in said), default=0) // 16
        is_faulty = number % 5 == 2 and (is_lasting or number not in found)
        found.add(number)
        return FAULTS[fault](said) if is_faulty else transcript(said)

    for envelope in envelopes(recordings[:1] if is_lasting else recordings, Transcribe(), say):
        assert missing_s(envelope, SPOKEN) < MOST_UNNOTICED_S
        missing = set(words(0, 160).split()) - set((envelope.text or "").split())
        if is_lasting and fault in ("says nothing", "repeats"):
            assert (envelope.status, bool(missing)) == ("partial", True)
        if not is_lasting:
            assert (envelope.status, missing) == ("ok", set())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([None, *FAULTS]), min_size=1, max_size=12), st.integers(4, 60))
def test_whatever_a_model_leaves_out_every_second_is_in_the_result_or_in_a_warning(
    faults: list[str | None], n_words: int
) -> None:
    chunk = chunk_of(n_words)

    def say(request: Request, n: int) -> Said:
        fault = faults[n % len(faults)]
        return FAULTS[fault](heard(request)) if fault else transcript(heard(request))

    parts, backend = parts_of(say, chunk)
    merged = Transcribe().merge(parts)
    said = [word for word in merged.text.split() if word.startswith("word")]
    warned = [*still_untold(parts), *(part.span for part in parts if not part.complete)]
    in_a_row = 0.0
    for word in understood(chunk.samples):
        is_warned = any(one.start_s < word.end_s and word.start_s < one.end_s for one in warned)
        in_a_row = 0.0 if word.text in said or is_warned else in_a_row + word.end_s - word.start_s
        assert in_a_row < MOST_UNNOTICED_S
    assert len(backend.asked) <= (1 + MOST_AGAIN) * MOST_ATTEMPTS
    for first, second in pairwise(merged.result.segments):
        assert first.end <= second.start
