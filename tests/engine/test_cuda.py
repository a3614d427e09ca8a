"""On a CUDA device the engine computes what it computes elsewhere. Skipped where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import moss_cli
from moss_cli.engine.decoding import Decoding, Ended
from moss_cli.engine.devices import FourBit
from moss_cli.engine.engine import Engine, load_engine
from moss_cli.engine.generate import generate
from moss_cli.engine.int4 import Int4Linear, dequantise_int4, int4_linear, quantise_int4
from moss_cli.engine.model import Prompt
from moss_cli.engine.nf4 import CudaNF4Linear, dequantise_nf4, nf4_linear, quantise_nf4
from moss_cli.engine.prefill import prompt_tokens
from moss_cli.engine.row import DecodeRequest

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

REFERENCE = Path(__file__).parents[1] / "fixtures" / "reference"
CASES: list[dict[str, Any]] = json.loads((REFERENCE / "golden" / "cases.json").read_text())
PLAIN = [case for case in CASES if "quantization" not in case]
EACH = pytest.mark.parametrize("case", PLAIN, ids=[case["golden"] for case in PLAIN])
DEVICE = "cuda:0"
TINY = Path(moss_cli.__file__).parent / "weights" / "tiny"


@pytest.fixture(scope="module")
def fp32() -> Engine:
    return load_engine(REFERENCE / "checkpoint", device=DEVICE, dtype="fp32")


@pytest.fixture(scope="module")
def bf16() -> Engine:
    return load_engine(REFERENCE / "checkpoint", device=DEVICE, dtype="bf16")


def golden(case: dict[str, Any]) -> dict[str, np.ndarray]:
    return dict(np.load(REFERENCE / "golden" / f"{case['golden']}.npz"))


@torch.inference_mode()
def prompt_of(engine: Engine, case: dict[str, Any]) -> Prompt:
    """The case's prompt; the audio enters as its golden mel."""
    audio = None
    if case["audio"]:
        audio = engine.model.adapt(engine.model.encode(torch.from_numpy(golden(case)["mel"])))
    return engine.ask(case["prompt"], audio, time_markers=case["time_markers"])


@torch.inference_mode()
def logits_of(engine: Engine, prompt: Prompt) -> np.ndarray:
    logits: np.ndarray = engine.model(prompt_tokens([prompt], engine.model.device))[0].float().cpu().numpy()
    return logits


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(DEVICE)


