"""A 4-bit copy is whole, says what it was made of, and gives the logits of the model that it is a copy of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import moss_cli
from moss_cli.engine.devices import FourBit
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.quantised_copy import INDEX, WEIGHTS, CopyInfo, read_copy_info, write_copy
from moss_cli.errors import ModelError, OutputError, UsageError

TINY = Path(moss_cli.__file__).parent / "weights" / "tiny"
REFERENCE = Path(__file__).parents[1] / "fixtures" / "reference" / "checkpoint"
Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "source"))


def logits(engine: Engine) -> torch.Tensor:
    with torch.inference_mode():
        hidden = engine.model.language_model(engine.model.language_model.embed_tokens(torch.arange(20, 52)[None]))
        made: torch.Tensor = engine.model.lm_head(hidden[0])
        return made


@pytest.mark.parametrize("checkpoint", [TINY, REFERENCE], ids=["tiny", "reference"])
@pytest.mark.parametrize("kind", ["nf4", "int4"])
def test_a_copy_gives_the_logits_of_quantising_while_loading_bit_for_bit(
    checkpoint: Path, kind: FourBit, tmp_path: Path
) -> None:
    write_copy(checkpoint, tmp_path / "copy", kind=kind)
    while_loading = load_engine(checkpoint, device="cpu", dtype="4bit", four_bit=kind)
    copied = load_engine(tmp_path / "copy", device="cpu")
    assert (copied.placement.dtype, copied.warnings) == (kind, ())
    assert torch.equal(logits(copied), logits(while_loading))
    clip = torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy()
    assert torch.equal(copied.hear(clip).adapter, while_loading.hear(clip).adapter)


def test_a_copy_is_read_in_the_place_of_the_checkpoint_if_4bit_is_loaded(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    write_copy(source, copy, kind="nf4", revision="r1")
    with (source / "model.safetensors").open("r+b") as file:  # whoever reads it, fails; its size and time stay
        file.seek(100_000)
        stat = (source / "model.safetensors").stat()
        file.write(b"\xff" * 200_000)
    os.utime(source / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    loaded = load_engine(source, device="cpu", dtype="4bit", four_bit="nf4", revision="r1", copy=copy)
    assert loaded.warnings == ()
    for options in ({"dtype": "fp32"}, {"dtype": "4bit", "four_bit": "int4"}):
        with pytest.raises(ModelError, match="no numbers"):
            load_engine(source, device="cpu", revision="r1", copy=copy, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", ["revision", "file"])
def test_a_copy_of_another_state_is_not_read_and_that_is_said(change: str, source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    write_copy(source, copy, kind="nf4", revision="r1")
    if change == "file":
        (source / "model.safetensors").touch()
    revision = "r2" if change == "revision" else "r1"
    engine = load_engine(source, device="cpu", dtype="4bit", four_bit="nf4", revision=revision, copy=copy)
    assert engine.warnings == (f"the 4-bit copy in {copy} is of another state of the checkpoint, and was not read",)


def test_a_copy_says_what_it_was_made_of_and_brings_what_goes_with_the_weights(source: Path, tmp_path: Path) -> None:
    write_copy(source, tmp_path / "copy", kind="int4", revision="abc")
    info = read_copy_info(tmp_path / "copy")
    assert info is not None and (info.kind, info.revision) == ("int4", "abc")
    [file] = info.files
    content = (source / "model.safetensors").read_bytes()
    assert (file.name, file.size, file.sha256) == (
        "model.safetensors",
        len(content),
        hashlib.sha256(content).hexdigest(),
    )
    beside = {path.name for path in source.iterdir()} - {"model.safetensors"}
    copied = {path.name for path in (tmp_path / "copy").iterdir()} - {INDEX, WEIGHTS}
    assert copied == {name for name in beside if name.endswith((".json", ".txt", ".jinja"))}


def test_the_weights_are_a_safetensors_file_with_everything_else_in_bf16(source: Path, tmp_path: Path) -> None:
    write_copy(source, tmp_path / "copy", kind="nf4")
    with safe_open(tmp_path / "copy" / WEIGHTS, framework="pt") as file:
        names = set(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    assert names == set(json.loads((tmp_path / "copy" / INDEX).read_text())["weight_map"])
    dtypes = {"codes": torch.uint8, "values": torch.int8, "int8.scales": torch.float32}
    for name, tensor in tensors.items():
        expected = [dtype for ending, dtype in dtypes.items() if name.endswith(ending)]
        assert tensor.dtype == (expected or [torch.bfloat16])[0], name
    assert tensors["lm_head.int8.values"].shape == (load_config_vocab(source), 192)


def load_config_vocab(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_text())["language_config"]["vocab_size"])


def test_a_copy_that_fails_or_is_broken_off_leaves_nothing_and_the_earlier_one_stands(
    source: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "there" / "copy"
    write_copy(source, copy, kind="nf4", revision="r1")

    def break_off(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_copy(source, copy, kind="nf4", revision="r2", progress=break_off)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    assert revision_of(copy) == "r1"
    write_copy(source, copy, kind="nf4", revision="r2")
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    assert revision_of(copy) == "r2"


def revision_of(copy: Path) -> str | None:
    info = read_copy_info(copy)
    assert isinstance(info, CopyInfo)
    return info.revision


def test_what_a_run_that_was_killed_left_is_cleared_away(source: Path, tmp_path: Path) -> None:
    (tmp_path / ".copy.999999999.part").mkdir()
    write_copy(source, tmp_path / "copy", kind="nf4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_a_disk_without_room_is_seen_before_anything_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(OutputError, match=r"the copy takes 0\.0 GB, and .* has room for 0\.0 GB"):
        write_copy(source, tmp_path / "copy", kind="nf4")
    assert not (tmp_path / "copy").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="is not empty"):
        write_copy(source, tmp_path / "mine", kind="nf4")
    write_copy(source, tmp_path / "copy", kind="nf4")
    with pytest.raises(UsageError, match="is a 4-bit copy already"):
        write_copy(tmp_path / "copy", tmp_path / "second", kind="nf4")


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> Iterator[Path]:
    write_copy(source, tmp_path / "copy", kind="nf4")
    yield tmp_path / "copy"


def test_a_copy_is_4bit_and_nothing_else(copy: Path) -> None:
    with pytest.raises(UsageError, match="holds 4-bit weights, which cannot be loaded as bf16"):
        load_engine(copy, device="cpu", dtype="bf16")


def test_a_copy_cut_short_or_of_other_sizes_is_named(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["language_config"]["intermediate_size"] += 64
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"is not as config\.json asks for it"):
        load_engine(copy, device="cpu")
    with (copy / WEIGHTS).open("r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(ModelError, match=r"00001\.safetensors is cut short") as caught:
        load_engine(copy, device="cpu")
    assert caught.value.hint == "make it anew with `moss models quantize NAME`"


@pytest.mark.parametrize("metadata", [{"kind": "int3"}, {"files": [{"name": 1}]}, {"files": None}])
def test_a_damaged_index_is_a_model_error(copy: Path, metadata: dict[str, object]) -> None:
    index = json.loads((copy / INDEX).read_text())
    index["metadata"] |= metadata
    (copy / INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="is damaged"):
        load_engine(copy, device="cpu")


def test_progress_reaches_the_size_of_the_copy(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_copy(source, tmp_path / "copy", kind="nf4", progress=lambda done, of: told.append((done, of)))
    index = json.loads((tmp_path / "copy" / INDEX).read_text())
    assert told[-1] == (index["metadata"]["total_size"],) * 2
    assert [done for done, _ in told] == sorted({done for done, _ in told})
