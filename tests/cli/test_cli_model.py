"""Models that are missing or damaged: code 5, one line, and never another model in their place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_run import Run
from safetensors.torch import load_file, save_file

from moss_cli.models.registry import resolve

Moss = Callable[..., Run]
Wav = Callable[..., Path]

AGAIN = "hint: copy it here again; of a model from the hub, `moss models pull NAME` mends what is damaged"
PULL_OR_LIST = "download it with `moss models pull {}`, or see `moss models list`"
KNOWN = "known models: tiny, 4b-instruct, 4b-thinking, 8b-instruct, 8b-thinking, music-8b-instruct, music-8b-thinking"


@pytest.fixture
def backend() -> None:
    """The real one here."""


@pytest.fixture
def a(wav: Wav) -> Path:
    return wav("a.wav", 3)


@pytest.fixture
def checkpoint(tmp_path: Path, a: Path) -> Iterator[Path]:
    folder = tmp_path / "ckpt"
    shutil.copytree(resolve("tiny").folder, folder)
    yield folder
    shutil.rmtree(folder)


def edit(path: Path, **values: object) -> None:
    """Set keys of a JSON file; `a__b` is b in a."""
    document = json.loads(path.read_text())
    for name, value in values.items():
        *parents, key = name.split("__")
        place = document
        for parent in parents:
            place = place[parent]
        place[key] = value
    path.write_text(json.dumps(document))


def split(folder: Path) -> None:
    """Into two shards with an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    halves = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for file, half in halves.items():
        save_file({name: weights[name] for name in half}, folder / file)
    index = {"weight_map": {name: file for file, half in halves.items() for name in half}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.usefixtures("a")
@pytest.mark.parametrize(
    ("argv", "code", "lines"),
    [
        (
            [],
            5,
            [
                "moss: error: the default model, 4b-instruct, is not on this machine",
                "hint: download it with `moss models pull 4b-instruct` (10.5 GB), or try the embedded one with "
                "`--model tiny`",
            ],
        ),
        (
            ["-m", "8b-thinking"],
            5,
            [
                "moss: error: model 8b-thinking is not on this machine",
                "hint: download it with `moss models pull 8b-thinking` (18.1 GB), or try the embedded one with "
                "`--model tiny`",
            ],
        ),
        (
            ["-m", "nope"],
            5,
            [
                "moss: error: no model named nope",
                f"hint: run `moss models list`; {KNOWN}; to name a folder, write ./nope",
            ],
        ),
        (["-m", "./nope"], 5, ["moss: error: no checkpoint folder: ./nope"]),
        (["-m", "~no-such-user/x"], 5, ["moss: error: no checkpoint folder: ~no-such-user/x"]),
        (
            ["-m", "a/b"],
            5,
            [
                "moss: error: a/b is neither a folder nor a hub model on this machine",
                f"hint: {PULL_OR_LIST.format('a/b')}",
            ],
        ),
        (
            ["-m", "y" * 300 + "/x"],
            5,
            [
                f"moss: error: {'y' * 300}/x is neither a folder nor a hub model on this machine",
                f"hint: {PULL_OR_LIST.format('y' * 300 + '/x')}",
            ],
        ),
        (["-m", ""], 2, ["moss: error: the model name is empty"]),
        (["-m", "./"], 5, ["moss: error: . has no config.json", "hint: is this a checkpoint folder?"]),
    ],
)
def test_a_model_that_is_not_there(moss: Moss, argv: list[str], code: int, lines: list[str]) -> None:
    assert moss("transcribe", "a.wav", *argv) == Run(code, "", lines)


def test_a_missing_default_says_both_ways_on_before_any_input_is_read(moss: Moss) -> None:
    assert moss("transcribe", "gone.wav").code == 5


@pytest.mark.parametrize("fmt", ["txt", "json"])
def test_a_damaged_model_gives_no_output(moss: Moss, checkpoint: Path, fmt: str) -> None:
    os.truncate(checkpoint / "model.safetensors", 1_000_000)
    run = moss("transcribe", "-m", "./ckpt", "a.wav", "-f", fmt)
    needed = (resolve("tiny").folder / "model.safetensors").stat().st_size
    message = f"moss: error: ckpt/model.safetensors is cut short: 1000000 of {needed} bytes"
    assert run == Run(5, "", [message, AGAIN])


def test_a_missing_or_cut_shard_is_named(moss: Moss, checkpoint: Path) -> None:
    split(checkpoint)
    size = (checkpoint / "two.safetensors").stat().st_size
    os.truncate(checkpoint / "two.safetensors", size - 1)
    run = moss("transcribe", "-m", "./ckpt", "a.wav")
    assert run == Run(5, "", [f"moss: error: ckpt/two.safetensors is cut short: {size - 1} of {size} bytes", AGAIN])
    (checkpoint / "two.safetensors").unlink()
    run = moss("transcribe", "-m", "./ckpt", "a.wav")
    assert run == Run(5, "", ["moss: error: ckpt has no two.safetensors, which its index names", AGAIN])


def test_an_index_cannot_lead_out_of_the_folder(moss: Moss, checkpoint: Path) -> None:
    split(checkpoint)
    edit(checkpoint / "model.safetensors.index.json", weight_map={"x": "../x.safetensors"})
    message = "ckpt/model.safetensors.index.json names '../x.safetensors', which is not a file of the checkpoint"
    assert moss("transcribe", "-m", "./ckpt", "a.wav") == Run(5, "", [f"moss: error: {message}"])


def test_a_missing_or_misshapen_tensor_is_named(moss: Moss, checkpoint: Path) -> None:
    name = "language_model.norm.weight"
    weights = load_file(checkpoint / "model.safetensors")
    width = len(weights[name])
    save_file(weights | {name: weights[name][:3].clone()}, checkpoint / "model.safetensors")
    message = f"moss: error: tensor {name} has shape [3]; config.json asks for [{width}]"
    assert moss("transcribe", "-m", "./ckpt", "a.wav") == Run(5, "", [message])
    del weights[name]
    save_file(weights, checkpoint / "model.safetensors")
    run = moss("transcribe", "-m", "./ckpt", "a.wav")
    assert run == Run(5, "", [f"moss: error: the checkpoint has no tensor {name}", AGAIN])


def test_pickled_weights_are_not_read(moss: Moss, checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    run = moss("transcribe", "-m", "./ckpt", "a.wav")
    hint = "hint: pickled weights are not read: convert them to safetensors"
    assert run == Run(5, "", ["moss: error: ckpt has no model.safetensors", hint])


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[" * 100_000])
def test_a_config_that_is_not_json_is_named(moss: Moss, checkpoint: Path, content: bytes) -> None:
    (checkpoint / "config.json").write_bytes(content)
    run = moss("transcribe", "-m", "./ckpt", "a.wav")
    assert run == Run(5, "", ["moss: error: ckpt/config.json is not valid JSON"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "x"}, "ckpt/config.json: model_type 'x' is not known to this version (only 'moss_audio')"),
        (
            {"language_config__hidden_size": "x"},
            "ckpt/config.json: language_config: hidden_size should be a whole number, not 'x'",
        ),
        ({"audio_config": 5}, "ckpt/config.json: audio_config is not a JSON object"),
        (
            {"language_config__vocab_size": 2**31 - 1, "language_config__hidden_size": 2**31 - 1},
            "config.json asks for tensors larger than any memory",
        ),
    ],
)
def test_a_config_that_cannot_be_is_explained(
    moss: Moss, checkpoint: Path, values: dict[str, object], message: str
) -> None:
    edit(checkpoint / "config.json", **values)
    assert moss("transcribe", "-m", "./ckpt", "a.wav") == Run(5, "", [f"moss: error: {message}"])


def test_keys_that_are_not_known_do_not_matter_nor_does_the_name_of_the_folder(moss: Moss, checkpoint: Path) -> None:
    edit(checkpoint / "config.json", new_key=[1], audio_config__newer={"a": 1}, language_config__newest="x")
    run = moss("transcribe", "-m", "./ckpt", "a.wav", "-f", "json", "--max-new-tokens", "1")
    document = json.loads(run.out)
    assert (run.code, document["status"]) in ((0, "ok"), (3, "partial"))
    assert (document["model"]["name"], document["model"]["demo"]) == ("ckpt", False)


@pytest.mark.usefixtures("a")
def test_a_device_that_is_not_there_is_code_6(moss: Moss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run = moss("transcribe", "-m", "tiny", "a.wav", "gone.wav", "--device", "cuda")
    assert run == Run(6, "", ["moss: error: no CUDA device is available", "hint: use --device cpu"])


def test_names_and_titles_of_ones_own_models_drive_no_terminal(moss: Moss) -> None:
    folder = Path(os.environ["MOSS_CONFIG_DIR"])
    title = "\\u001b[31mred [bold]x[/bold] </think>"
    (folder / "models.toml").write_text(f'[models."[bold]\\u001b[0m"]\ntitle = "{title}"\nhub = "a/b"\n')
    listed = moss("models", "list").out.splitlines()[-1]
    assert listed == "[bold]␛[0m         no          -        -       -  ?"
    shown = moss("models", "show", "[bold]\x1b[0m").out.splitlines()
    assert shown[:3] == [
        "name           [bold]␛[0m",
        "title          ␛[31mred [bold]x[/bold] </think>",
        "default        no",
    ]


def test_what_is_shown_of_a_model_has_its_units(moss: Moss) -> None:
    shown = moss("models", "show", "tiny").out.splitlines()
    assert {"demo           yes", "max seconds    30.0", "piece seconds  transcribe 8 s"} <= set(shown)
    [memory] = [line for line in shown if line.startswith("memory")]
    assert memory.endswith(" MB")