def as_array(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array


def decode(engine: Engine, prompts: list[Prompt], **options: Any) -> list[list[int]]:
    """24 tokens of each, together."""
    decoding = Decoding(engine.model, frozenset(), n_slots=len(prompts), **options)
    tickets = [decoding.submit(DecodeRequest(prompt, 24)) for prompt in prompts]
    ended: dict[int, list[int]] = {}
    while len(ended) < len(prompts):
        ended |= {e.ticket: e.generation.ids for e in decoding.step() if isinstance(e, Ended)}
    return [ended[ticket] for ticket in tickets]


def test_the_weights_are_on_the_device_that_was_asked_for(fp32: Engine) -> None:
    assert fp32.placement.device == torch.device(DEVICE)
    assert {parameter.device for parameter in fp32.model.parameters()} == {torch.device(DEVICE)}


@EACH
def test_float32_gives_the_published_arrays_and_tokens(fp32: Engine, case: dict[str, Any]) -> None:
    expected = golden(case)
    prompt = prompt_of(fp32, case)
    if case["audio"]:
        with torch.inference_mode():
            clip = fp32.model.encode(torch.from_numpy(expected["mel"]))
        assert distance(clip.features.cpu().numpy(), expected["encoder"]) < 1e-4
    assert distance(logits_of(fp32, prompt), expected["last_logits"]) < 1e-4
    assert decode(fp32, [prompt]) == [expected["greedy_ids"].tolist()]


def test_a_batch_gives_each_the_tokens_it_has_alone(fp32: Engine) -> None:
    prompts = [prompt_of(fp32, case) for case in PLAIN]
    assert decode(fp32, prompts) == [golden(case)["greedy_ids"].tolist() for case in PLAIN]


@EACH
def test_bf16_stays_close_to_the_published_float32(bf16: Engine, case: dict[str, Any]) -> None:
    assert cosine(logits_of(bf16, prompt_of(bf16, case)), golden(case)["last_logits"]) > 0.999


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_replayed_graph_gives_the_tokens_of_eager_steps(dtype: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(dtype)
    prompts = [prompt_of(engine, case) for case in PLAIN]
    assert decode(engine, prompts) == decode(engine, prompts, graphs=False)


def test_rows_that_come_and_go_give_the_tokens_they_have_alone(fp32: Engine) -> None:
    """More requests than slots, of several lengths: slots are emptied, moved and filled while graphs are replayed."""
    prompts = [prompt_of(fp32, case) for case in PLAIN] * 3
    requests = [DecodeRequest(prompt, 5 + 3 * (i % 4)) for i, prompt in enumerate(prompts)]
    decoding = Decoding(fp32.model, frozenset(), n_slots=2)
    places = {decoding.submit(request): i for i, request in enumerate(requests)}
    ended: dict[int, list[int]] = {}
    while len(ended) < len(requests):
        ended |= {places[e.ticket]: e.generation.ids for e in decoding.step() if isinstance(e, Ended)}
    for i, request in enumerate(requests):
        expected = golden(PLAIN[i % len(PLAIN)])["greedy_ids"].tolist()
        assert ended[i] == expected[: request.max_new_tokens]


@pytest.mark.parametrize("n_rows", [1, 5])
@torch.inference_mode()
def test_nf4_multiplies_as_its_values_do(n_rows: int) -> None:
    pytest.importorskip("bitsandbytes")
    weight = quantise_nf4(drawn(512, 256))
    linear = nf4_linear(weight, torch.bfloat16)
    assert isinstance(linear, CudaNF4Linear)
    x = drawn(n_rows, 256).to(torch.bfloat16)
    expected = x.float() @ dequantise_nf4(weight, torch.float32).T
    assert distance(as_array(linear(x)), as_array(expected)) < 0.01


@pytest.mark.parametrize("n_rows", [1, 5])
@torch.inference_mode()
def test_int4_multiplies_as_its_values_do(n_rows: int) -> None:
    weight = quantise_int4(drawn(512, 256))
    linear = int4_linear(weight, torch.bfloat16)
    assert isinstance(linear, Int4Linear)
    x = drawn(n_rows, 256).to(torch.bfloat16)
    expected = x.float() @ dequantise_int4(weight, torch.float32).T
    assert distance(as_array(linear(x)), as_array(expected)) < 0.01


@torch.inference_mode()
def test_nf4_codes_are_those_made_on_the_processor() -> None:
    weight = drawn(512, 256)
    here, there = quantise_nf4(weight), quantise_nf4(weight.cpu())
    assert torch.equal(here.codes.cpu(), there.codes) and torch.equal(here.scales.cpu(), there.scales)


@pytest.mark.parametrize("four_bit", ["nf4", "int4"])
def test_a_4_bit_model_answers_as_on_the_processor_and_as_without_graphs(four_bit: FourBit) -> None:
    if four_bit == "nf4":
        pytest.importorskip("bitsandbytes")
    here, there = (load_engine(TINY, device=device, dtype="4bit", four_bit=four_bit) for device in (DEVICE, "cpu"))
    prompt = here.ask("Describe this audio.", None)
    assert cosine(logits_of(here, prompt), logits_of(there, prompt)) > 0.99
    assert decode(here, [prompt] * 3) == decode(here, [prompt] * 3, graphs=False)


def test_when_memory_runs_out_fewer_are_decoded_at_once_and_none_is_lost(fp32: Engine) -> None:
    """The process may take a little more than it has: one row's cache fits beside it, that of all of them does not."""
    case = next(case for case in PLAIN if not case["audio"])
    prompt = prompt_of(fp32, case)
    request = DecodeRequest(prompt, 24)
    alone = decode(fp32, [prompt])[0]
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    n_slots = 4096
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 256 * 2**20) / total, 0)
    try:
        decoding = Decoding(fp32.model, frozenset(), n_slots=n_slots)
        tickets = [decoding.submit(request) for _ in range(n_slots)]
        ended: dict[int, list[int]] = {}
        while len(ended) < n_slots:
            ended |= {e.ticket: e.generation.ids for e in decoding.step() if isinstance(e, Ended)}
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert decoding.n_slots < n_slots
    assert [ended[ticket] for ticket in tickets] == [alone] * n_slots


def test_generate_answers_in_the_order_of_the_requests(bf16: Engine) -> None:
    prompts = [prompt_of(bf16, case) for case in PLAIN]
    answers = generate(bf16.model, [DecodeRequest(prompt, 8) for prompt in prompts], frozenset())
    assert [len(answer.ids) for answer in answers] == [8] * len(PLAIN)
