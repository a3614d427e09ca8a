"""`moss models list` and `show`: what is here, and as what it would run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub

from moss_cli.cli.model_facts import model_facts, table
from moss_cli.engine.fit import DeviceFacts, facts_without_torch, pick_dtype
from moss_cli.models.download import pull
from moss_cli.models.entry import ModelEntry
from moss_cli.models.registry import load_registry

Moss = Callable[..., Any]
GPU_12_GB = DeviceFacts("cuda", 12_100_000_000)


def shown(device: DeviceFacts) -> list[str]:
    registry = load_registry()
    return table([model_facts(entry, registry.default, device) for entry in registry.entries.values()])


@pytest.mark.usefixtures("cache")
def test_each_model_has_its_size_its_memory_and_the_dtype_that_auto_would_choose() -> None:
    assert shown(GPU_12_GB) == [
        "NAME               HERE     SIZE     BF16   4-BIT  RUNS AS",
        "tiny               yes   13.4 MB  13.3 MB       -  bf16     demo",
        "4b-instruct        no    10.5 GB  10.5 GB  4.4 GB  bf16     default",
        "4b-thinking        no    10.5 GB  10.5 GB  4.4 GB  bf16",
        "8b-instruct        no    18.1 GB  18.1 GB  6.9 GB  4bit",
        "8b-thinking        no    18.1 GB  18.1 GB  6.9 GB  4bit",
        "music-8b-instruct  no    18.1 GB  18.1 GB  6.9 GB  4bit",
        "music-8b-thinking  no    18.1 GB  18.1 GB  6.9 GB  4bit",
    ]
    assert max(map(len, shown(GPU_12_GB))) <= 80


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("device", "runs_as"),
    [
        (DeviceFacts("cpu", 25_000_000_000), ["fp32", "fp32", "bf16"]),
        (DeviceFacts("cpu", 7_000_000_000), ["fp32", "4bit", "too large"]),
        (DeviceFacts("cuda", 4_000_000_000), ["bf16", "too large", "too large"]),
        (DeviceFacts("cuda", 24_000_000_000, has_bf16=False), ["fp16", "fp16", "fp16"]),
        (DeviceFacts("mps", 15_000_000_000), ["fp32", "fp16", "too large"]),
    ],
)
def test_what_fits_is_told_by_the_rule_of_auto(device: DeviceFacts, runs_as: list[str]) -> None:
    rows = {line.split()[0]: line[51:60].strip() for line in shown(device)}
    assert [rows[name] for name in ("tiny", "4b-instruct", "8b-instruct")] == runs_as
    assert pick_dtype("auto", 5_225_862_600, device) == ("4bit" if runs_as[1] == "too large" else runs_as[1])


@pytest.mark.usefixtures("cache")
def test_of_a_model_of_which_nothing_is_known_nothing_is_claimed() -> None:
    [row] = table([model_facts(ModelEntry("mine", hub="a/b"), "", GPU_12_GB)])[1:]
    assert row == "mine  no       -     -      -  ?"


def test_what_was_pulled_by_its_hub_id_is_listed_too(hub: LoopbackHub, moss: Moss) -> None:
    old = hub.add("a/b", {"config.json": b"{}", "model.safetensors": bytes(2_000_000)})
    pull("a/b", None)
    new = hub.add("a/b", {"config.json": b"{ }", "model.safetensors": bytes(2_000_000)})
    pull("a/b", None)
    listed = json.loads(moss("list", "-f", "json").out)
    assert [(one["name"], one["here"], one["revision"], one["bytes"]) for one in listed if one["hub"] == "a/b"] == [
        ("a/b", True, new, 2_000_003),
        (f"a/b@{old}", True, old, 2_000_002),
    ]
    assert moss("rm", f"a/b@{old}", "--yes").code == 0
    assert json.loads(moss("list", "--json").out)[-1]["name"] == "a/b"
    facts = json.loads(moss("show", "a/b", "-f", "json").out)
    assert (facts["name"], facts["path"].endswith(new)) == ("a/b", True)


@pytest.mark.usefixtures("cache")
def test_the_json_has_these_keys(moss: Moss) -> None:
    [tiny, default, *_] = json.loads(moss("list", "-f", "json").out)
    assert list(tiny) == [
        *("name", "title", "default", "here", "demo", "thinking", "thinks_over", "tasks", "languages", "hub"),
        *("url", "revision", "bytes", "memory", "runs_as", "max_seconds", "piece_seconds", "path", "quantised"),
    ]
    assert (tiny["here"], default["here"], default["default"]) == (True, False, True)
    assert json.loads(moss("show", "4b-instruct", "--json").out) == default


def test_without_a_gpu_nothing_is_known_only_to_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    facts = facts_without_torch(tmp_path)
    assert facts is not None and facts.type == "cpu"
    for name in ("nvidiactl", "kfd", "dxg"):
        (tmp_path / name).touch()
        assert facts_without_torch(tmp_path) is None
        (tmp_path / name).unlink()
    monkeypatch.setattr("sys.platform", "darwin")
    assert facts_without_torch(tmp_path) is None


@pytest.mark.skipif(facts_without_torch() is None, reason="what devices there are only torch knows here")
def test_the_list_of_a_machine_without_a_gpu_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    code = (
        "import sys; from moss_cli.cli.main import run; code = run(['models', 'list']); "
        "print({'torch', 'numpy'} & set(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "set()\n")


@pytest.mark.parametrize("command", ["path", "verify", "rm", "pull", "show"])
def test_names_are_completed_by_what_the_command_can_do(
    hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    hub.add("a/b", {"config.json": b"{}", "model.safetensors": b"x"})
    pull("a/b", None)
    monkeypatch.setenv("_MOSS_COMPLETE", "fish")
    code = "import sys; from moss_cli.cli.main import run; sys.exit(run(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "models", command, ""]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    released = [name for name, entry in load_registry().entries.items() if entry.hub]
    expected = {"path": ["tiny", "a/b"], "verify": ["tiny", "a/b"], "show": ["tiny", *released, "a/b"]}
    expected |= {"rm": ["a/b"], "pull": [*released, "a/b"]}
    assert done.stdout.split()[2:] == expected[command]  # behind what is said of files
