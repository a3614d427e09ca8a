"""Whether words are lost or doubled where a long recording is cut: ten minutes of known sentences, for several lengths
of the pieces.

    python -m training.stitching [--model tiny] [--minutes 10] [--chunk 8 --chunk 30] [--timestamps word]

The sentences are transcribed one by one, each in a clip of its own, and then as one recording, in which stretches with
pauses take turns with stretches without any that a cut could lie in. The table has the word error rate of both; what
is above the sentences' own was lost, doubled or misheard at the cuts, or in pieces of more sentences than the model
hears well.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import soundfile

from training.clips import noise
from training.commands import answers
from training.examples import SAMPLE_RATE
from training.render import FIRST_TEST_SEED
from training.sentences import sentence
from training.voices import Spoken, draw_voice, speak

SEED = FIRST_TEST_SEED + 300
CHUNKS_S = (6, 8, 12, 16, 20, 30)
TOGETHER = 12  # sentences of a stretch
PAUSES_S = (0.5, 1.6)
NO_PAUSES_S = (0.2, 0.25)  # as short as tiny has learned, and drowned in noise
LEVEL = 0.08  # RMS
FAINT, LOUD = 0.0006, 0.014  # of the noise; the loud one lies 15 dB below the voice
MARGIN_S = 0.4  # around a sentence that is alone


@dataclass(frozen=True)
class Row:
    """What came of one way to hear the sentences."""

    name: str
    n_pieces: int
    n_overlaps: int
    text: str


@dataclass(frozen=True)
class Figures:
    """Word error rates in percent, of all sentences, of those with pauses between them and of those without."""

    words: jiwer.WordOutput
    rates: tuple[float, float, float]


def sentences(minutes: float, seed: int) -> list[Spoken]:
    """Sentences that last so long together, in voices of the training domain, all equally loud."""
    rng, found, seconds = random.Random(seed), [], 0.0
    while seconds < 60 * minutes:
        voice = draw_voice(rng)
        for _ in range(TOGETHER):
            one = speak(sentence(rng), voice, fresh=True)
            samples = one.samples * np.float32(LEVEL / np.sqrt((one.samples**2).mean()))
            found.append(Spoken(one.text, samples.clip(-0.99, 0.99), one.word_starts_s))
            seconds += len(samples) / SAMPLE_RATE + sum(PAUSES_S + NO_PAUSES_S) / 4
    return found


def over_noise(parts: Sequence[np.ndarray], level: float, seed: int) -> np.ndarray:
    sound = np.concatenate(parts)
    return sound + noise(np.random.default_rng(seed), "white", len(sound)) * np.float32(level)


def has_pauses(place: int) -> bool:
    """Whether the sentence at a place stands in a stretch with pauses."""
    return place // TOGETHER % 2 == 0


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def recording(spoken: Sequence[Spoken], seed: int) -> np.ndarray:
    """All sentences one after another: a stretch with pauses between them, a stretch without, and so on."""
    rng = random.Random(seed)
    parts = []
    for place, one in enumerate(spoken):
        gap = silence(rng.uniform(*(PAUSES_S if has_pauses(place) else NO_PAUSES_S)))
        parts.append(over_noise([one.samples, gap], FAINT if has_pauses(place) else LOUD, seed + place))
    return np.concatenate(parts)


def alone(one: Spoken, place: int) -> np.ndarray:
    """A sentence in a clip of its own, over the noise that it has in the recording."""
    margin = silence(MARGIN_S)
    return over_noise([margin, one.samples, margin], FAINT if has_pauses(place) else LOUD, place)


def heard(
    folder: Path, spoken: Sequence[Spoken], seed: int, model: str, options: Sequence[str], chunks_s: Sequence[int]
) -> dict[str, Any]:
    """The envelopes of the sentences and of the recording in pieces of each length, by their files' names."""
    for place, one in enumerate(spoken):
        soundfile.write(folder / f"{place:04}.wav", alone(one, place), SAMPLE_RATE)
    lines = [["transcribe", *sorted(map(str, folder.glob("*.wav"))), *options]]
    sound = recording(spoken, seed)
    for chunk_s in chunks_s:
        path = folder / f"chunk-{chunk_s}.wav"
        soundfile.write(path, sound, SAMPLE_RATE)
        lines.append(["transcribe", str(path), "--chunk", str(chunk_s), *options])
    return answers(lines, model)


