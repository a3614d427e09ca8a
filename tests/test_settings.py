"""Times as people write them, and the registry of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from moss_cli.errors import ModelError, UsageError
from moss_cli.models.entry import ModelEntry
from moss_cli.models.registry import load_registry, resolve
from moss_cli.settings import config_folder, config_path, key_lines, parse_time, read_toml, state_folder


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("1:30", 90.0),
        ("00:01:30.5", 90.5),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("1h2m3.5s", 3723.5),
        ("0", 0.0),
        (" 24h ", 86400.0),
        ("90m", 5400.0),
    ],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-5", "1:75", "1:2:3:4", "nan", "inf", "1e5", "five", "1:30m", "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


def test_the_released_models_and_tiny_are_known() -> None:
    registry = load_registry()
    released = ["4b-instruct", "4b-thinking", "8b-instruct", "8b-thinking", "music-8b-instruct", "music-8b-thinking"]
    assert list(registry.entries) == ["tiny", *released]
    assert registry.default == "4b-instruct"
    assert registry.entries["8b-thinking"].revision == "3d09aad8d7803dd131c8f42d2c09364d1f9367db"
    assert [registry.entries[name].size for name in released] == [10451725200, 10451727872, *[18111010792] * 4]
    assert {name for name in released if not registry.entries[name].knows("transcribe")} == set(released[4:])
    assert all(registry.entries[name].knows("music") for name in released)


def test_tiny_is_in_the_package() -> None:
    found = resolve("tiny")
    assert found.entry.demo
    assert (found.folder / "model.safetensors").is_file()


def test_no_choice_and_no_default_says_both_ways_on() -> None:
    with pytest.raises(ModelError) as caught:
        resolve(None)
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert "moss models pull 4b-instruct` (10.5 GB)" in caught.value.hint
    assert "--model tiny" in caught.value.hint


def snapshot(hub_id: str, revision: str) -> Path:
    from moss_cli.models.hub import hub_cache

    folder = hub_cache() / ("models--" + hub_id.replace("/", "--")) / "snapshots" / revision
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize("name", ["4b-instruct", "OpenMOSS-Team/MOSS-Audio-4B-Instruct"])
def test_a_pulled_model_is_found_by_its_name_and_by_its_hub_id(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    revision = "6907a499dc0e87cc77c8ae0fe23fd0eb5476a02d"
    folder = snapshot("OpenMOSS-Team/MOSS-Audio-4B-Instruct", revision)
    found = resolve(name)
    assert (found.folder, found.revision, found.entry.name) == (folder, revision, "4b-instruct")


def test_another_revision_is_not_taken_for_the_pinned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot("OpenMOSS-Team/MOSS-Audio-4B-Instruct", "0" * 40)
    with pytest.raises(ModelError, match="is not on this machine"):
        resolve("4b-instruct")


def test_a_folder_is_a_model_only_with_a_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert resolve("./mine").folder == Path("mine")
    with pytest.raises(ModelError, match="no model named mine"):
        resolve("mine")


def test_the_users_models_add_to_the_packaged_ones() -> None:
    folder = config_folder()
    own = 'path = "here"\nmax_seconds = 60\npiece_seconds = { transcribe = 8.5, ask = 90 }\n'
    own += 'thinking = true\nthinks_over = ["ask"]\n'
    (folder / "models.toml").write_text(f'default = "mine"\n[models.mine]\n{own}')
    registry = load_registry()
    assert registry.default == "mine"
    assert registry.entries["mine"].path == str(folder / "here")
    assert [registry.entries["mine"].longest_s(task) for task in ("transcribe", "ask", "scene")] == [8.5, 60, 60]
    assert [registry.entries["mine"].may_think(task) for task in ("ask", "scene")] == [True, False]
    assert [registry.entries[name].may_think("scene") for name in ("4b-thinking", "4b-instruct")] == [True, False]
    assert ModelEntry("a folder").may_think("scene")  # nothing is known of it


def test_a_models_file_in_the_working_directory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models.toml").write_text('default = "evil"\n')
    assert load_registry().default == "4b-instruct"


@pytest.mark.parametrize(
    "text", ["[models", "models = 3", "[models.x]\n", '[models.x]\npath = "a"\nhub = "b/c"\n', "[models]\nx = 1"]
)
def test_a_users_models_file_that_is_wrong_is_named(text: str) -> None:
    (config_folder() / "models.toml").write_text(text)
    with pytest.raises(UsageError, match=r"models\.toml"):
        load_registry()


def test_a_variable_names_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOSS_STATE_DIR", str(tmp_path))
    assert state_folder() == tmp_path
    monkeypatch.delenv("MOSS_STATE_DIR")
    assert state_folder().name == "moss" and state_folder() != config_folder()


def test_a_config_file_may_begin_with_a_byte_order_mark() -> None:
    for name in ("config.toml", "models.toml"):
        (config_folder() / name).write_bytes(b"\xef\xbb\xbf" + b'default = "tiny"\n')
    assert read_toml(config_path()) == {"default": "tiny"}
    assert load_registry().default == "tiny"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'\xff\xfed\0 \0=\0"\0x\0"\0', "config.toml is not UTF-8 text"),
        (b"a = " + b"[" * 100_000, "config.toml is not valid TOML: it is nested too deeply"),
        (b'report = "\\u0000"', "config.toml: report cannot hold a NUL character"),
        (b'[ask]\ninclude = ["a", "b\\u0000"]', "config.toml: ask.include cannot hold a NUL character"),
    ],
)
def test_what_no_option_can_be_is_refused(content: bytes, message: str) -> None:
    (config_folder() / "config.toml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_toml(config_path())
    assert str(caught.value) == f"{config_folder()}/{message}"


def test_a_home_that_is_a_file_has_no_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("MOSS_CONFIG_DIR", str(tmp_path / "home" / ".config"))
    assert read_toml(config_path()) == {}
    assert load_registry().default == "4b-instruct"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_seconds = 1e-9", "max_seconds must be from 1 to 86400 seconds"),
        ("max_seconds = 1e308", "max_seconds must be from 1 to 86400 seconds"),
        ("piece_seconds = {scene = 0.5}", "piece_seconds must be from 1 to 86400 seconds"),
        (f"bytes = {10**30}", "bytes is more than there can be"),
        (f"memory = {{bf16 = {10**400}}}", "memory is more than there can be"),
    ],
)
def test_a_number_that_no_model_can_have_is_refused_with_its_line(line: str, message: str) -> None:
    (config_folder() / "models.toml").write_text(f'[models.mine]\npath = "x"\n{line}\n')
    with pytest.raises(UsageError) as caught:
        load_registry()
    assert str(caught.value) == f"{config_folder()}/models.toml, line 3: models.mine.{message}"


def test_a_text_that_no_model_can_have_is_refused() -> None:
    (config_folder() / "models.toml").write_text('[models.mine]\npath = "x"\ntitle = "a\\u0000b"\n')
    with pytest.raises(UsageError) as caught:
        load_registry()
    assert str(caught.value) == f"{config_folder()}/models.toml: models.mine.title cannot hold a NUL character"


def test_each_key_is_found_on_the_lines_that_it_takes() -> None:
    text = '# head\n\na = """\nb = 1\n"""\n"c" = [\n 1, # [d]\n]\n\n# of e\n[e]\nf-g.h = {i = 2}\n\nj = 3'
    assert key_lines(text) == {
        ("a",): (3, 5),
        ("c",): (6, 8),
        ("e",): (11, 11),
        ("e", "f-g"): (12, 12),
        ("e", "f-g", "h"): (12, 12),
        ("e", "f-g", "h", "i"): (12, 12),
        ("e", "j"): (14, 14),
    }
    assert key_lines("") == {}
    assert key_lines("a = 1\r\nb = 2\r\n") == {("a",): (1, 1), ("b",): (2, 2)}
