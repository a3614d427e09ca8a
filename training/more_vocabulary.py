"""Give a vocabulary tokens for the words of further domains; the ids that it has stay as they are.

    python -m training.more_vocabulary --run DIR --banks DIR

goes on with byte-pair merging where training.vocabulary stopped, over the prompts and answers that the
domains draw, until the ids that the embeddings have are used up.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from moss_cli.engine.tokenizer import load_tokenizer
from training.export import TOKENIZER_FILES
from training.mixture import domains
from training.train import STAGES
from training.vocabulary import AUDIO, SPECIAL, VOCAB_SIZE

N_DRAWN = 600  # of each domain
PROMPT_COUNT = 40  # a prompt counts as often at least, so that its words become tokens
FEWEST = 8  # a pair that is rarer is not worth an id

Pieces = Counter[tuple[str, ...]]  # words as the tokens they are made of so far, and how often they occur


def corpus(banks: Path) -> Counter[str]:
    """The prompts and answers of every domain, and how often each counts."""
    rng = random.Random(0)
    texts: Counter[str] = Counter()
    prompts: set[str] = set()
    for draw in domains(banks, STAGES["all"].mix).values():
        for _ in range(N_DRAWN):
            for asked in draw(rng).asked:
                texts[asked.answer] += 1
                prompts.add(asked.prompt)
    for prompt in prompts:
        texts[prompt] += PROMPT_COUNT
    return texts


def words_of(folder: Path, texts: Counter[str]) -> Pieces:
    """Every word of the texts in the tokens that the vocabulary in `folder` has for it."""
    bpe = load_tokenizer(folder)._bpe
    found: Pieces = Counter()
    for text, count in texts.items():
        for word, _ in bpe.pre_tokenizer.pre_tokenize_str(text):
            tokens = tuple(token.value for token in bpe.model.tokenize(word))
            found[tokens] += count
    return found


def more_merges(words: Pieces, n_most: int) -> list[tuple[str, str]]:
    """The pairs that are merged next, the most frequent first each time."""
    merges: list[tuple[str, str]] = []
    while len(merges) < n_most:
        pairs: Counter[tuple[str, str]] = Counter()
        for tokens, count in words.items():
            for pair in pairwise(tokens):
                if may_merge(*pair):
                    pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] < FEWEST:
            break
        merges.append(best)
        words = _merged(words, best)
    return merges


def may_merge(left: str, right: str) -> bool:
    """Numbers stay digits and words keep clear of marks: each is then written the same way wherever it stands."""
    if any(c.isdigit() for c in left + right):
        return False
    return left[0].isalpha() or not any(c.isalpha() for c in right)


def _merged(words: Pieces, pair: tuple[str, str]) -> Pieces:
    merged: Pieces = Counter()
    for tokens, count in words.items():
        merged[tuple(_join(tokens, pair))] += count
    return merged


def _join(tokens: tuple[str, ...], pair: tuple[str, str]) -> Iterable[str]:
    i = 0
    while i < len(tokens):
        both = tokens[i : i + 2] == pair
        yield tokens[i] + tokens[i + 1] if both else tokens[i]
        i += 1 + both


def extend(folder: Path, texts: Counter[str]) -> int:
    """Add tokens to the vocabulary in `folder`; how many is what comes back."""
    vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text())
    room = VOCAB_SIZE - len(SPECIAL) - len(AUDIO) - len(vocabulary)
    merges = more_merges(words_of(folder, texts), room)
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    with (folder / "merges.txt").open("a") as file:
        file.writelines(f"{left} {right}\n" for left, right in merges)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    return len(merges)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--banks", type=Path, required=True)
    parser.add_argument("--from", dest="source", type=Path, help="checkpoint folder whose vocabulary is extended")
    args = parser.parse_args()
    folder = args.run / "vocabulary"
    if args.source and not folder.exists():
        folder.mkdir(parents=True)
        for name in TOKENIZER_FILES:
            shutil.copy(args.source / name, folder / name)
    print(extend(folder, corpus(args.banks)), "tokens added")


if __name__ == "__main__":
    main()
