"""Whether a folder holds a checkpoint that this engine runs, told without loading its weights."""

from __future__ import annotations

from pathlib import Path

from moss_cli.engine.checkpoint import read_headers
from moss_cli.engine.config import load_config, load_processor_config
from moss_cli.engine.quantised_copy import open_copy, read_copy_info
from moss_cli.engine.tokenizer import load_tokenizer
from moss_cli.engine.weights import empty_model


def check_checkpoint(folder: Path) -> None:
    """Compare the headers of the weights with the configuration, and read the tokenizer. Raises ModelError."""
    load_processor_config(folder)
    if info := read_copy_info(folder):
        open_copy(folder, info)
    else:
        infos = read_headers(folder)
        empty_model(load_config(folder), {name: info.shape for name, info in infos.items()})
    load_tokenizer(folder)