def row(chunk_s: int, envelope: Mapping[str, Any]) -> Row:
    check_times(envelope)
    spans = [(chunk["start"], chunk["end"]) for chunk in envelope["chunks"]]
    n_overlaps = sum(second[0] < first[1] - 0.001 for first, second in pairwise(spans))
    return Row(str(chunk_s), len(spans), n_overlaps, envelope["text"])


def figures(truth: Sequence[str], text: str) -> Figures:
    paused = [has_pauses(place) for place, sentence in enumerate(truth) for _ in sentence.split()]
    words = jiwer.process_words(" ".join(truth), text)
    wrong = {True: 0, False: 0}
    for part in words.alignments[0]:
        if part.type != "equal":
            n_wrong = max(part.ref_end_idx - part.ref_start_idx, part.hyp_end_idx - part.hyp_start_idx)
            wrong[paused[min(part.ref_start_idx, len(paused) - 1)]] += n_wrong
    with_pauses, without = (100 * wrong[kind] / max(1, paused.count(kind)) for kind in (True, False))
    return Figures(words, (100 * words.wer, with_pauses, without))


def check_times(envelope: Mapping[str, Any]) -> None:
    """SystemExit where segments overlap, run backwards or leave the file."""
    last_s = 0.0
    for segment in envelope["result"]["segments"]:
        if not last_s <= segment["start"] <= segment["end"] <= envelope["input"]["duration"]:
            raise SystemExit(f"times out of order: {segment} after {last_s}")
        last_s = segment["end"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny", help="a name, or a checkpoint folder")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--chunk", type=int, action="append", help="seconds; repeatable")
    parser.add_argument("--timestamps", choices=["segment", "word", "none"], default="segment")
    parser.add_argument("--keep", type=Path, help="file for what was said and heard, as JSON")
    args = parser.parse_args()
    options = ["--timestamps", args.timestamps]
    spoken = sentences(args.minutes, args.seed)
    truth = [one.text for one in spoken]
    chunks_s = args.chunk or CHUNKS_S
    with tempfile.TemporaryDirectory() as folder:
        said = heard(Path(folder), spoken, args.seed, args.model, options, chunks_s)
    if args.keep:
        args.keep.write_text(json.dumps({"truth": truth, "said": said}))
    alone_text = " ".join(said[f"{place:04}.wav"]["text"] for place in range(len(spoken)))
    found = [row(chunk_s, said[f"chunk-{chunk_s}.wav"]) for chunk_s in chunks_s]
    seconds = said[f"chunk-{chunks_s[0]}.wav"]["input"]["duration"]
    print(f"{seconds:.0f} s, {len(spoken)} sentences, {sum(len(text.split()) for text in truth)} words")
    print("chunk s  pieces  overlaps  WER %  above own  with pauses  without  substituted  lost  doubled")
    own = figures(truth, alone_text)
    for one in [Row("alone", len(spoken), 0, alone_text), *found]:
        print(line(one, figures(truth, one.text), own))


def line(one: Row, its: Figures, own: Figures) -> str:
    """A line of the table; what is above the sentences' own, in points."""
    above, paused, unpaused = (mine - alone for mine, alone in zip(its.rates, own.rates, strict=True))
    rates = f"{its.rates[0]:5.2f}  {above:+9.2f}  {paused:+11.2f}  {unpaused:+7.2f}"
    wrong = f"{its.words.substitutions:11}  {its.words.deletions:4}  {its.words.insertions:7}"
    return f"{one.name:>7}  {one.n_pieces:6}  {one.n_overlaps:8}  {rates}  {wrong}"


if __name__ == "__main__":
    main()
