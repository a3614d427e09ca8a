"""The clips that a step of training is made of: so many of each domain, drawn from banks."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from moss_cli.tasks.transcribe import PROMPT_PLAIN, PROMPT_SEGMENTS, PROMPT_WORDS
from training.bank import Bank
from training.clips import Clip, training_clip
from training.dense import dense_clip
from training.examples import SAMPLE_RATE, Asked, Example, Segment, Track, counted
from training.voices import Spoken

Draw = Callable[[random.Random], Example]
ALSO_TRANSCRIBED, ALSO_RETOLD = 0.35, 0.3  # of the meetings, besides being summed up
DENSE = 0.3  # of the speech: cut out of speech without pauses, as pieces of long recordings are


@dataclass(frozen=True)
class Mix:
    """What the clips of a stage are. `shares`: how often each domain is drawn; the first two are of speech."""

    n_sentences: tuple[int, int]
    max_s: float
    n_tokens: int  # of one batch of one process, padding included
    shares: Mapping[str, float]
    stress: Mapping[str, float] = field(default_factory=dict)  # how much more an answer counts, by domain


def segments_answer(segments: Sequence[Segment]) -> str:
    """`[x.xx]text[y.yy]` for every sentence."""
    return "".join(f"[{s.start:.2f}]{s.text}[{s.end:.2f}]" for s in segments)


def words_answer(segments: Sequence[Segment]) -> str | None:
    """`[x.xx]word[y.yy]` for every word, which lasts until the next one; None where the starts are not known."""
    answer = ""
    for segment in segments:
        words = segment.text.split()
        if len(segment.word_starts) != len(words):
            return None
        ends = [*segment.word_starts[1:], segment.end]
        times = zip(segment.word_starts, ends, words, strict=True)
        answer += "".join(f"[{start:.2f}]{word}[{end:.2f}]" for start, end, word in times)
    return answer


def transcriptions(segments: Sequence[Segment]) -> tuple[Asked, ...]:
    """The three instructions of `moss transcribe`.

    Those with times stand there twice, to be drawn more often: they are harder to learn.
    """
    asked = [Asked(PROMPT_PLAIN, " ".join(s.text for s in segments))]
    asked += 2 * [Asked(PROMPT_SEGMENTS, segments_answer(segments))]
    words = words_answer(segments)
    if words is not None:
        asked += 2 * [Asked(PROMPT_WORDS, words)]
    return tuple(asked)


def spoken_example(clip: Clip) -> Example:
    """A clip of the speech domain."""
    tracks = [Track(s.start, s.end, "speech/on") for s in clip.segments]
    tracks += counted("sentences", (s.start for s in clip.segments), len(clip.samples) / SAMPLE_RATE)
    families = frozenset({"speech", "sentences"})
    return Example(clip.samples, {}, transcriptions(clip.segments), tuple(tracks), families, tuple(clip.segments))


def speech(banks: list[Path], mix: Mix) -> Draw:
    """The speech domain, silence and noise among it."""
    loaded = [Bank(folder) for folder in banks]
    sizes = [len(bank) for bank in loaded]

    def draw(rng: random.Random) -> Example:
        def sentence() -> Spoken:
            return rng.choices(loaded, sizes)[0].draw(rng)

        if rng.random() < DENSE:
            return spoken_example(dense_clip(rng, sentence))
        return spoken_example(training_clip(rng, sentence, mix.n_sentences, mix.max_s))

    return draw


def domains(folder: Path, mix: Mix) -> dict[str, Draw]:
    """Every domain that the mix has a share of, from the banks in a folder (see training/tiny.sh).

    The imports are here because a bank of each is needed only where its share is not nothing.
    """
    found: dict[str, Draw] = {}
    parts = None  # of questions and of mixed clips: the same
    for name in mix.shares:
        if name == "transcribe":
            found[name] = speech(sorted(folder.glob("bank[0-9]*")), mix)
        elif name == "scene":
            from training.domains import scenes, scenes_bank

            found[name] = _from(scenes.example, scenes_bank.SceneBank(folder / "scenes_bank"))
        elif name == "music":
            from training.domains import music

            found[name] = _from(music.example, music.NoteBank(folder / "music_bank"))
        elif name == "describe-speaker":
            from training.domains import voices, voices_bank

            found[name] = _from(voices.example, voices_bank.VoicesBank(folder / "voices_bank"))
        elif name == "emotion":
            from training.domains import emotions, emotions_bank

            found[name] = _from(emotions.example, emotions_bank.EmotionsBank(folder / "emotions_bank"))
        elif name in ("ask", "mixed"):
            from training.domains import mixed, questions

            if parts is None:
                sounds, notes = folder / "scenes_bank", folder / "music_bank"
                parts = questions.Banked(sorted(folder.glob("bank[0-9]*")), sounds, notes)
            found[name] = (
                _from(questions.example, parts) if name == "ask" else _transcribed(_from(mixed.example, parts))
            )
        elif name == "summarize":
            from training.domains import meetings, meetings_retold

            draw = _from(meetings.example, meetings.MeetingBank(folder / "meetings_bank"))
            found[name] = _also_retold(_also_transcribed(draw), meetings_retold.retold)
    return found


def _from(example: Callable[..., Example], parts: object) -> Draw:
    return lambda rng: example(rng, parts, reserved=False)


def _also_transcribed(draw: Draw) -> Draw:
    """Clips of which it is also asked, now and then, what is said in them."""

    def drawn(rng: random.Random) -> Example:
        example = draw(rng)
        if rng.random() >= ALSO_TRANSCRIBED:
            return example
        return replace(example, asked=(*example.asked, rng.choice(transcriptions(example.spoken or ()))))

    return drawn


def _also_retold(draw: Draw, retold: Callable[[random.Random], Asked]) -> Draw:
    """Clips beside which minutes are to be made from a thought that has nothing to do with them, now and then."""

    def drawn(rng: random.Random) -> Example:
        example = draw(rng)
        return replace(example, asked=(*example.asked, retold(rng))) if rng.random() < ALSO_RETOLD else example

    return drawn


def _transcribed(draw: Draw) -> Draw:
    """Clips of which nothing is asked but what is said in them."""

    def drawn(rng: random.Random) -> Example:
        example = draw(rng)
        return replace(example, asked=transcriptions(example.spoken or ()))

    return drawn
