"""Byte-level BPE in the style of Qwen2, from vocab.json and merges.txt or from tokenizer.json.

The merging itself is the `tokenizers` library's. Special tokens are kept out of it, so that a
user's text can never become one: only `encode_template` reads them.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from moss_cli.engine.config import read_json
from moss_cli.errors import ModelError

# Source: the tokenizer of Qwen2 (Hugging Face transformers, models/qwen2).
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@cache
def _byte_of_char() -> dict[str, int]:
    """GPT-2's table: each byte stands as a printable character in vocab.json."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    table = {chr(b): b for b in printable}
    table.update({chr(256 + i): b for i, b in enumerate(others)})
    return table


def byte_level_bpe(bpe: models.BPE) -> tokenizers.Tokenizer:
    """A tokenizer around a BPE model, with Qwen2's normalisation and splitting."""
    tokenizer = tokenizers.Tokenizer(bpe)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


class Tokenizer:
    """Text to ids and back. `special` maps the special tokens' texts to their ids."""

    def __init__(self, bpe: tokenizers.Tokenizer, special: dict[str, int]) -> None:
        self._bpe = bpe
        self.special = special
        self._special_text = {i: text for text, i in special.items()}
        longest_first = sorted(special, key=len, reverse=True)
        self._special_pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, whatever it looks like. Lone surrogates become U+FFFD."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return ids

    def encode_template(self, text: str) -> list[int]:
        """Ids of a template of our own, in which special tokens are written out."""
        ids: list[int] = []
        at = 0
        for match in self._special_pattern.finditer(text):
            ids += self.encode(text[at : match.start()])
            ids.append(self.special[match[0]])
            at = match.end()
        return ids + self.encode(text[at:])

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for an id that the vocabulary does not have."""
        if token in self._special_text:
            return self._special_text[token].encode()
        text = self._bpe.id_to_token(token)
        if text is None:
            return b""
        table = _byte_of_char()
        return bytes(table[c] for c in text) if all(c in table for c in text) else text.encode()

    def decode(self, ids: list[int]) -> str:
        """Text of ids, special tokens written out; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self.token_bytes(i) for i in ids).decode("utf-8", "replace")


class Detokenizer:
    """Text as it is decoded: `push` returns what is certain, and never half a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._utf8.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """What was held back: a character that never became whole is U+FFFD."""
        return self._utf8.decode(b"", final=True)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a checkpoint's tokenizer. Raises ModelError."""
    try:
        if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
            bpe = byte_level_bpe(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
            return Tokenizer(bpe, _special_tokens(folder, bpe))
        if (folder / "tokenizer.json").exists():
            return _from_tokenizer_json(folder)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the tokenizer in {folder} cannot be read: {' '.join(str(error).split())}") from error
    raise ModelError(
        f"{folder} has no tokenizer", hint="a checkpoint folder holds vocab.json and merges.txt, or tokenizer.json"
    )


def _from_tokenizer_json(folder: Path) -> Tokenizer:
    values = read_json(folder / "tokenizer.json")
    model = values.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        raise ModelError(f"{folder / 'tokenizer.json'} is not a byte-level BPE")
    merges: Any = [tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m) for m in model.get("merges", [])]
    bpe = byte_level_bpe(models.BPE(vocab=model["vocab"], merges=merges))
    special = {t["content"]: int(t["id"]) for t in values.get("added_tokens", [])}
    return Tokenizer(bpe, special | _special_tokens(folder, bpe))


def _special_tokens(folder: Path, bpe: tokenizers.Tokenizer) -> dict[str, int]:
    """From added_tokens.json and tokenizer_config.json; the two say the same where both exist."""
    special: dict[str, int] = {}
    for token, entry in (
        read_json(folder / "tokenizer_config.json", required=False).get("added_tokens_decoder") or {}
    ).items():
        special[entry["content"]] = int(token)
    special.update(read_json(folder / "added_tokens.json", required=False))
    if not all(isinstance(i, int) and i >= 0 for i in special.values()):
        raise ModelError(f"{folder / 'added_tokens.json'} should map texts to ids")
    return special
