import base64
import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moss_cli.folders.names import plan
from moss_cli.run.inputs import Input, identity, path_text

OUT = Path("out")


def files(*names):
    return [Input(Path(name)) for name in names]


def found(root, *names):
    return [Input(Path(root) / name, Path(root)) for name in names]


def named(inputs, formats=("srt",), task="transcribe", taken=None):
    planned = plan(inputs, OUT, list(formats), task, taken)
    return {str(one.input.path): [str(path.relative_to(OUT)) for path in one.paths.values()] for one in planned}


def test_name_is_the_stem_and_the_suffix():
    assert named(files("a/talk.wav"), ["srt", "json"]) == {"a/talk.wav": ["talk.srt", "talk.json"]}


def test_task_stands_before_the_suffix():
    assert named(files("talk.wav"), ["json"], "emotion") == {"talk.wav": ["talk.emotion.json"]}


def test_tree_of_one_folder_is_mirrored():
    assert named(found("talks", "a.wav", "x/y/b.wav")) == {"talks/a.wav": ["a.srt"], "talks/x/y/b.wav": ["x/y/b.srt"]}


def test_several_folders_have_their_own_names():
    assert named(found("p/one", "a.wav") + found("two", "x/a.wav") + files("a.wav")) == {
        "p/one/a.wav": ["one/a.srt"],
        "two/x/a.wav": ["two/x/a.srt"],
        "a.wav": ["a.srt"],
    }


def test_folders_of_one_name_are_numbered():
    assert named(found("q/talks", "a.wav") + found("p/talks", "a.wav")) == {
        "q/talks/a.wav": ["talks-2/a.srt"],
        "p/talks/a.wav": ["talks/a.srt"],
    }


