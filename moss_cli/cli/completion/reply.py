"""The conversation with the shells' scripts, in `scripts/`.

A script sets _MOSS_COMPLETE to the name of its shell and calls moss with the words behind `moss` down to the cursor.
The first line of the reply says which files the shell is to offer: `KIND TAB N TAB SUFFIXES`, where a path begins
behind N characters of the word, and SUFFIXES, joined by `|`, are those of recordings. A line for each word follows:
`WORD TAB HELP`. For bash, which knows no help and quotes badly, the files are among the words, and the first line says
only whether they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from moss_cli.cli.completion.candidates import Candidates, FileKind, candidates

VARIABLE = "_MOSS_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
_BREAKS = frozenset("=:")  # that bash takes a word apart at, as far as ours have them


def reply(root: Any, shell: str, words: Sequence[str]) -> str:
    """What is printed for the script of a shell."""
    if shell == "bash":
        return "".join(f"{line}\n" for line in _for_bash(root, words))
    found = candidates(root, words)
    suffixes = ""
    if found.files is FileKind.AUDIO:
        from moss_cli.audio.find import AUDIO_SUFFIXES

        suffixes = "|".join(suffix.removeprefix(".") for suffix in sorted(AUDIO_SUFFIXES))
    lines = [f"{found.files}\t{found.n_before}\t{suffixes}", *(f"{word}\t{_flat(help)}" for word, help in found.words)]
    return "".join(f"{line}\n" for line in lines)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _for_bash(root: Any, pieces: Sequence[str]) -> Iterator[str]:
    words = list(joined(pieces))
    found = candidates(root, words)
    typed = words[-1] if words else ""
    n_kept = len(typed) - len(unquoted(pieces[-1]) if pieces and not _BREAKS.issuperset(pieces[-1]) else "")
    files = list(matching_files(found, typed))
    yield "files" if files else "words"
    yield from (word[n_kept:] for word in (*(word for word, _ in found.words), *files) if "\n" not in word)


def joined(pieces: Sequence[str]) -> Iterator[str]:
    """The words of a command line that bash has taken apart at `=` and `:`, without their quotes.

    `--model = tiny` and `cuda : 0`, in three pieces each, are one word. The last piece is the one at the cursor.
    """
    word: str | None = None
    was_break = False
    for piece in pieces:
        is_break = bool(piece) and _BREAKS.issuperset(piece)
        if word is not None and (is_break or was_break):
            word += piece if is_break else unquoted(piece)
        else:
            if word is not None:
                yield word
            word = unquoted(piece)
        was_break = is_break
    if word is not None:
        yield word


def unquoted(word: str) -> str:
    """A word of a shell's line as the program would get it; quotation marks may be open still."""
    plain, quote, characters = [], "", iter(word)
    for character in characters:
        if character == "\\" and quote != "'":
            plain.append(next(characters, ""))
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            plain.append(character)
    return "".join(plain)


def matching_files(found: Candidates, typed: str) -> Iterator[str]:
    """The files and folders that the word may become, as whole words; of recordings none, all files."""
    if found.files is FileKind.NONE:
        return
    before, path = typed[: found.n_before], typed[found.n_before :]
    folder, slash, begun = path.rpartition("/")
    try:
        entries = sorted(os.scandir(Path(folder + slash).expanduser() if slash else "."), key=lambda one: one.name)
    except (OSError, RuntimeError, ValueError):  # RuntimeError: no such user
        return
    entries = [one for one in entries if one.name.startswith(begun) and (begun or not one.name.startswith("."))]
    wanted = [one for one in entries if _is_wanted(one, found.files)]
    if found.files is FileKind.AUDIO and not wanted:
        wanted = entries
    for entry in wanted:
        yield f"{before}{folder}{slash}{entry.name}"


def _is_wanted(entry: os.DirEntry[str], kind: FileKind) -> bool:
    from moss_cli.audio.find import is_audio_name

    if kind is FileKind.FILES or entry.is_dir():
        return True
    return kind is FileKind.AUDIO and is_audio_name(Path(entry.name))
