"""The figures of the `transcribe` command: words, sentence boundaries, word times, and silence where nobody speaks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import chain
from typing import Any

import jiwer

Row = Mapping[str, Any]
Envelopes = Mapping[str, Row]

MOST_CONFUSED = 12  # pairs of words


def measure_speech(labels: Sequence[Row], envelopes: Envelopes) -> dict[str, Any]:
    """Compare envelopes (by file name) with rows of labels.jsonl. A clip without a result is an empty answer.

    `word_error_rate`: of all words together. `boundary_error_s`: mean distance of starts and ends, over the
    sentences that a segment was found for; None where there are none. `sentences_found`: their share. `by_rate`,
    `by_noise`: word error rates of the clips of each sample rate and kind of noise. `confusion`: of the words that were
    most often taken for others, rows are true, columns are said.
    """
    texts = {row["file"]: envelopes.get(row["file"], {}).get("text") or "" for row in labels}
    errors: list[float] = []
    for row in labels:
        for sentence, segment in match(row["segments"], _segments(row, envelopes)):
            errors += [abs(sentence[side] - segment[side]) for side in ("start", "end")]
    n_sentences = sum(len(row["segments"]) for row in labels)
    return {
        "n_clips": len(labels),
        "word_error_rate": _word_error_rate(labels, texts),
        "boundary_error_s": _mean(errors),
        "sentences_found": len(errors) / 2 / n_sentences if n_sentences else None,
        "by_rate": _parted(labels, texts, "sample_rate"),
        "by_noise": _parted(labels, texts, "noise"),
        "confusion": _confusion(labels, texts),
    }


def measure_words(labels: Sequence[Row], envelopes: Envelopes) -> dict[str, Any]:
    """`word_time_error_s`: mean distance of the starts of words, over those that were transcribed rightly and whose
    start is known (see DOMAIN.md). `words_timed`: the share of the words whose start is known that are among them."""
    errors: list[float] = []
    n_known = 0
    for row in labels:
        known = [_starts(segment) for segment in row["segments"]]
        truth = list(chain.from_iterable(known))
        found = [word for segment in _segments(row, envelopes) for word in segment.get("words") or ()]
        n_known += sum(start_s is not None for _, start_s in truth)
        pairs = SequenceMatcher(None, [text for text, _ in truth], [word["word"] for word in found], autojunk=False)
        for a, b, n in pairs.get_matching_blocks():
            times = ((truth[a + i][1], found[b + i]["start"]) for i in range(n))
            errors += [abs(true_s - said_s) for true_s, said_s in times if true_s is not None]
    return {
        "n_clips": len(labels),
        "word_time_error_s": _mean(errors),
        "words_timed": len(errors) / n_known if n_known else None,
    }


def measure_silence(labels: Sequence[Row], envelopes: Envelopes) -> dict[str, Any]:
    """`n_not_empty`: how many of the clips, in which nothing is said, have a transcript. A clip without a result
    counts as one: that nothing is said was not found out."""
    answers = [envelopes.get(row["file"], {}) for row in labels]
    return {
        "n_clips": len(labels),
        "n_not_empty": sum(bool(one.get("text")) or not one.get("result") for one in answers),
    }


def match(truth: Sequence[Row], found: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Pair each sentence with the segment that overlaps it most, each segment once."""
    pairs, left = [], list(found)
    for sentence in truth:
        best = max(left, key=lambda s: _overlap(sentence, s), default=None)
        if best is not None and _overlap(sentence, best) > 0:
            pairs.append((sentence, best))
            left.remove(best)
    return pairs


def _overlap(a: Row, b: Row) -> float:
    return float(min(a["end"], b["end"]) - max(a["start"], b["start"]))


def _segments(row: Row, envelopes: Envelopes) -> Sequence[Row]:
    return (envelopes.get(row["file"], {}).get("result") or {}).get("segments") or ()


def _starts(segment: Row) -> list[tuple[str, float | None]]:
    """The words of a sentence and when each starts, None where that is not known."""
    words = segment["text"].split()
    starts = segment["word_starts"]
    return list(zip(words, starts if len(starts) == len(words) else [None] * len(words), strict=True))


def _word_error_rate(labels: Sequence[Row], texts: Mapping[str, str]) -> float | None:
    if not labels:
        return None
    return float(jiwer.wer([row["text"] for row in labels], [texts[row["file"]] for row in labels]))


def _confusion(labels: Sequence[Row], texts: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """How often which word was taken for which, of the MOST_CONFUSED pairs."""
    if not labels:
        return {}
    found: Counter[tuple[str, str]] = Counter()
    aligned = jiwer.process_words([row["text"] for row in labels], [texts[row["file"]] for row in labels])
    for true, said, chunks in zip(aligned.references, aligned.hypotheses, aligned.alignments, strict=True):
        for chunk in chunks:
            if chunk.type == "substitute":
                heard = said[chunk.hyp_start_idx : chunk.hyp_end_idx]
                found.update(zip(true[chunk.ref_start_idx : chunk.ref_end_idx], heard, strict=True))
    table: dict[str, dict[str, int]] = defaultdict(dict)
    for (word, other), count in sorted(found.items(), key=lambda one: (-one[1], one[0]))[:MOST_CONFUSED]:
        table[word][other] = count
    return dict(table)


def _parted(labels: Sequence[Row], texts: Mapping[str, str], setting: str) -> dict[str, float | None]:
    parts: dict[Any, list[Row]] = defaultdict(list)
    for row in labels:
        if setting in row["settings"]:
            parts[row["settings"][setting]].append(row)
    return {str(value): _word_error_rate(parts[value], texts) for value in sorted(parts)}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
