"""Which file holds the result of which input.

An input is called by its stem (`talk`) or, where its folder holds another recording of the same stem, by its full name
(`talk.wav`): what an earlier run did, and which of the two are inputs of this one, makes no difference. Inputs of other
folders may still want the same name, as `a/talk.wav` and `b/talk.wav` do when each is named on the command line. In
the sorted order of their paths, each then tries its stem, its full name, and that with a number (`talk.wav-2`), until
one is free, and keeps it in later runs. A name is taken if another differs from it only in case, in Unicode normal form
or in a task at its end (`talk.emotion` is also the name of another task's result of `talk`), so that no file system and
no later run confuses them.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path, PurePosixPath

from moss_cli.folders.siblings import Siblings, stem_of
from moss_cli.output.formats import COMBINED
from moss_cli.run.inputs import STDIN, Input, identity
from moss_cli.tasks.catalogue import TASKS

LONGEST_NAME = 255  # bytes, on nearly every file system
STATE_FOLDER = ".moss"

_TASK_AT_END = re.compile(rf"(?:\.(?:{'|'.join((*TASKS, COMBINED))}))+$")


@dataclass(frozen=True)
class PlannedOutput:
    """Where an input's results go. `stem` is relative to the output folder, without task and suffix."""

    input: Input
    stem: str
    paths: Mapping[str, Path]  # by format


def plan(
    inputs: Sequence[Input],
    folder: Path,
    formats: Sequence[str],
    task: str,
    taken: Mapping[str, str] | None = None,
) -> list[PlannedOutput]:
    """The outputs of each input, in the order given; an input given twice has one output.

    `taken` maps stems to the identity of the input that an earlier run gave them to, which keeps them where that is the
    only thing to tell it from the inputs of other folders.
    """
    by_identity: dict[str, Input] = {}
    for one in inputs:
        by_identity.setdefault(one.identity, one)
    mirror = _mirror(list(by_identity.values()))
    names = _Names(dict(taken or {}), {_fold(str(parent)) for place in mirror.values() for parent in place.parents})
    siblings = Siblings((PurePosixPath(who) for who, one in by_identity.items() if one.path != STDIN), _key)
    shared = {who for who, one in by_identity.items() if one.path != STDIN and siblings.share(PurePosixPath(who))}
    suffixes = [("" if task == "transcribe" else f".{task}") + f".{fmt}" for fmt in formats]
    stems = {
        who: names.give(who, _candidates(mirror[one], by_full_name=who in shared), suffixes)
        for who, one in sorted(by_identity.items(), key=lambda item: (os.fsencode(item[1].path), item[0]))
    }
    return [
        PlannedOutput(
            input=one,
            stem=stems[who],
            paths={fmt: folder / _file_name(stems[who], suffix) for fmt, suffix in zip(formats, suffixes, strict=True)},
        )
        for who, one in by_identity.items()
    ]


@dataclass
class _Names:
    """Who holds which stem."""

    taken: dict[str, str]  # stem to identity
    folders: set[str]  # folded paths of the folders that outputs lie in
    _owners: dict[str, str] = field(init=False)  # key to identity

    def __post_init__(self) -> None:
        self._owners = {_key(stem): who for stem, who in self.taken.items()}

    def give(self, who: str, candidates: Iterable[str], suffixes: Collection[str]) -> str:
        """The first candidate that is free, or that `who` has already."""
        for stem in candidates:
            is_folder = any(_fold(stem + suffix) in self.folders for suffix in suffixes)
            if not is_folder and self._owners.setdefault(_key(stem), who) == who:
                return stem
        raise AssertionError("candidates never end")


def _candidates(wanted: PurePosixPath, *, by_full_name: bool) -> Iterator[str]:
    full = wanted.name
    numbered = (f"{full}-{n}" for n in count(2))
    names = chain([] if by_full_name else [stem_of(full)], [full], numbered)
    return (str(wanted.parent / name) for name in names)


def _mirror(inputs: Sequence[Input]) -> dict[Input, PurePosixPath]:
    """Where each input lies relative to the output folder, under its own name."""
    prefixes = _root_prefixes({one.root for one in inputs if one.root is not None})
    return {one: _relative(one, prefixes) for one in inputs}


def _root_prefixes(roots: set[Path]) -> dict[Path, str]:
    """The name of each folder argument, if there are several; those of the same name are numbered."""
    if len({identity(root) for root in roots}) < 2:
        return dict.fromkeys(roots, "")
    prefixes: dict[Path, str] = {}
    used: dict[str, str] = {}
    for root in sorted(roots, key=os.fsencode):
        who = identity(root)
        name = os.path.basename(who) or "root"  # noqa: PTH119
        numbered = chain([name], (f"{name}-{n}" for n in count(2)))
        prefixes[root] = next(prefix for prefix in numbered if used.setdefault(_fold(prefix), who) == who)
    return prefixes


def _relative(one: Input, prefixes: Mapping[Path, str]) -> PurePosixPath:
    if one.path == STDIN:
        return PurePosixPath("stdin")
    path = PurePosixPath(one.identity)
    if one.root is None or identity(one.root) not in map(str, path.parents):
        return PurePosixPath(path.name)
    relative = PurePosixPath(prefixes[one.root]) / path.relative_to(identity(one.root))
    if relative.parts[0].casefold() == STATE_FOLDER and len(relative.parts) > 1:
        return PurePosixPath(STATE_FOLDER.removeprefix("."), *relative.parts[1:])
    return relative


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _key(stem: str) -> str:
    return _TASK_AT_END.sub("", _fold(stem))


def _file_name(stem: str, suffix: str) -> str:
    """`stem` and `suffix`; where that is too long for a name, the stem is cut and ends in a hash of the whole."""
    folders, slash, name = stem.rpartition("/")
    if len(os.fsencode(name + suffix)) <= LONGEST_NAME:
        return stem + suffix
    mark = "-" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:10]
    n_left = LONGEST_NAME - len(os.fsencode(mark + suffix))
    n_bytes = 0
    kept = ""
    for character in name:
        n_bytes += len(os.fsencode(character))
        if n_bytes > n_left:
            break
        kept += character
    return folders + slash + kept + mark + suffix
