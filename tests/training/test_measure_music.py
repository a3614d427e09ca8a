"""The figures of the `music` command, exact on cases made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from training.measures.music import measure_music


def result(**changes: Any) -> dict[str, Any]:
    return {
        "style": "waltz", "tempo_bpm": 100, "key": "C major", "instruments": ["flute", "bass"], "mood": "calm",
        "summary": "", "sections": [{"start": 0.0, "end": 5.0, "label": "solo"},
                                    {"start": 5.0, "end": 9.0, "label": "with bass"}],
    } | changes  # fmt: skip


def row(name: str, **changes: Any) -> dict[str, Any]:
    return {"file": name, "duration": 10.0, "result": result(**changes), "settings": {}}


def test_right_answers_measure_as_all_right() -> None:
    figures = measure_music([row("a")], {"a": {"result": result(tempo_bpm=104.0)}})
    shares = {name: figures[name] for name in ("tempo", "key", "mode", "style", "mood", "instrument_f1", "change_f1")}
    assert set(shares.values()) == {1.0}
    assert figures["key_confusion"] == {"C major": {"C major": 1}}
    assert figures["instrument_confusion"] == {"flute": {"flute": 1}, "bass": {"bass": 1}}


def test_each_figure_is_of_what_it_says() -> None:
    said = result(
        tempo_bpm=104.1, key="A minor", instruments=["violin", "bass", "drums"], sections=result()["sections"][:1]
    )
    figures = measure_music([row("a"), row("b")], {"a": {"result": said}, "b": {"result": result()}})
    assert [figures[k] for k in ("tempo", "key", "mode", "style")] == [0.5, 0.5, 0.5, 1.0]
    assert figures["instrument_f1"] == pytest.approx(2 * 3 / (4 + 5))
    assert figures["instrument_precision"] == 3 / 5
    assert figures["instrument_recall"] == 3 / 4
    assert figures["change_recall"] == 0.5
    assert figures["change_f1"] == pytest.approx(2 / 3)
    assert figures["key_confusion"] == {"C major": {"A minor": 1, "C major": 1}}
    assert figures["instrument_confusion"] == {"flute": {"violin": 1, "drums": 1, "flute": 1}, "bass": {"bass": 2}}


@pytest.mark.parametrize("envelope", [{}, {"a": {"status": "error", "error": {}}}, {"a": {"result": None}}])
def test_a_clip_without_a_result_is_all_wrong(envelope: dict[str, Any]) -> None:
    figures = measure_music([row("a")], envelope)
    assert [figures[k] for k in ("tempo", "key", "mode", "instrument_f1", "change_f1")] == [0, 0, 0, 0, 0]
    assert figures["key_confusion"] == {"C major": {"nothing": 1}}
    assert figures["instrument_confusion"] == {"flute": {"nothing": 1}, "bass": {"nothing": 1}}


@pytest.mark.parametrize(
    ("said", "found"), [([5.9], 1), ([6.1], 0), ([4.0, 6.0], 1), ([], 0), ([4.5, 5.5], 1), ([8.9, 5.0], 2)]
)
def test_change_points_count_within_a_second_and_once(said: list[float], found: int) -> None:
    true = [{"start": t, "end": t, "label": "x"} for t in (0.0, 5.0, 8.0)]
    answer = [{"start": t, "end": t, "label": "x"} for t in (0.0, *said)]
    figures = measure_music([row("a", sections=true)], {"a": {"result": result(sections=answer)}})
    assert figures["change_recall"] == found / 2
