import json

import pytest
from hypothesis import given
from output_examples import HELLO, TWO_SPEAKERS, broken_texts, envelope, segment, segments, unchecked

from moss_cli.errors import UsageError
from moss_cli.output.formats import FORMATS
from moss_cli.output.json_schema import envelope_type
from moss_cli.output.layout import Layout
from moss_cli.output.render import render
from moss_cli.output.text import lines
from moss_cli.schema import ErrorInfo, InputInfo


def failed():
    return envelope(
        status="error", result=None, text=None, error=ErrorInfo(code="audio", message="not audio: <x>\n*boo*")
    )


def test_txt_has_a_line_for_each_segment():
    assert render(envelope(*HELLO), "txt") == "Hello there.\n[laughter] Bye.\n"


def test_txt_keeps_a_segment_on_one_line_and_drops_empty_ones():
    result = envelope(segment(0, 1, " one\n\n two\tthree\r\n"), segment(1, 2, " \n"), segment(2, 3, "four"))
    assert render(result, "txt") == "one two three\nfour\n"


def test_txt_can_show_times_a_line_each():
    times = Layout(times=True)
    assert render(envelope(*HELLO), "txt", times) == (
        "[00:00.0 → 00:01.2] Hello there.\n[00:01.5 → 00:03.0] [laughter] Bye.\n"
    )
    assert render(envelope(*TWO_SPEAKERS), "txt", times) == (
        "[00:00.0 → 00:01.0] [S01] Hi.\n[00:01.0 → 00:02.0] [S02] Ho.\n"
    )
    assert render(envelope(segment(3_599.9, 3_661.25, "late")), "txt", times) == "[59:59.9 → 1:01:01.3] late\n"
    assert render(envelope(text=""), "txt", times) == ""


def test_txt_without_times_is_the_text():
    assert render(envelope(text="All of it.\nIn two lines."), "txt") == "All of it.\nIn two lines.\n"


def test_txt_names_the_speakers_where_they_are_known():
    assert render(envelope(*TWO_SPEAKERS), "txt") == "[S01] Hi.\n[S02] Ho.\n"


def test_txt_of_silence_is_nothing_at_all():
    assert render(envelope(text=""), "txt") == ""
    assert render(envelope(text=None), "txt") == ""


def test_control_characters_are_written_visibly():
    assert render(envelope(segment(0, 1, "\ufeffa\x1b[31mb\x00")), "txt") == "a␛[31mb␀\n"


def test_json_is_indented_unescaped_and_complete():
    text = render(envelope(segment(0, 1.24, "Ünï 漢字")), "json")
    assert text.startswith('{\n  "schema_version": "1",\n  "moss": "0.1.0",\n  "task": "transcribe",\n')
    assert '{\n        "start": 0.0,\n        "end": 1.24,\n        "text": "Ünï 漢字"\n      }' in text
    assert text.endswith("}\n")


def test_json_of_a_failure_has_the_error_and_no_result():
    parsed = json.loads(render(failed(), "json"))
    assert parsed["error"] == {"code": "audio", "message": "not audio: <x>\n*boo*"}
    assert "result" not in parsed


def test_failure_has_no_text_in_other_formats():
    assert [render(failed(), fmt) for fmt in ("txt", "srt", "vtt")] == ["", "", "WEBVTT\n"]
    assert render(failed(), "tsv") == "file\tstart\tend\ttext\tspeaker\tlanguage\n"
    assert render(failed(), "csv") == "file,start,end,text,speaker,language\n"


def test_json_escapes_what_drives_terminals_or_ends_lines():
    text = render(envelope(segment(0, 1, "a\x1b\x9b\x7f\u2028\u202e\x85b")), "jsonl")
    assert r"a\u001b\u009b\u007f\u2028\u202e\u0085b" in text
    assert len(text.splitlines()) == 1


def test_unknown_format_is_a_usage_error():
    with pytest.raises(UsageError, match="unknown format: doc"):
        render(envelope(), "doc")


def test_path_bytes_are_kept():
    result = envelope(input=InputInfo(path="a\\xff.wav", path_bytes="Yf8ud2F2"))
    assert json.loads(render(result, "json"))["input"]["path_bytes"] == "Yf8ud2F2"


@given(segments)
def test_json_round_trips(items):
    result = envelope(*items, duration=None)
    assert envelope_type("transcribe").model_validate_json(render(result, "json")) == result
    line = render(result, "jsonl")
    assert envelope_type("transcribe").model_validate_json(line) == result
    assert len(line.splitlines()) == 1


@given(broken_texts, broken_texts)
def test_any_text_can_be_written_in_any_format(text, speaker):
    for fmt in FORMATS:
        written = render(unchecked(text, speaker), fmt)
        written.encode()
        assert written == "" or written.endswith("\n")
        assert not written.startswith("\ufeff")
    envelope_type("transcribe").model_validate_json(render(unchecked(text, speaker), "json"))


@given(segments)
def test_txt_has_as_many_lines_as_there_are_segments_with_text(items):
    said = [item for item in items if lines(item.text)]
    assert len(render(envelope(*items, duration=None, text=""), "txt").splitlines()) == len(said)
