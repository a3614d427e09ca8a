"""Evaluation: which commands are run, what is kept, and how figures become tables and plots."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from training.commands import answers, command_lines
from training.evaluate import EVALUATIONS, Kept, Study, not_whole
from training.floors import FIGURES, Figure
from training.measures.right import is_right
from training.plots import bars, heatmaps
from training.report import BEGIN, END, confusion, table, write_card, write_page

SAMPLES = Path(__file__).parents[2] / "samples"
WORDS = Figure("transcribe", ("training voices", "word_error_rate"), "words", 0.03, at_most=True)
SCENE = {
    "n_clips": 2,
    "event_f1": 0.9,
    "setting": 0.5,
    "atmosphere": 1.0,
    "confusion": {"siren": {"siren": 3, "nothing": 1}},
    "setting_confusion": {"by the sea": {"by the sea": 1, "<by & a>": 1}},
}


def test_clips_that_are_asked_the_same_are_asked_by_one_command() -> None:
    rows = [
        {"file": "a.wav", "question": "What?", "choices": ["x", "y"]},
        {"file": "b.wav", "question": "What?", "choices": None},
        {"file": "c.wav", "question": "What?", "choices": ["x", "y"]},
    ]
    assert command_lines("ask", Path("d"), rows, ("--think",)) == [
        ["ask", "What?", "--choice", "x", "--choice", "y", "d/a.wav", "d/c.wav", "--think"],
        ["ask", "What?", "d/b.wav", "--think"],
    ]
    styled = [{"file": "a.wav", "style": "brief"}, {"file": "b.wav", "style": "brief"}]
    assert command_lines("summarize", Path("d"), styled) == [["summarize", "--style", "brief", "d/a.wav", "d/b.wav"]]
    assert command_lines("scene", Path("d"), styled) == [["scene", "d/a.wav", "d/b.wav"]]


def test_several_commands_run_in_one_process_and_answer_by_file() -> None:
    lines = [["transcribe", str(SAMPLES / name)] for name in ("weather.wav", "station.wav")]
    found = answers(lines, "tiny")
    assert found["weather.wav"]["text"] == "the storm will be cold in january"
    assert found["station.wav"]["status"] == "ok"
    assert not_whole(found) == 0


def test_a_command_that_cannot_run_ends_the_evaluation() -> None:
    with pytest.raises(RuntimeError, match="code 5"):
        answers([["transcribe", str(SAMPLES / "weather.wav")]], "./no-such-folder")


def test_an_input_that_fails_has_an_envelope_all_the_same() -> None:
    found = answers([["transcribe", str(SAMPLES / "weather.wav"), "gone.wav"]], "tiny")
    assert {name: one["status"] for name, one in found.items()} == {"weather.wav": "ok", "gone.wav": "error"}
    assert not_whole(found) == 1


@pytest.mark.skipif(not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite")
def test_figures_come_from_rendered_clips_through_the_command(tmp_path: Path) -> None:
    study = Study("tiny", 2, tmp_path)
    assert EVALUATIONS["empty"](study) == {"n_clips": 2, "n_not_empty": 0, "not_whole": 0}
    [folder] = tmp_path.iterdir()
    (folder / "labels.jsonl").write_text("")  # rendered once, they are taken as they are
    assert study.clips("empty").labels == []


def test_figures_are_known_only_of_the_weights_they_were_measured_on(tmp_path: Path) -> None:
    Kept(tmp_path, "abc", 5).save("scene", SCENE)
    assert Kept(tmp_path, "abc", 5).all() == {"scene": SCENE}
    assert Kept(tmp_path, "abd", 5).load("scene") is None
    assert Kept(tmp_path, "abc", 6).load("scene") is None


@pytest.mark.parametrize(("value", "met"), [(0.03, True), (0.031, False), (None, None)])
def test_errors_are_to_stay_below_their_floor(value: float | None, met: bool | None) -> None:
    assert WORDS.is_met(value) is met


def test_the_table_tells_what_was_reached_and_which_floors_are_met() -> None:
    assert WORDS.of({"training voices": {"word_error_rate": 0.05}}) == 0.05
    assert table({"scene": SCENE}).splitlines() == [
        "| task | figure | reached | floor | met |",
        "| --- | --- | ---: | ---: | :---: |",
        "| scene | events, both ends within 0.5 s | 0.900 | ≥ 0.850 | yes |",
        "| scene | bed named | 50.0 % | ≥ 90.0 % | no |",
        "| scene | atmosphere | 100.0 % |  |  |",
    ]


def test_every_evaluation_has_figures_in_the_table() -> None:
    assert {one.task for one in FIGURES} == set(EVALUATIONS)


def test_a_confusion_table_begins_with_what_is_true() -> None:
    assert confusion({"b": {"c": 2, "b": 1}, "a": {"b": 4}}).splitlines() == [
        "|  | a | b | c |",
        "| --- | ---: | ---: | ---: |",
        "| a |  | 4 |  |",
        "| b |  | 1 | 2 |",
    ]


def test_the_card_keeps_its_text_around_the_figures(tmp_path: Path) -> None:
    card = tmp_path / "weights" / "README.md"
    card.parent.mkdir()
    card.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_card(card, {"scene": SCENE}, 2, tmp_path / "docs")
    text = card.read_text()
    assert text.startswith(f"before\n{BEGIN}\n2 clips of each kind.\n\n| task |")
    assert text.endswith(f"{END}\nafter\n")
    assert "(../docs/reached.svg)" in text
    assert "old" not in text


def test_the_page_has_every_figure_and_plots_that_open(tmp_path: Path) -> None:
    write_page(tmp_path, {"scene": SCENE}, 2)
    page = (tmp_path / "README.md").read_text()
    assert "| event f1 | 0.900 |" in page
    assert "**setting**: rows are true." in page
    for name in ("reached.svg", "scene.svg"):
        assert f"({name})" in page
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")


def test_plots_are_the_same_for_the_same_figures() -> None:
    reached = [(WORDS, 0.05)]
    assert bars(reached) == bars(reached)
    assert "5.0 %  ≤ 3.0 %" in bars(reached)
    drawn = heatmaps({"setting": SCENE["setting_confusion"]})  # type: ignore[dict-item]
    assert "&lt;by &amp; a&gt;" in drawn
    assert drawn.count("<rect") == 1 + 2


def test_an_answer_is_right_where_all_of_it_is() -> None:
    events = [{"start": 1.0, "end": 2.0, "label": "siren"}]
    truth = {"setting": "by the sea", "atmosphere": "tense", "summary": "…", "events": events}
    label = {"file": "a.wav", "result": truth}
    said = json.loads(json.dumps(truth))
    assert is_right("scene", label, {"status": "ok", "result": said})
    assert not is_right("scene", label, {"status": "partial", "result": said})
    assert not is_right("scene", label, {"status": "ok", "result": said | {"events": [*events, events[0]]}})
    assert not is_right("scene", label, {})
