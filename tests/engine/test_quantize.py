"""What 4-bit models consist of: codes as bitsandbytes gives them, and kernels that read them."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from bitsandbytes.functional import quantize_4bit
from torch import Tensor, nn

import moss_cli
from moss_cli.engine import quantize
from moss_cli.engine.checkpoint import CheckpointFiles, read_headers
from moss_cli.engine.config import load_config
from moss_cli.engine.devices import FourBit, HeldDtype, Placement
from moss_cli.engine.engine import Engine, fill_model, load_engine
from moss_cli.engine.generate import generate
from moss_cli.engine.int4 import (
    DenseInt4Linear,
    Int4Linear,
    can_be_int4,
    dequantise_int4,
    int4_linear,
    quantise_int4,
)
from moss_cli.engine.int8 import Int8Embedding, Int8Linear, VnniInt8Linear, int8_linear, quantise_rows
from moss_cli.engine.nf4 import (
    LEVELS,
    FusedNF4Linear,
    NF4Linear,
    can_be_nf4,
    dequantise_nf4,
    has_fused_nf4,
    nf4_linear,
    quantise_nf4,
)
from moss_cli.engine.prefill import prompt_tokens
from moss_cli.engine.quantize import is_quantised
from moss_cli.engine.row import DecodeRequest
from moss_cli.engine.weights import empty_model, in_threads
from moss_cli.errors import ModelError

TINY = Path(moss_cli.__file__).parent / "weights" / "tiny"
LINEARS = ("self_attn.o_proj", "self_attn.qkv_proj", "mlp.down_proj", "mlp.gate_up_proj")
needs_fused_nf4 = pytest.mark.skipif(not has_fused_nf4(), reason="needs a processor with AVX512-BF16")
needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="needs a processor with VNNI")


def weight(n_out: int, n_in: int, seed: int = 0) -> Tensor:
    return torch.randn(n_out, n_in, generator=torch.Generator().manual_seed(seed)).mul(0.02).bfloat16()


def rows(n: int, n_in: int) -> Tensor:
    return torch.randn(n, n_in, generator=torch.Generator().manual_seed(9)).bfloat16()


def cosine(a: Tensor, b: Tensor) -> float:
    return torch.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0).item()


@pytest.fixture(scope="module")
def quantised() -> Engine:
    return load_engine(TINY, device="cpu", dtype="4bit", four_bit="nf4", compute_dtype=torch.bfloat16)


def test_the_decoders_linears_are_held_in_4_bits_and_embeddings_and_head_in_8(quantised: Engine) -> None:
    kinds = (FusedNF4Linear, NF4Linear, Int8Embedding, VnniInt8Linear, Int8Linear)
    held = [name for name, m in quantised.model.named_modules() if isinstance(m, kinds)]
    n_layers = quantised.model.config.language.num_hidden_layers
    linears = [f"language_model.layers.{i}.{part}" for i in range(n_layers) for part in LINEARS]
    assert sorted(held) == sorted(["language_model.embed_tokens", "lm_head", *linears])


def test_every_module_is_in_evaluation_mode(quantised: Engine, engine: Engine) -> None:
    for model in (quantised.model, engine.model):
        assert [name for name, module in model.named_modules() if module.training] == []


@pytest.mark.parametrize("shape", [(32, 64), (96, 192), (257, 128), (5000, 448)])
def test_codes_and_scales_are_those_of_bitsandbytes(shape: tuple[int, int]) -> None:
    made, (codes, state) = (
        quantise_nf4(weight(*shape)),
        quantize_4bit(weight(*shape), blocksize=64, quant_type="nf4", compress_statistics=False),
    )
    assert torch.equal(made.codes.view(-1), codes.view(-1))
    assert torch.equal(made.scales.float(), state.absmax)


def test_a_block_of_zeros_stays_one() -> None:
    assert dequantise_nf4(quantise_nf4(torch.zeros(2, 64)), torch.float32).tolist() == torch.zeros(2, 64).tolist()


def test_values_are_rounded_to_bf16_before_they_are_quantised() -> None:
    middle = (LEVELS[-1] + LEVELS[-2]) / 2
    value = torch.tensor(middle - 1e-5)  # nearer to the lower level, and in bf16 nearer to the upper one
    assert value.to(torch.bfloat16).item() > middle > value.item()
    one = torch.zeros(1, 64)
    one[0, 0], one[0, 1] = 1.0, value
    assert dequantise_nf4(quantise_nf4(one), torch.float32)[0, :3].tolist() == [1.0, 1.0, 0.0]


@needs_fused_nf4
def test_at_the_size_of_the_released_models_the_fused_kernel_multiplies_and_nothing_is_dequantised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("dequantised")

    linear = nf4_linear(quantise_nf4(weight(9728, 2560)), torch.bfloat16)
    monkeypatch.setattr("moss_cli.engine.nf4.dequantise_nf4", refuse)
    with torch.profiler.profile() as profile, torch.inference_mode():
        linear(rows(1, 2560))
    counts = {event.key: event.count for event in profile.key_averages()}
    assert counts["bitsandbytes::gemv_4bit"] == 1
    assert not {"bitsandbytes::dequantize_4bit", "aten::linear", "aten::mm"} & counts.keys()


@needs_fused_nf4
def test_the_packed_codes_are_those_that_bitsandbytes_packs() -> None:
    codes, state = quantize_4bit(weight(96, 128), blocksize=64, quant_type="nf4", compress_statistics=False)
    from bitsandbytes.functional import _convert_weight_packed_for_cpu  # where it can pack, it has this

    packed, state = _convert_weight_packed_for_cpu(codes, state)
    made = nf4_linear(quantise_nf4(weight(96, 128)), torch.bfloat16)
    assert isinstance(made, FusedNF4Linear)
    assert torch.equal(made.packed, packed) and torch.equal(made.scales, state.absmax)


@pytest.mark.parametrize("n_rows", [1, 3, 40])
@pytest.mark.parametrize("make", [nf4_linear, int4_linear], ids=["nf4", "int4"])
def test_a_linear_multiplies_with_the_values_that_its_weight_stands_for(
    make: Callable[..., nn.Module], n_rows: int
) -> None:
    held = quantise_nf4(weight(96, 128)) if make is nf4_linear else quantise_int4(weight(96, 128))
    values = (dequantise_nf4 if make is nf4_linear else dequantise_int4)(held, torch.float32)  # type: ignore[operator]
    x = rows(n_rows, 128)
    assert cosine(make(held, torch.bfloat16)(x[None])[0], x.float() @ values.t()) > 0.9999
    assert cosine(values, weight(96, 128)) > 0.99


@pytest.mark.parametrize("n_out", [32, 40])
def test_fp32_and_rows_that_the_fused_kernel_does_not_take_are_dequantised_each_time(n_out: int) -> None:
    held, x = quantise_nf4(weight(n_out, 64)), rows(2, 64).float()
    linear = nf4_linear(held, torch.float32)
    assert isinstance(linear, NF4Linear)
    assert torch.equal(linear(x), x @ dequantise_nf4(held, torch.float32).t())
    assert isinstance(nf4_linear(quantise_nf4(weight(40, 64)), torch.bfloat16), NF4Linear)


def test_shapes_that_torchs_kernel_does_not_take_are_held_in_full() -> None:
    assert isinstance(int4_linear(quantise_int4(weight(32, 64)), torch.bfloat16), Int4Linear)
    odd = quantise_int4(weight(24, 64))
    dense = int4_linear(odd, torch.float32)
    assert isinstance(dense, DenseInt4Linear)
    assert torch.equal(dense.weight, dequantise_int4(odd, torch.float32))


@pytest.mark.parametrize(("shape", "fits"), [((5, 128), True), ((64, 96), False), ((64,), False)])
def test_only_rows_of_whole_blocks_are_held_in_4_bits(shape: tuple[int, ...], fits: bool) -> None:
    assert can_be_nf4(shape) is can_be_int4(shape) is fits


def test_groups_of_int4_reach_from_their_least_to_their_largest_value() -> None:
    one = torch.linspace(-1, 2, 64)[None]
    values = dequantise_int4(quantise_int4(one), torch.float32)
    assert values[0, 0].item() == pytest.approx(-1, abs=0.01) and values[0, -1].item() == pytest.approx(2, abs=0.01)
    assert (values - one).abs().max() <= 0.1 + 0.01  # half a step of 3 / 15


@needs_vnni
def test_the_head_multiplies_in_integers_and_each_row_alone() -> None:
    head = int8_linear([quantise_rows(weight(100, 64)), quantise_rows(weight(28, 64, seed=1))])
    assert isinstance(head, VnniInt8Linear)
    x = rows(3, 64)
    exact = x.float() @ torch.cat([weight(100, 64), weight(28, 64, seed=1)]).float().t()
    logits = head(x)
    assert logits.dtype == torch.float32 and cosine(logits, exact) > 0.9998
    big = x.clone()
    big[1] *= 100  # a row's rounding does not depend on its neighbours
    assert torch.equal(head(big)[[0, 2]], logits[[0, 2]])


def test_without_vnni_the_head_multiplies_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cpu._is_vnni_supported", lambda: False)
    head = int8_linear([quantise_rows(weight(128, 64)), quantise_rows(weight(32, 64, seed=1))])
    assert isinstance(head, Int8Linear)
    exact = rows(3, 64).float() @ torch.cat([weight(128, 64), weight(32, 64, seed=1)]).float().t()
    assert cosine(head(rows(3, 64)), exact) > 0.9998


def test_embeddings_are_within_half_a_step_of_their_row() -> None:
    made = quantise_rows(weight(50, 64))
    embedding = Int8Embedding(made.values, made.scales, torch.float32)
    ids = torch.tensor([[3, 49], [0, 3]])
    step = weight(50, 64).float().abs().amax(1) / 127
    assert ((embedding(ids) - weight(50, 64).float()[ids]).abs() <= 0.5001 * step[ids][..., None]).all()
    assert embedding(ids).shape == (2, 2, 64)


def test_large_tensors_are_quantised_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = CheckpointFiles(read_headers(TINY))
    monkeypatch.setattr(quantize, "PIECE_ROWS", 100)
    pieces = quantize.row_pieces(250)
    assert pieces == [(0, 100), (100, 200), (200, 250)]
    made = [quantize.eight_bit_rows(tensors, "lm_head", *piece) for piece in pieces]
    whole = quantise_rows(tensors.read("lm_head.weight")[:250])
    assert torch.equal(torch.cat([piece.values for piece in made]), whole.values)
    assert torch.equal(torch.cat([piece.scales for piece in made]), whole.scales)


@pytest.mark.parametrize("kind", ["nf4", "int4"])
@torch.inference_mode()
def test_tiny_says_in_4_bits_what_it_says_in_fp32(kind: FourBit, tiny: Engine) -> None:
    samples, _ = soundfile.read(Path(moss_cli.__file__).parent / "samples" / "minutes.wav", dtype="float32")
    answers, logits = [], []
    for one in (tiny, load_engine(TINY, device="cpu", dtype="4bit", four_bit=kind)):
        prompt = one.ask("Transcribe the audio.", one.hear(samples[:160_000]))
        logits.append(one.model(prompt_tokens([prompt], one.model.device)))
        answers.append(generate(one.model, [DecodeRequest(prompt, 24)], one.stop_ids)[0].ids)
    assert answers[0] == answers[1]
    assert cosine(*logits) > 0.997


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("language_model.layers.11.self_attn.qkv_proj", True),
        ("language_model.layers.0.mlp.down_proj", True),
        ("language_model.layers.0.self_attn.q_norm", False),
        ("language_model.embed_tokens", False),
        ("lm_head", False),
        ("audio_adapter.gate_up_proj", False),
        ("audio_encoder.layers.0.self_attn.q_proj", False),
    ],
)
def test_what_is_quantised_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_quantised(name) is expected


class Counted:
    """Tensors of a checkpoint, and how many of those that were read are still held."""

    def __init__(self, files: CheckpointFiles) -> None:
        self._files, self.n_held, self.most_held = files, 0, 0
        self.shapes = files.shapes

    def read(self, name: str, first: int = 0, last: int | None = None) -> Tensor:
        tensor = self._files.read(name, first, last)
        self.n_held += 1
        self.most_held = max(self.most_held, self.n_held)
        weakref.finalize(tensor.untyped_storage(), self._let_go)
        return tensor

    def _let_go(self) -> None:
        self.n_held -= 1


@pytest.mark.parametrize("dtype", ["bf16", "nf4", "int4"])
def test_no_more_tensors_are_held_while_loading_than_are_merged_into_one(dtype: HeldDtype) -> None:
    counted = Counted(CheckpointFiles(read_headers(TINY)))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = empty_model(load_config(TINY), counted.shapes)
        # Computing in another dtype than that of the file, so that nothing is kept as it was read.
        fill_model(model, counted, Placement(torch.device("cpu"), dtype, torch.float16))
    finally:
        torch.set_num_threads(before)
    assert counted.most_held <= 3 and counted.n_held == 0


def test_what_is_loaded_in_several_threads_is_what_one_thread_loads() -> None:
    before, held = torch.get_num_threads(), []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        model = empty_model(load_config(TINY), CheckpointFiles(read_headers(TINY)).shapes)
        files = CheckpointFiles(read_headers(TINY))
        fill_model(model, files, Placement(torch.device("cpu"), "nf4", torch.bfloat16))
        assert torch.get_num_threads() == n_threads
        held.append(model.state_dict())
    torch.set_num_threads(before)
    assert held[0].keys() == held[1].keys()
    assert all(torch.equal(held[0][name], held[1][name]) for name in held[0])


def test_an_error_while_one_tensor_is_read_ends_the_loading() -> None:
    def fails(i: int) -> int:
        if i == 5:
            raise ModelError("five")
        return i

    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        with pytest.raises(ModelError, match="five"):
            for made in in_threads(fails, range(100)):
                seen.append(made)
    finally:
        torch.set_num_threads(before)
    assert seen == [0, 1, 2, 3, 4]


def test_4_bits_do_not_load_the_compiler_of_torch() -> None:
    """It takes longer than all else that is imported."""
    code = (
        "import sys, torch; from moss_cli.engine import nf4; compiler = torch.compile; nf4.has_fused_nf4()\n"
        "print('bitsandbytes' in sys.modules, 'torch._dynamo' in sys.modules, torch.compile is compiler)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "True"]
