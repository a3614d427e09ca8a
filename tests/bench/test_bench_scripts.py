"""The scripts that prepare and run large measurements, at small sizes."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from moss_cli.bench.profile import N_KERNELS, profile_steps
from moss_cli.bench.shapes import parse_shape
from moss_cli.bench.subject import load_shape
from moss_cli.engine.checkpoint import read_headers, weight_files
from moss_cli.engine.config import load_config
from moss_cli.engine.engine import load_engine
from moss_cli.engine.random_weights import RandomTensors

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name: str) -> ModuleType:
    """A script of benchmarks/ as a module."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two shards."""
    folder = tmp_path_factory.mktemp("made") / "checkpoint"
    script("make_checkpoint").make_checkpoint(parse_shape("128x2").config, folder, most_bytes=45_000_000)
    return folder


def test_a_made_checkpoint_has_its_sizes_and_weights_in_shards(made: Path) -> None:
    config = parse_shape("128x2").config
    assert load_config(made) == config
    assert [path.name for path in weight_files(made)] == [f"model-{i:05}-of-00002.safetensors" for i in (1, 2)]
    index = json.loads((made / "model.safetensors.index.json").read_text())
    found = read_headers(made)
    assert {name: info.file.name for name, info in found.items()} == index["weight_map"]
    assert {name: info.shape for name, info in found.items()} == {**RandomTensors(config).shapes}


def test_a_made_checkpoint_loads_and_has_the_vocabulary_of_the_released_ones(made: Path) -> None:
    engine = load_engine(made, device="cpu", dtype="bf16")
    drawn = RandomTensors(parse_shape("128x2").config).read("language_model.embed_tokens.weight")
    assert torch.equal(engine.model.language_model.embed_tokens.weight, drawn)
    assert engine.tokenizer.special["<|im_end|>"] == 151_645
    assert engine.warnings == ()


def test_loading_is_measured_in_a_process_of_its_own(made: Path) -> None:
    line = [sys.executable, str(BENCHMARKS / "loading.py"), str(made), "--once", "bf16"]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout)
    assert list(figures) == ["seconds", "token_s", "weights", "loading", "running"]
    assert figures["weights"] >= 2 * 151_936 * 128


def test_a_profile_names_what_takes_longest(tmp_path: Path) -> None:
    found = profile_steps(load_shape(parse_shape("tiny"), device="cpu", dtype="fp32"))
    assert 0 < found.launches == int(found.launches)
    assert len(found.kernels) == N_KERNELS
    assert [one.seconds for one in found.kernels] == sorted((one.seconds for one in found.kernels), reverse=True)


@pytest.fixture(scope="module")
def gpu_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """What the dry run of one case leaves: exit code and folder."""
    folder = tmp_path_factory.mktemp("gpu")
    line = [sys.executable, str(BENCHMARKS / "gpu.py"), "--dry-run", "--out", str(folder), "--only", "tiny:fp32"]
    return subprocess.run(line, capture_output=True).returncode, folder


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_gpu_day_can_be_rehearsed_without_a_gpu(gpu_day: tuple[int, Path]) -> None:
    code, folder = gpu_day
    assert code == 0
    document = json.loads((folder / "gpu.json").read_text())
    assert list(document) == ["tests", "cases"]
    assert document["tests"]["code"] == 0 and "skipped" in document["tests"]["tail"]
    (case,) = document["cases"]
    assert case["name"] == "tiny:fp32" and "error" not in case
    assert [one["batch"] for one in case["result"]["batches"]] == [1, 2]
    lines = (folder / "gpu.md").read_text().splitlines()
    assert [line.split(" | ")[:2] for line in lines if line.startswith("| tiny")][:2] == [
        ["| tiny fp32", "1"],
        ["| tiny fp32", "2"],
    ]


def test_a_case_that_fails_or_is_stopped_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = script("gpu")
    ends = iter([gpu.Said(0, "1 passed in 2 s", 1.0), gpu.Said(1, "no\nmemory", 1.0), gpu.Said(None, "", 1.0)])
    monkeypatch.setattr(gpu, "in_a_process", lambda arguments, limit_s: next(ends))
    cases = [dataclasses.replace(gpu.SMALL[0], shape=name) for name in ("a", "b")]
    document = gpu.run_all(cases, "cpu", tmp_path, 8.0)
    assert [(case["name"], case["error"]) for case in document["cases"]] == [
        ("a:fp32", "no\nmemory"),
        ("b:fp32", "stopped: no time was left"),
    ]
    assert (
        (tmp_path / "gpu.md")
        .read_text()
        .endswith("Tests: 1 passed in 2 s\n- a:fp32: memory\n- b:fp32: stopped: no time was left\n")
    )


def test_without_time_no_case_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = script("gpu")
    monkeypatch.setattr(gpu, "in_a_process", lambda arguments, limit_s: gpu.Said(0, "", 0.0))
    document = gpu.run_all(gpu.SMALL, "cpu", tmp_path, 0.1)
    assert {case["error"] for case in document["cases"]} == {"no time was left"}


def test_a_process_that_takes_too_long_is_stopped() -> None:
    said = script("gpu").in_a_process(["-c", "import time; print('begun', flush=True); time.sleep(60)"], 1.0)
    assert (said.code, said.tail) == (None, "begun\n")