def test_here_and_above_have_names_too(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert list(named(found(".", "a.wav") + found("..", "b.wav")).values()) == [
        ["here/a.srt"],
        [f"{tmp_path.name}/b.srt"],
    ]


def test_recordings_of_one_stem_all_keep_their_full_names():
    expected = {"in/talk.wav": ["talk.wav.srt"], "in/talk.flac": ["talk.flac.srt"], "in/other.wav": ["other.srt"]}
    assert named(files("in/talk.wav", "in/talk.flac", "in/other.wav")) == expected
    assert named(found("in", "other.wav", "talk.flac", "talk.wav")) == expected


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Makes the files that a folder holds, in which a run is."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return make


def test_what_the_folder_holds_decides_and_not_what_is_given(held):
    held("talk.wav", "talk.MP3", "Other.wav", "other.txt", "x.mp3", "x.mp3.flac", "y/talk.wav")
    for name, stem in {
        "talk.wav": "talk.wav",
        "talk.MP3": "talk.MP3",
        "Other.wav": "Other",
        "x.mp3": "x",
        "x.mp3.flac": "x.mp3.flac",
        "y/talk.wav": "talk",
    }.items():
        assert named(files(name)) == {name: [f"{stem}.srt"]}
    assert named(found(".", "talk.wav", "y/talk.wav")) == {"talk.wav": ["talk.wav.srt"], "y/talk.wav": ["y/talk.srt"]}


@pytest.mark.parametrize("first", [["a.mp3"], ["a.wav"], ["a.wav", "a.mp3"]])
def test_what_was_done_before_makes_no_difference(held, first):
    held("a.mp3", "a.wav")
    taken = {one.stem: one.input.identity for one in plan(files(*first), OUT, ["srt"], "transcribe")}
    both = {"a.mp3": ["a.mp3.srt"], "a.wav": ["a.wav.srt"]}
    assert named(files("a.mp3", "a.wav"), taken=taken) == both


def test_a_second_recording_of_the_stem_renames_the_first_and_its_end_renames_it_back(held):
    held("a.mp3")
    taken = {"a": identity(Path("a.mp3"))}
    held("a.wav")
    assert named(files("a.mp3"), taken=taken) == {"a.mp3": ["a.mp3.srt"]}
    Path("a.wav").unlink()
    assert named(files("a.mp3"), taken=taken | {"a.mp3": identity(Path("a.mp3"))}) == {"a.mp3": ["a.srt"]}


def test_a_file_that_is_no_recording_by_its_name_does_not_rename_one(held):
    held("talk.mp3", "talk.dat", "memo.dat", "memo.bin")
    assert named(files("talk.mp3", "talk.dat")) == {"talk.mp3": ["talk.srt"], "talk.dat": ["talk.dat.srt"]}
    assert named(files("memo.dat")) == {"memo.dat": ["memo.srt"]}
    assert named(files("memo.dat", "memo.bin")) == {"memo.dat": ["memo.dat.srt"], "memo.bin": ["memo.bin.srt"]}


def test_full_name_that_is_taken_gets_a_number():
    assert named(files("a/talk.wav", "b/talk.wav", "c/talk.wav", "d/talk.wav")) == {
        "a/talk.wav": ["talk.srt"],
        "b/talk.wav": ["talk.wav.srt"],
        "c/talk.wav": ["talk.wav-2.srt"],
        "d/talk.wav": ["talk.wav-3.srt"],
    }


def test_names_that_differ_only_in_case_or_normal_form_are_the_same_stem():
    names = ("TALK.wav", "talk.wav", "Straße.wav", "STRASSE.mp3", "e\u0301.wav", "\u00e9.mp3")
    assert named(files(*(f"in/{name}" for name in names))) == {
        "in/TALK.wav": ["TALK.wav.srt"],
        "in/talk.wav": ["talk.wav-2.srt"],
        "in/STRASSE.mp3": ["STRASSE.mp3.srt"],
        "in/Straße.wav": ["Straße.wav.srt"],
        "in/e\u0301.wav": ["e\u0301.wav.srt"],
        "in/\u00e9.mp3": ["\u00e9.mp3.srt"],
    }
    assert named(files("a/talk", "b/TALK.mp3", "c/Talk.mp3")) == {
        "a/talk": ["talk.srt"],
        "b/TALK.mp3": ["TALK.mp3.srt"],
        "c/Talk.mp3": ["Talk.mp3-2.srt"],
    }


def test_a_stem_never_looks_like_another_tasks_result():
    inputs = files("in/talk.emotion.wav", "in/talk.wav")
    assert named(inputs, ["json"]) == {
        "in/talk.emotion.wav": ["talk.emotion.wav.json"],
        "in/talk.wav": ["talk.wav.json"],
    }
    assert named(inputs, ["json"], "emotion")["in/talk.wav"] == ["talk.wav.emotion.json"]


def test_a_file_never_takes_the_name_of_a_folder():
    assert named(found("in", "talk.srt/x.wav", "talk.wav")) == {
        "in/talk.srt/x.wav": ["talk.srt/x.srt"],
        "in/talk.wav": ["talk.wav.srt"],
    }


def test_what_an_input_was_given_beside_those_of_other_folders_stays_its_own():
    taken = {"talk": identity(Path("b/talk.wav")), "gone": identity(Path("gone.mp3"))}
    assert named(files("a/talk.flac", "b/talk.wav", "c/gone.wav"), taken=taken) == {
        "a/talk.flac": ["talk.flac.srt"],
        "b/talk.wav": ["talk.srt"],
        "c/gone.wav": ["gone.wav.srt"],
    }


def test_a_run_over_what_it_planned_plans_the_same():
    inputs = files("talk.wav", "talk.flac", "b/talk.wav")
    taken = {one.stem: identity(one.input.path) for one in plan(inputs, OUT, ["srt"], "transcribe")}
    assert named([*files("aaa/talk.wav"), *inputs], taken=taken) == named(inputs) | {"aaa/talk.wav": ["talk.wav-2.srt"]}


@pytest.mark.parametrize("stem", ["../talk", "/etc/talk", "a/../../talk", ".moss/talk", ""])
def test_a_stem_that_leads_out_of_the_folder_is_not_believed(stem):
    assert named(files("talk.wav"), taken={stem: identity(Path("talk.wav"))}) == {"talk.wav": ["talk.srt"]}


def test_an_input_given_twice_has_one_place():
    assert named(files("a/talk.wav", "a/../a/talk.wav")) == {"a/talk.wav": ["talk.srt"]}


def test_stdin_is_called_stdin():
    assert named([Input(Path("-"))]) == {"-": ["stdin.srt"]}


def test_odd_names_stay_inside():
    assert named(files(".wav", "...wav", "talk.", "noext")) == {
        ".wav": [".wav.srt"],
        "...wav": ["...wav.srt"],
        "talk.": ["talk.srt"],
        "noext": ["noext.srt"],
    }
    assert named([Input(Path("a/../../etc/x.wav"), Path("a"))]) == {"a/../../etc/x.wav": ["x.srt"]}


def test_state_folder_is_left_alone():
    assert named(found("in", ".moss/a.wav")) == {"in/.moss/a.wav": ["moss/a.srt"]}


def test_longest_names_are_cut_to_what_fits():
    name = "x" * 251
    assert named(files(f"{name}.wav")) == {f"{name}.wav": [f"{name}.srt"]}
    (cut,) = named(files(f"{name}.wav"), ["jsonl"], "describe-speaker")[f"{name}.wav"]
    assert len(cut) == 255
    assert cut.startswith("xxxx")
    assert cut.endswith(".describe-speaker.jsonl")


def test_long_names_that_begin_alike_stay_apart():
    names = ["x" * 251 + end for end in ("a", "b")]
    planned = named(files(*names), ["json"])
    assert len({tuple(paths) for paths in planned.values()}) == 2


def test_cut_never_splits_a_character():
    (cut,) = named(files("漢" * 85), ["json"])["漢" * 85]
    assert len(cut.encode()) <= 255
    assert cut.startswith("漢" * 70)


def test_bytes_that_are_not_utf8_are_kept(tmp_path):
    name = os.fsdecode(b"a\xff.wav")
    (one,) = plan([Input(tmp_path / name)], tmp_path, ["srt"], "transcribe")
    assert os.fsencode(one.paths["srt"].name) == b"a\xff.srt"


def test_path_in_json_escapes_what_is_not_utf8():
    assert path_text(Path("ä.wav")) == ("ä.wav", None)
    assert path_text(Path(os.fsdecode(b"a\xff.wav"))) == ("a\\xff.wav", base64.b64encode(b"a\xff.wav").decode())


parts = st.one_of(
    st.sampled_from(
        ["a", "A", "a.wav", "a.srt", "a.emotion", "b", "..", ".moss", "ß", "SS", "a.wav.mp3", "a.wav-2", "-"]
    ),
    st.binary(min_size=1, max_size=255).map(
        lambda raw: os.fsdecode(raw.replace(b"/", b"").replace(b"\0", b"") or b"x")
    ),
)
relative_paths = st.lists(parts, min_size=1, max_size=3).map(lambda names: Path(*names))
roots = st.sampled_from([None, Path("in"), Path("other/in"), Path("/in"), Path("IN")])


@given(
    st.lists(st.tuples(roots, relative_paths), max_size=8),
    st.sampled_from(["transcribe", "emotion"]),
    st.dictionaries(st.sampled_from(["a", "a.wav", "../a", "b"]), st.sampled_from(["/in/a", "/in/b", "-"]), max_size=3),
)
def test_every_output_is_inside_and_its_own(choices, task, taken):
    inputs = [Input((root or Path()) / path, root) for root, path in choices]
    taken = {stem: who for who, stem in {who: stem for stem, who in taken.items()}.items()}
    planned = plan(inputs, OUT, ["srt", "json"], task, taken)
    assert {identity(one.input.path) for one in planned} == {identity(one.path) for one in inputs}
    outputs = [path for one in planned for path in one.paths.values()]
    for path in outputs:
        inside = PurePosixPath(path).relative_to(OUT)
        assert ".." not in inside.parts
        assert inside.parts[0] != ".moss"
        assert len(os.fsencode(path.name)) <= 255
    assert len({str(path).casefold() for path in outputs}) == len(outputs)
    assert not {str(path).casefold() for path in outputs} & {
        str(parent).casefold() for path in outputs for parent in path.parents
    }
    if len(planned) == len(inputs):
        assert plan(inputs[::-1], OUT, ["srt", "json"], task, taken) == planned[::-1]
