"""Checkpoints that are not whole are refused before memory is taken, by an error that names the fault."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from moss_cli.engine.checkpoint import read_headers, weight_files
from moss_cli.engine.engine import load_engine
from moss_cli.errors import ModelError, MossError

TINY = Path(__file__).parents[2] / "moss_cli" / "weights" / "tiny"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded checkpoint, to be damaged."""
    return Path(shutil.copytree(TINY, tmp_path / "checkpoint"))


def load(folder: Path) -> Any:
    return load_engine(folder, device="cpu", dtype="fp32")


def rewrite(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def shard(folder: Path) -> list[Path]:
    """Split the one file into two with an index, as the released checkpoints are."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in files.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()
    return [folder / file for file in files]


def test_a_sharded_checkpoint_loads_as_the_single_file_does(folder: Path) -> None:
    whole = load(folder).model.state_dict()
    shard(folder)
    parts = load(folder).model.state_dict()
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_missing_shard_is_named(folder: Path) -> None:
    shard(folder)[1].unlink()
    with pytest.raises(ModelError, match=r"has no model-00002-of-00002\.safetensors, which its index names"):
        load(folder)


@pytest.mark.parametrize("n_bytes", [0, 5, 8, 200, 1_000_000])
def test_a_file_cut_short_is_named(folder: Path, n_bytes: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ModelError, match=rf"model\.safetensors is cut short.*{n_bytes}"):
        load(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.pop("language_model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(ModelError, match=r"no tensor language_model\.layers\.1\.mlp\.up_proj\.weight"):
        load(folder)


def test_a_misshapen_tensor_is_named_with_both_shapes(folder: Path) -> None:
    def cut(tensors: dict[str, torch.Tensor]) -> None:
        tensors["audio_adapter.up_proj.weight"] = tensors["audio_adapter.up_proj.weight"][:100].clone()

    rewrite(folder, cut)
    with pytest.raises(ModelError, match=r"audio_adapter\.up_proj\.weight has shape \[100, 192\].*\[384, 192\]"):
        load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_tensor_with_values_that_are_no_numbers_is_named(folder: Path, value: float) -> None:
    rewrite(folder, lambda tensors: tensors["language_model.norm.weight"].view(-1)[3:4].fill_(value))
    with pytest.raises(ModelError, match=r"tensor language_model\.norm\.weight has values that are no numbers"):
        load(folder)


def test_an_unknown_tensor_is_a_warning(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.update({"extra.weight": torch.zeros(3)}))
    engine = load(folder)
    assert engine.warnings == ("the checkpoint's tensor extra.weight is not known and was left out",)


def test_a_tensor_of_another_dtype_is_named(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.update({"lm_head.weight": tensors["lm_head.weight"].to(torch.int8)}))
    with pytest.raises(ModelError, match=r"lm_head\.weight has dtype I8"):
        load(folder)


def test_a_header_that_promises_more_than_the_file_has_is_refused_at_once(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])
    with pytest.raises(ModelError, match="cut short or is not a safetensors file"):
        load(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b'{"a": 3}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}',
        b"[" * 50_000,
    ],
)
def test_a_damaged_header_is_a_model_error(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    with pytest.raises(ModelError):
        read_headers(tmp_path)


def test_an_index_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="not a file of the checkpoint"):
        weight_files(folder)


def test_pickles_are_not_looked_at(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        load(folder)


def test_tied_embeddings_need_no_output_head(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.pop("lm_head.weight"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    model = load(folder).model
    assert model.lm_head.weight.data_ptr() == model.language_model.embed_tokens.weight.data_ptr()


def test_unknown_keys_in_the_configuration_are_ignored(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["audio_config"]["encoder_attention_window_size"] = 100
    (folder / "config.json").write_text(json.dumps(config | {"something_new": {"a": [1]}}))
    assert load(folder).model.config.audio.n_window == 200


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("audio_config", "d_model", -192),
        ("audio_config", "d_model", 191),
        ("audio_config", "d_model", "192"),
        ("audio_config", "deepstack_encoder_layer_indexes", [1, 2, 99]),
        ("audio_config", "activation_function", "relu"),
        ("language_config", "num_key_value_heads", 3),
        ("language_config", "head_dim", 0),
        ("language_config", "rope_scaling", {"type": "yarn"}),
        ("language_config", "num_hidden_layers", 2**30),
        ("language_config", "vocab_size", 100),
        ("language_config", "rms_norm_eps", float("nan")),
    ],
)
def test_sizes_that_cannot_be_are_refused_quickly_and_by_name(folder: Path, part: str, key: str, value: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[part][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(MossError) as caught:
        load(folder)
    assert isinstance(caught.value, ModelError)


@pytest.mark.parametrize(
    "name", ["config.json", "vocab.json", "merges.txt", "added_tokens.json", "processor_config.json"]
)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1, 2", b"null", b'{"a": {}}'])
def test_a_damaged_file_beside_the_weights_is_a_model_error_or_makes_no_difference(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).write_bytes(content)
    try:
        load(folder)
    except MossError as error:
        assert isinstance(error, ModelError)
    else:
        assert (name, content) in {
            ("processor_config.json", b'{"a": {}}'),
            ("merges.txt", b""),
            ("merges.txt", b"\xff\xfe"),
        }
