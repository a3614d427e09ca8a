"""The engine computes what the published implementation computes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import generate
from moss_cli.engine.inspect import inspect
from moss_cli.engine.model import Prompt
from moss_cli.engine.prefill import prompt_tokens
from moss_cli.engine.row import DecodeRequest
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
    answer = generate(engine.model, [DecodeRequest(prompt, 24)], frozenset())[0]
    assert answer.ids == expected["greedy_ids"].tolist()
    assert engine.text(answer.ids) == case["text"]


def test_a_batch_of_all_cases_gives_each_the_tokens_it_has_alone(engine: Engine) -> None:
    expected = [golden(case) for case in PLAIN]
    requests = [DecodeRequest(prompt_of(engine, c, e), 24) for c, e in zip(PLAIN, expected, strict=True)]
    answers = generate(engine.model, requests, frozenset())
    assert [a.ids for a in answers] == [e["greedy_ids"].tolist() for e in expected]
    reverse = generate(engine.model, requests[::-1], frozenset())
    assert [a.ids for a in reverse] == [a.ids for a in answers[::-1]]


NF4 = torch.tensor(  # Dettmers et al., QLoRA, appendix E
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
        *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
        *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941),
        *(0.7229568362236023, 1.0),
    ]
)


def nf4(weight: torch.Tensor, *, whole_rows: bool) -> torch.Tensor:
    """The NF4 values of a weight, blocks of 64.

    The AVX-512 kernel of bitsandbytes takes the scale of `row * (columns // 64) + column // 64`. That is the right one
    only where rows are whole blocks: those of all released models are, those of this checkpoint are not. Its golden
    values were made with that kernel: `whole_rows` does the same.
    """
    rows, columns = weight.shape
    blocks = weight.reshape(-1, 64)
    scales = blocks.abs().amax(1)
    levels = NF4[((blocks / scales[:, None])[..., None] - NF4).abs().argmin(-1)].reshape(weight.shape)
    if not whole_rows:
        return (levels.reshape(-1, 64) * scales[:, None]).reshape(weight.shape)
    place = torch.arange(rows)[:, None] * (columns // 64) + torch.arange(columns)[None, :] // 64
    return levels * scales[place]


@torch.inference_mode()
def logits_with_nf4(case: dict[str, Any], folder: Path, *, whole_rows: bool) -> np.ndarray:
    """The case's last logits with weights that are quantised by this file, multiplied in float32."""
    shutil.copytree(REFERENCE / "checkpoint", folder)
    tensors = load_file(folder / "model.safetensors")
    for name, weight in tensors.items():
        if re.match(r"language_model\.layers\..*_proj", name):
            tensors[name] = nf4(weight.float(), whole_rows=whole_rows)
    save_file(tensors, folder / "model.safetensors")
    engine = load_engine(folder, device="cpu", dtype="fp32")
    whole = next(c for c in PLAIN if c["golden"] == "speech_en")
    return logits_of(engine, prompt_of(engine, case, golden(whole))).numpy()


def test_the_golden_values_are_those_of_nf4_with_the_scales_of_the_avx_512_kernel(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.get("quantization") == "nf4")
    logits = logits_with_nf4(case, tmp_path / "nf4", whole_rows=True)
    assert cosine(logits, golden(case)["last_logits"]) > 0.9999
    assert logits.argmax() == golden(case)["greedy_ids"][0]


@pytest.mark.parametrize(("compute", "least"), [(torch.float32, 0.999), (torch.bfloat16, 0.99)])
@torch.inference_mode()
def test_nf4_weights_give_the_logits_of_the_quantised_case(compute: torch.dtype, least: float, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.get("quantization") == "nf4")
    engine = load_engine(REFERENCE / "checkpoint", device="cpu", dtype="4bit", four_bit="nf4", compute_dtype=compute)
    assert case["linears"] == 7 * engine.model.config.language.num_hidden_layers
    whole = next(c for c in PLAIN if c["golden"] == "speech_en")
    logits = logits_of(engine, prompt_of(engine, case, golden(whole))).float().numpy()
    whole_rows = torch.backends.cpu.get_cpu_capability() == "AVX512"
    assert cosine(logits, logits_with_nf4(case, tmp_path / "nf4", whole_rows=whole_rows)) > least


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
