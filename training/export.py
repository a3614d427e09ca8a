"""Write a model in the published checkpoint format: config.json, model.safetensors, tokenizer."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from moss_cli.engine.config import MossConfig
from moss_cli.engine.model import MossAudio

TOKENIZER_FILES = [
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "processor_config.json",
    "generation_config.json",
]


def config_json(config: MossConfig) -> dict[str, Any]:
    """The published layout of config.json."""
    language = {"model_type": "qwen3", "hidden_act": "silu"} | asdict(config.language)
    tied = language.pop("tie_word_embeddings")
    return {
        "architectures": ["MossAudioModel"],
        "model_type": "moss_audio",
        "dtype": "bfloat16",
        "tie_word_embeddings": tied,
        "adapter_hidden_size": config.adapter_hidden_size,
        "deepstack_num_inject_layers": config.deepstack_num_inject_layers,
        "audio_config": {"activation_function": "gelu"} | asdict(config.audio),
        "language_config": language,
    }


def export(model: MossAudio, vocabulary: Path, folder: Path) -> None:
    """Write bf16 weights and everything else that a checkpoint folder holds."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copy(vocabulary / name, folder / name)
    (folder / "config.json").write_text(json.dumps(config_json(model.config), indent=1) + "\n")
    tensors = {name: t.detach().to(torch.bfloat16).contiguous() for name, t in model.state_dict().items()}
    save_file(tensors, folder / "model.new", metadata={"format": "pt"})
    (folder / "model.new").replace(folder / "model.safetensors")
