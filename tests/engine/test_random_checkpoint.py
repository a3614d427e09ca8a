"""Random weights have the names and shapes of a checkpoint, and keep activations finite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from moss_cli.engine.config import load_config
from moss_cli.engine.random_weights import POOL, RandomTensors, checkpoint_shapes
from moss_cli.models.registry import resolve


@pytest.mark.parametrize("folder", ["reference", "tiny"])
def test_names_and_shapes_are_those_of_a_checkpoint_on_disk(folder: str, reference: Path) -> None:
    path = reference / "checkpoint" if folder == "reference" else resolve("tiny").folder
    with safe_open(path / "model.safetensors", framework="pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - it is no dict
    assert checkpoint_shapes(load_config(path)) == found
    tensors = RandomTensors(load_config(path))
    assert {name: tuple(tensors.read(name).shape) for name in tensors.shapes} == found


def test_rows_are_those_of_the_whole_tensor(reference: Path) -> None:
    tensors = RandomTensors(load_config(reference / "checkpoint"))
    for name in ("lm_head.weight", "audio_encoder.conv2.weight", "audio_encoder.conv2.bias"):
        assert torch.equal(tensors.read(name, 3, 7), tensors.read(name)[3:7])
        assert torch.equal(tensors.read(name, 5), tensors.read(name)[5:])


def test_tied_embeddings_leave_no_head(reference: Path, tmp_path: Path) -> None:
    config = json.loads((reference / "checkpoint" / "config.json").read_text()) | {"tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    names = checkpoint_shapes(load_config(tmp_path))
    assert "lm_head.weight" not in names and "language_model.embed_tokens.weight" in names


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(reference: Path) -> None:
    config = load_config(reference / "checkpoint")
    one, again, other = (RandomTensors(config, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one.read(name), again.read(name)) for name in one.shapes)
    name = "language_model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(one.read(name), other.read(name))
    assert not torch.equal(one.read(name), one.read(name.replace("layers.0", "layers.1")))


def test_a_matrix_has_a_variance_of_one_over_its_width_norms_are_1_and_biases_0(reference: Path) -> None:
    config = load_config(reference / "checkpoint")
    tensors = RandomTensors(config)
    table = tensors.read("language_model.embed_tokens.weight").float()
    assert len(table.view(-1)) > POOL  # the pool is used more than once
    assert float(table.var()) == pytest.approx(1 / 32, rel=0.01)
    assert tensors.read("audio_encoder.conv2.weight").float().var() == pytest.approx(1 / (16 * 9), rel=0.1)
    assert tensors.read("language_model.norm.weight").tolist() == [1.0] * 32
    assert tensors.read("audio_encoder.layers.0.fc1.bias").tolist() == [0.0] * 128


def test_no_two_rows_are_alike(reference: Path) -> None:
    table = RandomTensors(load_config(reference / "checkpoint")).read("language_model.embed_tokens.weight")
    rows = {row.tobytes() for row in table.view(torch.int16).numpy()}
    assert len(rows) == len(table)
