"""A checkpoint of random bf16 weights in the published format, to try loading at the released sizes without theirs.

    python benchmarks/make_checkpoint.py 4b FOLDER      10.4 GB; 8b: 18.1 GB; 4b:layers=4: 3.9 GB

Its tokenizer is the released models' own, so that the vocabulary must be whole. Shards of at most 5 GB are written
tensor by tensor, and are on the disk when it ends.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import torch

from moss_cli.bench.shapes import parse_shape
from moss_cli.engine.checkpoint import Tensors
from moss_cli.engine.config import MossConfig
from moss_cli.engine.random_weights import RandomTensors, Shape, checkpoint_shapes

TOKENIZER = Path(__file__).parents[1] / "tests/fixtures/reference/checkpoint"
COPIED = (
    *("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"),
    *("generation_config.json", "processor_config.json"),
)
SHARD_BYTES = 5_000_000_000  # as the hub's own shards are cut


def config_json(config: MossConfig) -> dict[str, Any]:
    """config.json of these sizes."""
    language = asdict(config.language)
    tied = language.pop("tie_word_embeddings")
    return {
        "model_type": "moss_audio",
        "dtype": "bfloat16",
        "tie_word_embeddings": tied,
        "adapter_hidden_size": config.adapter_hidden_size,
        "deepstack_num_inject_layers": config.deepstack_num_inject_layers,
        "audio_config": {"activation_function": "gelu", **asdict(config.audio)},
        "language_config": {"model_type": "qwen3", "hidden_act": "silu", **language},
    }


def shards(shapes: dict[str, Shape], most_bytes: int = SHARD_BYTES) -> list[dict[str, Shape]]:
    """The tensors shard by shard, in their order."""
    found: list[dict[str, Shape]] = [{}]
    for name, shape in shapes.items():
        held = sum(map(math.prod, found[-1].values()))
        if found[-1] and 2 * (held + math.prod(shape)) > most_bytes:
            found.append({})
        found[-1][name] = shape
    return found


def write_shard(file: BinaryIO, shapes: dict[str, Shape], tensors: Tensors) -> None:
    """One safetensors file: the length of its header, the header, and the tensors.

    Source of the format: huggingface/safetensors README.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name in shapes:
        file.write(tensors.read(name).view(torch.uint8).numpy().data)
    file.flush()
    os.fsync(file.fileno())


def make_checkpoint(config: MossConfig, folder: Path, most_bytes: int = SHARD_BYTES) -> int:
    """Write a whole checkpoint into a new folder; the bytes of its weights."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config_json(config), indent=1) + "\n")
    for name in COPIED:
        shutil.copyfile(TOKENIZER / name, folder / name)
    tensors, places = RandomTensors(config), shards(checkpoint_shapes(config), most_bytes)
    index: dict[str, str] = {}
    for number, shapes in enumerate(places, 1):
        name = f"model-{number:05}-of-{len(places):05}.safetensors"
        index |= dict.fromkeys(shapes, name)
        with (folder / name).open("wb") as file:
            write_shard(file, shapes, tensors)
    n_bytes = 2 * sum(math.prod(shape) for shape in checkpoint_shapes(config).values())
    document = {"metadata": {"total_size": n_bytes}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(document, indent=1) + "\n")
    return n_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", help="4b, 8b, 4b:layers=4, 1024x12 …")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    config = parse_shape(args.shape).config
    needed = 2 * sum(math.prod(shape) for shape in checkpoint_shapes(config).values())
    args.folder.parent.mkdir(parents=True, exist_ok=True)
    if needed > shutil.disk_usage(args.folder.parent).free:
        raise SystemExit(f"{args.folder.parent} has no room for {needed / 1e9:.1f} GB")
    print(f"{args.folder}: {make_checkpoint(config, args.folder) / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
