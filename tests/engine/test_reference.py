"""The engine computes what the published implementation computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from moss_cli.engine.decoding import generate
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.inspect import inspect
from moss_cli.engine.model import Prompt
from moss_cli.engine.row import Request
from moss_cli.engine.step import prompt_tokens
from moss_cli.engine.tokenizer import load_tokenizer

REFERENCE = Path(__file__).parents[1] / "fixtures" / "reference"
CASES: list[dict[str, Any]] = json.loads((REFERENCE / "golden" / "cases.json").read_text())
PLAIN = [case for case in CASES if "quantization" not in case]
BESIDE = Path(__file__).parents[3] / "shared" / "reference"  # has one clip more, where it exists
names = [case["golden"] for case in PLAIN]
CLOSE = 1e-4  # relative L2


def audio_file(case: dict[str, Any]) -> Path | None:
    files = [root / case["audio"] for root in (REFERENCE, BESIDE) if case["audio"]]
    return next((file for file in files if file.exists()), None)


HEARD = [case for case in PLAIN if audio_file(case)]


def golden(case: dict[str, Any]) -> dict[str, np.ndarray]:
    return dict(np.load(REFERENCE / "golden" / f"{case['golden']}.npz"))


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@torch.inference_mode()
def prompt_of(engine: Engine, case: dict[str, Any], expected: dict[str, np.ndarray]) -> Prompt:
    """The case's prompt; the audio enters as its golden mel."""
    audio = None
    if case["audio"]:
        audio = engine.model.adapt(engine.model.encode(torch.from_numpy(expected["mel"])))
    return engine.ask(case["prompt"], audio, time_markers=case["time_markers"])


def logits_of(engine: Engine, prompt: Prompt) -> torch.Tensor:
    return engine.model(prompt_tokens([prompt], engine.model.device))[0]


@pytest.mark.parametrize("case", HEARD, ids=[case["golden"] for case in HEARD])
def test_every_array_from_samples_to_logits_and_tokens_is_the_published_one(
    engine: Engine, case: dict[str, Any]
) -> None:
    file = audio_file(case)
    assert file is not None
    samples, rate = soundfile.read(file, dtype="float32")
    assert rate == 16_000
    arrays = inspect(engine, samples, case["prompt"], time_markers=case["time_markers"])
    expected = golden(case)
    assert set(arrays) == set(expected)
    for name in ("input_ids", "greedy_ids"):
        assert arrays[name].tolist() == expected[name].tolist()
    for name in set(expected) - {"input_ids", "greedy_ids"}:
        assert distance(arrays[name], expected[name]) < CLOSE, name


@pytest.mark.parametrize("case", PLAIN, ids=names)
@torch.inference_mode()
def test_from_mel_on_every_case_is_the_published_one(engine: Engine, case: dict[str, Any]) -> None:
    expected = golden(case)
    if case["audio"]:
        clip = engine.model.encode(torch.from_numpy(expected["mel"]))
        assert distance(clip.features.numpy(), expected["encoder"]) < CLOSE
        for i, tap in enumerate(clip.taps):
            assert distance(tap.numpy(), expected[f"deepstack{i}"]) < CLOSE
        assert distance(engine.model.adapt(clip).adapter.numpy(), expected["adapter"]) < CLOSE
    prompt = prompt_of(engine, case, expected)
    assert prompt.ids.tolist() == expected["input_ids"].tolist()
    assert distance(logits_of(engine, prompt).numpy(), expected["last_logits"]) < CLOSE
    answer = generate(engine.model, [Request(prompt, 24)], frozenset())[0]
    assert answer.ids == expected["greedy_ids"].tolist()
    assert engine.text(answer.ids) == case["text"]


def test_a_batch_of_all_cases_gives_each_the_tokens_it_has_alone(engine: Engine) -> None:
    expected = [golden(case) for case in PLAIN]
    requests = [Request(prompt_of(engine, c, e), 24) for c, e in zip(PLAIN, expected, strict=True)]
    answers = generate(engine.model, requests, frozenset())
    assert [a.ids for a in answers] == [e["greedy_ids"].tolist() for e in expected]
    reverse = generate(engine.model, requests[::-1], frozenset())
    assert [a.ids for a in reverse] == [a.ids for a in answers[::-1]]


@pytest.mark.parametrize(("compute", "least"), [(torch.float32, 0.999), (torch.bfloat16, 0.99)])
@torch.inference_mode()
def test_nf4_weights_give_the_logits_of_the_quantised_case(compute: torch.dtype, least: float) -> None:
    case = next(case for case in CASES if case.get("quantization") == "nf4")
    expected = golden(case)
    engine = load_engine(REFERENCE / "checkpoint", device="cpu", dtype="4bit", compute_dtype=compute)
    quantised = [m for m in engine.model.modules() if type(m).__name__ == "Linear4bit"]
    assert len(quantised) == case["linears"]
    whole = next(c for c in PLAIN if c["golden"] == "speech_en")
    logits = logits_of(engine, prompt_of(engine, case, golden(whole))).float().numpy()
    assert cosine(logits, expected["last_logits"]) > least


@torch.inference_mode()
def test_bf16_weights_stay_close_to_the_published_float32(reference: Path) -> None:
    engine = load_engine(REFERENCE / "checkpoint", device="cpu", dtype="bf16")
    for case in PLAIN:
        expected = golden(case)
        logits = logits_of(engine, prompt_of(engine, case, expected)).float().numpy()
        assert cosine(logits, expected["last_logits"]) > 0.999


def test_the_tokenizer_gives_the_published_ids_and_texts() -> None:
    tokenizer = load_tokenizer(REFERENCE / "checkpoint")
    for case in json.loads((REFERENCE / "golden" / "tokenizer.json").read_text()):
        assert tokenizer.encode_template(case["text"]) == case["ids"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]
