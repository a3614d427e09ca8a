"""The embedded model's vocabulary: byte-level BPE over the lexicon and the prompts.

    python -m training.vocabulary --out FOLDER

writes vocab.json, merges.txt, added_tokens.json and the ids in processor_config.json, in the
published format. Every word of the lexicon is one token, so that a transcript takes few steps.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from moss_cli.engine.tokenizer import byte_level_bpe
from moss_cli.tasks.transcribe import PROMPT_PLAIN, PROMPT_SEGMENTS
from training.sentences import sentence, vocabulary

VOCAB_SIZE = 2048  # of the embeddings; ids that no token has are left for later tasks
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
AUDIO = ["audio_token_id", "audio_start_id", "audio_end_id"]
PROMPTS = [PROMPT_PLAIN, PROMPT_SEGMENTS, "system\nYou are a helpful assistant.", "user\n", "assistant\n"]


def corpus() -> list[str]:
    """Texts whose words should be single tokens, repeated so that they become so."""
    rng = random.Random(0)
    words = vocabulary()
    texts = [sentence(rng) for _ in range(20_000)]
    texts += [f"{word} {word}" for word in words] * 100
    # Cut after brackets: "]hello" as one token would hide the word in it.
    return texts + [piece for prompt in PROMPTS for piece in re.split(r"(?<=\])(?=\w)", prompt)] * 400


def train_bpe() -> tokenizers.Tokenizer:
    bpe = byte_level_bpe(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 16,
        min_frequency=50,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus(), trainer)
    return bpe


def write_vocabulary(folder: Path) -> None:
    """Write the tokenizer's files; ids of special tokens are the highest ones."""
    folder.mkdir(parents=True, exist_ok=True)
    bpe = train_bpe()
    bpe.model.save(str(folder))
    first = VOCAB_SIZE - len(SPECIAL) - len(AUDIO)
    ids = {name: first + i for i, name in enumerate(SPECIAL + AUDIO)}
    special = {name: ids[name] for name in SPECIAL}
    (folder / "added_tokens.json").write_text(json.dumps(special, indent=1) + "\n")
    (folder / "special_tokens_map.json").write_text('{"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}\n')
    mel = {"mel_sr": 16000, "mel_dim": 128, "mel_n_fft": 400, "mel_hop_length": 160}
    processor = {"mel_config": mel, "enable_time_marker": True, **{name: ids[name] for name in AUDIO}}
    (folder / "processor_config.json").write_text(json.dumps(processor, indent=1) + "\n")
    eos = {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]]}
    (folder / "generation_config.json").write_text(json.dumps(eos, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    write_vocabulary(parser.parse_args().out)


if __name__ == "__main__":
    main()
