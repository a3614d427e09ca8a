"""`moss models verify`: it finds every flipped byte, names the file, and needs no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download
from loopback_hub import LoopbackHub
from safetensors.torch import load, save

from moss_cli.models.download import pull
from moss_cli.models.hub_file import Damage, HubFile, damage_of
from moss_cli.models.registry import resolve

Moss = Callable[..., Any]


@pytest.fixture
def folder(hub: LoopbackHub, tiny_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded model, pulled; and no hub any more."""
    hub.add("a/b", tiny_files)
    pulled = pull("a/b", None).folder
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    return pulled


NAMES = (
    *("README.md", "added_tokens.json", "config.json", "generation_config.json", "merges.txt", "model.safetensors"),
    *("processor_config.json", "special_tokens_map.json", "vocab.json"),
)


@pytest.mark.parametrize("at", [0, 0.5, -1])
@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_byte_is_found_in_each_kind_of_file(folder: Path, moss: Moss, name: str, at: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(at * len(content)) if at > 0 else int(at)] ^= 1
    (folder / name).write_bytes(content)
    run = moss("verify", "a/b")
    assert (run.code, run.out) == (5, f"{name}  damaged: its content is not what the hub has\n")
    assert run.err[-2:] == [
        "moss: error: a/b: 1 file is not as the hub has it",
        "hint: run `moss models pull a/b`, which downloads what is wrong again",
    ]


def test_a_whole_model_is_whole(folder: Path, moss: Moss) -> None:
    run = moss("verify", "a/b")
    assert (run.code, run.out) == (0, f"a/b: {len(NAMES)} files, 13.4 MB, all as the hub has them\n")
    assert run.err == ["moss: verifying a/b: 13.4 MB"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.resolve().unlink(), "missing"),
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(b"x"), "damaged: 1 of 13357640 bytes"),
        (lambda path: path.open("ab").write(b"x"), "damaged: 13357641 of 13357640 bytes"),
    ],
)
def test_what_is_missing_cut_or_too_long_is_named(
    folder: Path, moss: Moss, change: Callable[[Path], object], said: str
) -> None:
    change(folder / "model.safetensors")
    run = moss("verify", "a/b")
    assert (run.code, run.out) == (5, f"model.safetensors  {said}\n")


def test_a_file_that_cannot_be_read_is_one_of_those(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    damage = damage_of(tmp_path / "a", HubFile("a", (tmp_path / "a").stat().st_size, "0" * 64))
    assert damage == Damage("a", "content", "it cannot be read: is a directory")


def test_what_another_tool_pulled_is_compared_with_the_hashes_it_is_kept_by(
    hub: LoopbackHub, cache: Path, moss: Moss, tiny_files: dict[str, bytes]
) -> None:
    hub.add("a/b", tiny_files)
    folder = Path(snapshot_download("a/b", cache_dir=cache, endpoint=hub.url))
    assert moss("verify", "a/b").code == 0
    content = bytearray((folder / "vocab.json").read_bytes())
    content[7] ^= 1
    (folder / "vocab.json").write_bytes(content)
    run = moss("verify", "a/b")
    assert (run.code, run.out) == (5, "vocab.json  damaged: its content is not what the hub has\n")


def test_headers_are_compared_with_the_configuration(
    hub: LoopbackHub, moss: Moss, tiny_files: dict[str, bytes]
) -> None:
    weights = load(tiny_files["model.safetensors"])
    weights["language_model.norm.weight"] = weights["language_model.norm.weight"][:3].clone()
    hub.add("a/b", tiny_files | {"model.safetensors": save(weights)})
    pull("a/b", None)
    run = moss("verify", "a/b")
    assert run.code == 5
    assert run.err[-1].startswith("moss: error: tensor language_model.norm.weight has shape [3]; config.json asks for")


def test_of_a_model_that_did_not_come_from_the_hub_the_headers_are_compared(moss: Moss) -> None:
    run = moss("verify", "tiny")
    assert (run.code, run.err) == (0, [])
    assert run.out == "tiny: the headers fit the configuration; nobody knows the hashes of its files\n"


def test_a_damaged_4_bit_copy_is_found(folder: Path, moss: Moss) -> None:
    copy = Path(moss("quantize", "a/b").out.strip())
    run = moss("verify", "a/b")
    assert (run.code, run.out.splitlines()[1:]) == (0, ["a/b: the headers of its 4-bit copy fit the configuration"])
    [weights] = copy.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert moss("verify", "a/b").code == 5


def test_a_model_that_is_not_here_is_not_called_damaged(moss: Moss) -> None:
    run = moss("verify", "4b-instruct")
    assert (run.code, run.err[0]) == (5, "moss: error: model 4b-instruct is not on this machine")


def test_a_record_that_is_damaged_is_none(folder: Path, moss: Moss, hub: LoopbackHub) -> None:
    from moss_cli.models.pulled import read_record
    from moss_cli.settings import state_folder

    [path] = (state_folder() / "pulled").rglob("*.json")
    commit = resolve("a/b").revision
    assert commit is not None and read_record("a/b", commit) is not None
    for text in ("", "[]", "{}", json.dumps({"hub": "a/b", "commit": commit, "fetched": True, "files": [{"name": 1}]})):
        path.write_text(text)
        assert read_record("a/b", commit) is None
    assert moss("verify", "a/b").code == 0  # the cache's names are hashes
